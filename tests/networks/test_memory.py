import pytest
import torch
from torch import nn

from poke.networks.actor_critic import ActorCritic
from poke.networks.encoding.encoder import Encoder
from poke.networks.memory import MemoryNetwork
from poke.spaces import ActionSpace

KINDS = ("gru", "lstm")


class Flat(Encoder):
    size = 6

    def forward(self, observation):
        return observation.flatten(1)


def remembering(num_outputs, memory="gru"):
    return MemoryNetwork(Flat(), num_outputs, memory=memory, memory_size=5)


def episodes(time, batch, seed):
    """Observations, and where an episode begins: anywhere, at times the first row and at times all of them."""
    generator = torch.Generator().manual_seed(seed)
    often = torch.rand((), generator=generator)
    begins = torch.rand(time, batch, generator=generator) < often
    return torch.randn(time, batch, 2, 3, generator=generator), begins


def step_by_step(network, observation, state, begins):
    outputs = []
    for seen, new in zip(observation, begins, strict=True):
        *out, state = network.step(seen, state * ~new.unsqueeze(1))
        outputs.append(out)
    stacked = [torch.stack(part) for part in zip(*outputs, strict=True)]
    return *stacked, state


@pytest.mark.parametrize("memory", KINDS)
@pytest.mark.parametrize(("time", "batch"), [(1, 1), (1, 4), (7, 1), (12, 5)])
def test_unrolling_is_stepping(memory, time, batch):
    torch.manual_seed(0)
    network = remembering(3, memory)
    for seed in range(10):
        observation, begins = episodes(time, batch, seed)
        state = torch.randn(batch, network.state_size)
        unrolled = network.unroll(observation, state, begins)
        for left, right in zip(
            unrolled, step_by_step(network, observation, state, begins), strict=True
        ):
            torch.testing.assert_close(left, right, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("memory", KINDS)
def test_unrolling_has_the_gradients_of_stepping(memory):
    torch.manual_seed(0)
    network = remembering(3, memory)
    observation, begins = episodes(9, 4, seed=1)
    gradients = []
    for run in (network.unroll, lambda *given: step_by_step(network, *given)):
        state = torch.zeros(4, network.state_size, requires_grad=True)
        outputs, _ = run(observation, state, begins)
        outputs.square().sum().backward()
        gradients.append([state.grad, *(p.grad.clone() for p in network.parameters())])
        network.zero_grad()
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("memory", KINDS)
@pytest.mark.parametrize("critic", ["none", "separate", "shared"])
def test_policy_and_critic_remember_side_by_side(memory, critic):
    torch.manual_seed(0)
    network = ActorCritic(
        lambda num_outputs: remembering(num_outputs, memory),
        ActionSpace.discrete(4),
        critic=critic,
        orthogonal=True,
    )
    memories = 2 if critic == "separate" else 1
    assert network.state_size == memories * network.policy.state_size
    observation, begins = episodes(6, 3, seed=2)
    state = torch.randn(3, network.state_size)
    outputs, value, after = network.unroll(observation, state, begins)
    assert outputs.shape == (6, 3, 4)
    assert after.shape == state.shape
    state = state * ~begins[0].unsqueeze(1)
    stepped, stepped_value, _ = network.step(observation[0], state)
    torch.testing.assert_close(outputs[0], stepped)
    if critic == "none":
        assert value is None
    else:
        assert value.shape == (6, 3)
        torch.testing.assert_close(value[0], stepped_value)
    if critic == "separate":  # the critic's memory is its own
        other = state.clone()
        other[:, network.policy.state_size :] += 1
        torch.testing.assert_close(network.step(observation[0], other)[0], stepped)
        assert not torch.equal(network.step(observation[0], other)[1], stepped_value)


@pytest.mark.parametrize("critic", ["none", "separate", "shared"])
def test_without_a_memory_unrolling_is_the_forward_pass(critic):
    torch.manual_seed(0)
    network = ActorCritic(
        lambda num_outputs: nn.Sequential(nn.Flatten(), nn.Linear(6, num_outputs)),
        ActionSpace.discrete(4),
        critic=critic,
    )
    assert network.state_size == 0
    observation, begins = episodes(5, 3, seed=3)
    outputs, value, _ = network.unroll(observation, torch.zeros(3, 0), begins)
    plain, plain_value = network(observation.flatten(0, 1))
    torch.testing.assert_close(outputs.flatten(0, 1), plain)
    if critic != "none":
        torch.testing.assert_close(value.flatten(), plain_value)


def test_recurrent_weights_begin_orthogonal():
    torch.manual_seed(0)
    network = ActorCritic(remembering, ActionSpace.discrete(4), orthogonal=True).policy
    weight = network.memory.weight_hh_l0
    torch.testing.assert_close(weight.T @ weight, torch.eye(5), atol=1e-5, rtol=1e-5)
    assert not network.memory.bias_ih_l0.any()
    assert not network.memory.bias_hh_l0.any()
    assert network.head.weight.abs().max() < 0.02


def test_a_network_without_layers_begins_as_it_is():
    ActorCritic(lambda _: nn.Flatten(), ActionSpace.discrete(6), orthogonal=True)
