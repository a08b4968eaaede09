"""Networks whose weights are shared out: what is brought together by itself, and that it computes the same."""

import copy

import pytest
import torch
from torch import nn
from torch.distributed.tensor import DTensor

from poke.networks import sharding
from poke.networks.actor_critic import ActorCritic
from poke.networks.auto import auto_network
from poke.networks.mlp import MLP
from poke.networks.sharding import placed, shard, whole
from poke.spaces import ActionSpace, ObservationSpace

from ..contracts.parts import NETWORK
from .test_battle import LAYOUTS, battle, observations

# Those of battles are added to, and not changed in place.
views = pytest.mark.filterwarnings("ignore:FSDP2-wrapped module .FSDPLinear")


pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch):
    monkeypatch.setattr(sharding, "LARGE", 1)


def actor():
    torch.manual_seed(0)
    return ActorCritic(lambda n: battle(LAYOUTS[10], n - 10), ActionSpace.discrete(10))


def units(network):
    names = {module: name for name, module in network.named_modules()}
    return [names[unit] for unit in sharding._units(network)]


def test_layers_are_brought_together_one_by_one():
    network = MLP(observation_shape=(4,), num_outputs=2, hidden_sizes=[8, 8])
    assert units(network) == ["layers.0", "layers.2", "layers.4"]


def test_weights_that_are_read_and_not_called_come_with_the_rest():
    found = units(battle(LAYOUTS[10]))
    assert "switch_key" in found
    assert not any("encoder" in name for name in found)


def test_small_ones_come_with_the_rest(monkeypatch):
    monkeypatch.setattr(sharding, "LARGE", 1 << 20)
    assert units(battle(LAYOUTS[10])) == []


@views
def test_it_computes_the_same_and_has_the_same_gradients(mesh):
    network, seen = actor(), observations(LAYOUTS[10])
    plain = copy.deepcopy(network)
    shard(network, mesh)
    assert all(isinstance(weight, DTensor) for weight in network.parameters())
    for one in (network, plain):
        one.forward_with_features(seen)[0].square().sum().backward()
    for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad.full_tensor(), theirs.grad)


def test_a_memory_is_shared_without_a_word_of_warning(mesh, monkeypatch):
    monkeypatch.setattr(sharding, "LARGE", 1 << 20)
    made = ActorCritic(
        lambda n: auto_network(
            observation_space=ObservationSpace.box((4,)),
            num_outputs=n,
            **{**NETWORK, "memory": "gru"},
        ),
        ActionSpace.discrete(3),
    )
    begins = torch.zeros(5, 2, dtype=torch.bool)
    asked = torch.randn(5, 2, 4), torch.zeros(2, made.state_size), begins
    expected = made.unroll(*asked)[0].detach()
    shard(made, mesh)
    found = made.unroll(*asked)[0]
    torch.testing.assert_close(found, expected)
    found.square().sum().backward()


@views
def test_within_whole_it_computes_by_plain_weights_and_after_it_by_shared_ones(mesh):
    network, seen = actor(), observations(LAYOUTS[10])
    expected = network(seen)[0].detach()
    shard(network, mesh)
    with whole(network), torch.no_grad():
        for _ in range(2):
            torch.testing.assert_close(network(seen)[0], expected)
            assert not any(isinstance(weight, DTensor) for weight in network.parameters())
    assert all(isinstance(weight, DTensor) for weight in network.parameters())
    network(seen)[0].sum().backward()


def test_a_value_is_placed_as_what_it_is_for(mesh):
    layer = nn.Linear(2, 4)
    value = torch.arange(8.0).reshape(4, 2)
    assert placed(value, layer.weight) is value
    shard(layer, mesh)
    shared = placed(value, layer.weight)
    assert shared.placements == layer.weight.placements
    assert torch.equal(shared.full_tensor(), value)
    assert placed(shared, layer.weight) is shared
