import pytest
import torch
from torch import nn

from poke.envs.showdown.layout import describe
from poke.networks.actor_critic import ActorCritic
from poke.networks.auto import auto_network
from poke.networks.battle import BattleNetwork
from poke.networks.cnn import CNN
from poke.networks.encoding.layout import dense_scale
from poke.networks.memory import MemoryNetwork
from poke.networks.mlp import MLP
from poke.networks.numpy_mlp import NumpyMLP
from poke.policies.building import construct, offers
from poke.spaces import ActionSpace, Entry, ObservationSpace

SEEDS = range(24)
SIZES = {
    "hidden_sizes": [8, 6],
    "activation": "tanh",
    "picture_size": 16,
    "embedding_size": 3,
    "entity_size": 8,
    "battle_size": 12,
    "memory_size": 5,
}
DISCRETE = Entry((), "discrete", (2,), sizes=(3, 4), starts=(0, 0))


def auto(space, num_outputs=4, *, seed=0, **options):
    torch.manual_seed(seed)
    return auto_network(observation_space=space, num_outputs=num_outputs, **{**SIZES, **options})


def outputs_of(network, rows):
    if isinstance(network, MemoryNetwork):
        return network.step(rows, torch.zeros(len(rows), network.state_size))[0]
    return network(rows)


@pytest.mark.parametrize("memory", [None, "gru", "lstm"])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_space_gets_a_network(seed, memory, make_space, observe):
    space = make_space(seed)
    network = auto(space, memory=memory)
    rows = torch.from_numpy(observe(space, batch=32)[1])
    outputs = outputs_of(network, rows)
    assert outputs.shape == (32, 4)
    assert outputs.dtype == torch.float32
    outputs.square().sum().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None]
    assert without == []
    other = auto(space, memory=memory, seed=1)
    other.load_state_dict(network.state_dict())
    assert torch.equal(outputs_of(other, rows), outputs)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_part_has_a_say(seed, make_space, observe):
    space = make_space(seed, parts=3)
    network = auto(space)
    values, array = observe(space, batch=16)
    others, _ = observe(space, batch=16, seed=1)
    before = network(torch.from_numpy(array))
    for i, (value, other) in enumerate(zip(values, others, strict=True)):
        if (value == other).all():
            continue
        changed = space.empty(16)
        space.write({"part": [*values[:i], other, *values[i + 1 :]]}, changed)
        assert not torch.equal(network(torch.from_numpy(changed)), before), space.entries[i]


@pytest.mark.parametrize(
    ("space", "kind"),
    [
        (ObservationSpace.box((4,)), MLP),
        (ObservationSpace.box(()), MLP),
        (ObservationSpace.box((4, 17)), MLP),
        (ObservationSpace.box((128,), "uint8"), MLP),
        (ObservationSpace((DISCRETE,)), MLP),
        (ObservationSpace.box((84, 84, 3), "uint8"), CNN),
        (ObservationSpace.box((4, 84, 84), "uint8"), CNN),
        (ObservationSpace.box((10, 10, 4)), CNN),
    ],
)
def test_one_part_gets_exactly_the_network_of_its_kind(space, kind):
    network = auto(space)
    assert type(network) is kind
    rows = torch.from_numpy(space.empty(3))
    assert network(rows).shape == (3, 4)


def test_numbers_get_the_very_network_of_old():
    """Its first weights too, so that what was measured stays as it is, computed in numpy."""
    network = auto(ObservationSpace.box((4,)), hidden_sizes=[64, 64])
    torch.manual_seed(0)
    old = MLP(observation_shape=(4,), num_outputs=4, hidden_sizes=[64, 64], activation="tanh")
    assert all(map(torch.equal, network.state_dict().values(), old.state_dict().values()))
    assert NumpyMLP.supports(network)


def test_bytes_reach_the_layers_within_one():
    space = ObservationSpace.box((6,), "uint8")
    seen = torch.randint(0, 256, (5, 6)).byte()
    network = auto(space)
    torch.testing.assert_close(network(seen), network.layers(seen.float() / 255))


@pytest.mark.parametrize(("generation", "num_actions"), [(1, 10), (9, 26)])
def test_battles_get_their_network_and_values_of_them_a_head(generation, num_actions):
    layout = describe(generation)
    space = ObservationSpace.box((layout["size"],), "int8", layout=layout)
    battles = (torch.rand(6, layout["size"]) * (dense_scale(layout) > 0)).round().to(torch.int8)
    assert type(auto(space, num_actions)) is BattleNetwork
    for critic in ("separate", "shared"):
        network = ActorCritic(
            lambda num_outputs: auto(space, num_outputs),
            ActionSpace.discrete(num_actions),
            critic=critic,
        )
        logits, value = network(battles)
        assert logits.shape == (6, num_actions)
        assert value.shape == (6,)
    remembering = auto(space, num_actions, memory="lstm")
    outputs, _ = remembering.step(battles, torch.zeros(6, remembering.state_size))
    assert outputs.shape == (6, num_actions)


def test_it_is_built_from_a_description(make_space):
    """Which names only what is trusted."""
    space = make_space(3)
    node = {"_target_": "poke.networks.auto.auto_network", **SIZES, "memory": "gru"}
    assert isinstance(construct(node, offers(space, 2)), MemoryNetwork)


def test_several_parts_are_refused_by_networks_of_one(make_space):
    space = make_space(0, parts=3)
    node = {"_target_": "poke.networks.mlp.MLP", "hidden_sizes": [8]}
    with pytest.raises(ValueError, match="network=mlp takes observations of one part") as caught:
        construct(node, offers(space, 2))
    assert "network=auto" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_hidden_layers_a_head_reads_the_numbers():
    space = ObservationSpace.box((3,))
    assert [type(layer) for layer in auto(space, hidden_sizes=[]).layers] == [nn.Linear]
    remembering = auto(space, hidden_sizes=[], memory="gru")
    assert remembering.memory.input_size == 3
