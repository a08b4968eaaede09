"""Noisy layers beside the paper's equations, and which layers become noisy."""

import copy

import pytest
import torch
from torch import nn

from poke.networks.actor_critic import ActorCritic
from poke.networks.battle import EntityEncoder
from poke.networks.noisy import Noise, NoisyLinear, make_noisy
from poke.spaces import ActionSpace

from ..policies.kinds import KINDS, policy_of


def layer(bias=True, seed=0):
    torch.manual_seed(seed)
    made = NoisyLinear(nn.Linear(5, 3, bias=bias))
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith("std"):
                parameter.copy_(torch.rand_like(parameter))
    return made


def bent(noise):
    return [(1 if x > 0 else -1) * abs(x) ** 0.5 for x in noise.tolist()]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_outputs_and_gradients_are_those_of_the_equations(bias, seed):
    made, generator = layer(bias, seed), torch.Generator().manual_seed(seed)
    x = torch.randn(7, 5, requires_grad=True)
    copied = copy.deepcopy(generator)
    with Noise(nn.Sequential(made), generator):
        said = made(x)
    drawn = torch.randn(8, generator=copied)
    rows, columns = bent(drawn[5:]), bent(drawn[:5])
    noise = torch.tensor([[q * p for p in columns] for q in rows])
    weight = made.weight + made.weight_std * noise
    slow = x @ weight.T
    if bias:
        slow = slow + made.bias + made.bias_std * torch.tensor(rows)
    torch.testing.assert_close(said, slow)
    upstream = torch.randn(7, 3)
    wanted = [x, *made.parameters()]
    fast = torch.autograd.grad(said, wanted, upstream)
    torch.testing.assert_close(fast, torch.autograd.grad(slow, wanted, upstream))


def test_it_begins_as_the_paper_says():
    torch.manual_seed(0)
    plain = nn.Linear(16, 400)
    mean = plain.weight.detach().clone()
    made = NoisyLinear(plain)
    assert torch.equal(made.weight, mean)
    assert 0.2 < made.weight.abs().max() <= 1 / 4
    assert 0.2 < made.bias.abs().max() <= 1 / 4
    for std in (made.weight_std, made.bias_std):
        assert (std == 0.5 / 4).all()


def test_without_noise_it_is_the_layer_of_its_means():
    made, x = layer(), torch.randn(4, 5)
    with Noise(nn.Sequential(made), torch.Generator().manual_seed(0)):
        noisy = made(x)
    plain = nn.functional.linear(x, made.weight, made.bias)
    assert not torch.allclose(noisy, plain)
    made.eval()
    assert torch.equal(made(x), plain)


def test_noise_comes_from_its_generator_alone_and_is_no_state():
    network = nn.Sequential(layer(), nn.ReLU(), NoisyLinear(nn.Linear(3, 2))).eval()
    before, state = torch.get_rng_state(), {n: v.clone() for n, v in network.state_dict().items()}
    x, said = torch.randn(4, 5, generator=torch.Generator().manual_seed(3)), []
    for seed in (0, 1, 0):
        noise = Noise(network, torch.Generator().manual_seed(seed))
        for _ in range(2):
            with noise:
                said.append(network(x))
            assert not any(module.training for module in network)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(said[0], said[4])
    assert torch.equal(said[1], said[5])
    assert len({tuple(row.flatten().tolist()) for row in said}) == 4
    assert network.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert not any("noise" in name for name in state)


def test_noise_of_weights_has_the_deviation_that_is_learned():
    """Of f(p) f(q), whose factors have mean 0, the second moment is `E|p| E|q| = 2 / pi`."""
    made = NoisyLinear(nn.Linear(1, 1))
    with torch.no_grad():
        made.weight.zero_()
        made.bias.zero_()
        made.weight_std.fill_(0.7)
        made.bias_std.zero_()
        noise = Noise(nn.Sequential(made), torch.Generator().manual_seed(0))
        drawn = []
        for _ in range(4000):
            with noise:
                drawn.append(made(torch.ones(1, 1)).item())
    drawn = torch.tensor(drawn)
    assert drawn.mean().abs() < 0.03
    assert drawn.std().item() == pytest.approx(0.7 * (2 / torch.pi) ** 0.5, rel=0.05)


@pytest.mark.parametrize("kind", [kind for kind, made in KINDS.items() if made[3].get("noisy")])
def test_fully_connected_layers_of_the_policy_are_noisy_and_no_others(kind):
    network = policy_of(kind).network
    inside = {
        id(m)
        for encoder in network.modules()
        if isinstance(encoder, EntityEncoder)
        for m in encoder.modules()
    }
    layers = [m for m in network.policy.modules() if isinstance(m, nn.Linear)]
    assert {isinstance(m, NoisyLinear) for m in layers if id(m) not in inside} == {True}
    assert not any(isinstance(m, NoisyLinear) for m in layers if id(m) in inside)
    if network.critic is not None:
        assert not any(isinstance(m, NoisyLinear) for m in network.critic.modules())


def test_every_parameter_of_a_noisy_network_learns():
    for kind in ("noisy", "noisy-picture", "noisy-battle", "noisy-atoms-dueling"):
        policy = policy_of(kind)
        from ..policies.kinds import observations_of

        array, _ = policy.observation_space.encode(observations_of(policy, 16))
        with Noise(policy.network, torch.Generator().manual_seed(0)):
            outputs, value = policy.network(torch.from_numpy(array))
        (outputs.square().sum() + (0 if value is None else value.square().sum())).backward()
        for name, parameter in policy.network.named_parameters():
            if name.endswith("_std"):
                assert parameter.grad.abs().sum() > 0, (kind, name)


def test_a_network_that_is_a_single_layer_becomes_noisy_too():
    space = ActionSpace.discrete(3)
    network = ActorCritic(lambda n: nn.Linear(2, n), space, critic="separate", noisy=True)
    assert isinstance(network.policy, NoisyLinear)
    assert type(network.critic) is nn.Linear


def test_what_may_compute_something_else_is_left_alone():
    class Other(nn.Linear):
        pass

    network = nn.Sequential(Other(2, 2), nn.Conv1d(2, 2, 1), nn.Linear(2, 2))
    make_noisy(network)
    assert [type(m) for m in network] == [Other, nn.Conv1d, NoisyLinear]
