"""Deep Q-learning of distributions, and by noisy networks, beside the equations."""

import copy
import math

import numpy as np
import pytest
import torch

from poke.networks.noisy import Noise, NoisyLinear
from poke.protocols import NonFiniteError

from ..offline.parts import apart, assert_moved_by, experience, legal_actions, transitions
from .test_dqn import dqn

ATOMS = {"atoms": 9, "low": -4.0, "high": 4.0}
SUPPORT = [-4.0 + i for i in range(9)]


def distributions(network, seen, mask, dueling):
    """Each action's probabilities of one state, `[4, 9]`, by the definition."""
    outputs = network(seen.unsqueeze(0))[0][0].unflatten(0, (-1, 9))
    if dueling:
        legal = torch.ones(4, dtype=torch.bool) if mask is None else mask
        outputs = outputs[4] + outputs[:4] - outputs[:4][legal].mean(dim=0)
    return outputs.softmax(dim=1)


def mean(probabilities):
    return sum(p * z for p, z in zip(probabilities.tolist(), SUPPORT, strict=True))


def aim(probabilities, rewards, discount):
    """Algorithm 1 of Bellemare et al. on atoms that are 1 apart."""
    found = torch.zeros(9)
    for p, z in zip(probabilities, SUPPORT, strict=True):
        place = min(4.0, max(-4.0, rewards + discount * z)) + 4
        below = min(math.floor(place), 7)
        found[below] += p * (below + 1 - place)
        found[below + 1] += p * (place - below)
    return found


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("dueling", [True, False])
@pytest.mark.parametrize(
    ("n", "masked", "weighted"), [(1, False, False), (1, True, True), (3, True, False)]
)
def test_the_loss_of_distributions_is_that_of_the_equations(double, dueling, n, masked, weighted):
    algorithm = dqn(masked=masked, double=double, dueling=dueling, reward_scale=2.0, **ATOMS)
    part = transitions("discrete", n=n, masked=masked, weighted=weighted)
    algorithm.update(experience(part))  # the target is taken over before the first step
    slow = apart(algorithm)
    heard = {}
    batch = experience(part)
    batch.told = type("Told", (), {"tell": lambda _, rows, error: heard.update(error=error)})()
    told = algorithm.update(batch)
    online, target = slow.policy.network, slow._target.network
    losses, said, lacking = [], [], []
    for i in range(len(part)):
        masks = (None, None) if not masked else (part.action_mask[i], part.next_action_mask[i])
        rewards = sum(0.9**k * 2.0 * float(r) for k, r in enumerate(part.reward[i]))
        seen = part.next_observation[i]
        after = distributions(target, seen, masks[1], dueling).detach()
        judged = distributions(online, seen, masks[1], dueling) if double else after
        best = max(legal_actions(part.next_action_mask, i), key=lambda a, j=judged: mean(j[a]))
        discount = 0.0 if part.terminated[i] else 0.9 ** int(part.length[i])
        wanted = aim(after[best], rewards, discount)
        own = distributions(online, part.observation[i], masks[0], dueling)[int(part.action[i])]
        cross = -(wanted * own.log()).sum()
        losses.append(cross * (part.weight[i] if weighted else 1.0))
        lacking.append(cross.item() + sum(p * math.log(p) for p in wanted.tolist() if p > 0))
        said.append(mean(own))
    loss = torch.stack(losses).mean()
    assert float(told["loss"]) == pytest.approx(loss.item(), rel=1e-4)
    assert float(told["q"]) == pytest.approx(np.mean(said), rel=1e-4, abs=1e-5)
    np.testing.assert_allclose(heard["error"], lacking, rtol=1e-3, atol=1e-4)
    assert_moved_by(algorithm, "policy", loss, online)


@pytest.mark.parametrize("dueling", [True, False])
def test_what_is_judged_of_distributions_are_their_means(dueling):
    algorithm = apart(dqn(masked=True, dueling=dueling, **ATOMS))
    part = transitions("discrete", masked=True)
    values, error = algorithm.judge(part)
    network = algorithm.policy.network
    for i in range(len(part)):
        own = distributions(network, part.observation[i], part.action_mask[i], dueling)
        for action in legal_actions(part.action_mask, i):
            assert values[i, action].item() == pytest.approx(mean(own[action]), abs=1e-5)
    assert error.shape == (len(part),)
    # Where nothing comes after and the reward is between the atoms, the target's mean is the reward.
    ended = part.terminated & (part.reward[:, 0].abs() < 4)
    said = values.gather(1, part.action.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(
        error[ended], (said - part.reward[:, 0]).abs()[ended], rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("more", [{}, ATOMS])
@pytest.mark.parametrize("double", [True, False])
def test_noisy_networks_learn_with_noise_of_their_own(more, double):
    """Target, chooser and learner have each its own; the gradient is that of the learner's."""
    algorithm = dqn(noisy=True, double=double, **more)
    part = transitions("discrete")
    algorithm.update(experience(part))  # the target is taken over before the first step
    slow = apart(algorithm)
    told = algorithm.update(experience(part))
    # Said again by hand, in the order of draws: the target's noise, the chooser's, the learner's.
    networks = [slow._target.network, slow.policy.network, slow.policy.network]
    generator, used = torch.Generator(), []
    generator.set_state(slow._drawing.get_state())
    for network in networks:
        copied = copy.deepcopy(network).eval()
        layers = [m for m in copied.modules() if isinstance(m, NoisyLinear)]
        assert len(layers) == 2
        noise = torch.randn(sum(layer.noise_size for layer in layers), generator=generator)
        start = 0
        for layer in layers:
            own = noise[start : start + layer.noise_size]
            start += layer.noise_size
            bent = own.sign() * own.abs().sqrt()
            into, out = bent[: layer.in_features], bent[layer.in_features :]
            with torch.no_grad():
                layer.weight += layer.weight_std * torch.outer(out, into)
                layer.bias += layer.bias_std * out
        used.append(copied)
    slow._target.network, slow.policy.network = used[0], used[1]
    with torch.no_grad():
        target = slow._aim(part)
    slow.policy.network = used[2]
    _, losses, _ = slow._compare(part, target)
    assert float(told["loss"]) == pytest.approx(losses.mean().item(), rel=1e-4)
    assert torch.equal(algorithm._drawing.get_state(), generator.get_state())


def test_noise_explores_and_nothing_is_drawn_besides():
    algorithm = dqn(noisy=True, masked=True, epsilon_start=1.0, epsilon_end=1.0)
    assert algorithm.epsilon == 0
    rng = np.random.default_rng(0)
    observation = np.repeat(rng.normal(size=(200, 4)).astype(np.float32), 1, axis=0)
    mask = rng.random((200, 4)) < 0.6
    mask[:, 1] = True
    seen = [algorithm.explore(observation, mask) for _ in range(30)]
    assert all(mask[np.arange(200), action].all() for action in seen)
    assert len({tuple(action) for action in seen}) > 10
    quiet = [algorithm.policy.act(observation, action_mask=mask) for _ in range(2)]
    assert np.array_equal(*quiet)
    with torch.no_grad():
        for name, parameter in algorithm.policy.network.named_parameters():
            if name.endswith("_std"):
                parameter.zero_()
    assert np.array_equal(algorithm.explore(observation, mask), quiet[0])


def test_judging_draws_no_noise():
    algorithm, part = dqn(noisy=True, **ATOMS), transitions("discrete")
    before = algorithm._drawing.get_state()
    first, second = algorithm.judge(part), algorithm.judge(part)
    assert torch.equal(first[1], second[1])
    assert torch.equal(algorithm._drawing.get_state(), before)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("more", [ATOMS, {"noisy": True}, {**ATOMS, "noisy": True, "dueling": True}])  # fmt: skip
def test_rewards_that_are_not_finite_leave_the_weights_alone(bad, more):
    algorithm, part = dqn(**more), transitions("discrete")
    algorithm.update(experience(part))
    before = copy.deepcopy(algorithm.policy.get_state())
    part.reward[3, 0] = bad
    with pytest.raises(NonFiniteError, match="loss"):
        algorithm.update(experience(part))
    after = algorithm.policy.get_state()
    assert all(torch.equal(v, after["network"][n]) for n, v in before["network"].items())


def test_a_distribution_learns_what_its_returns_are():
    """Of a game of one step whose rewards are 1 or -2, which no mean tells from -0.5."""
    algorithm = dqn(lr=1e-2, noisy=True, **ATOMS)
    part = transitions("discrete", count=400)
    part.observation[:] = 0.5
    part.action[:] = 1
    part.terminated[:] = True
    part.reward[:, 0] = torch.where(torch.arange(400) % 2 == 0, 1.0, -2.0)
    for _ in range(400):
        algorithm.update(experience(part))
    network = algorithm.policy.network
    found = distributions(network, part.observation[0], None, dueling=False)[1]
    expected = torch.zeros(9)
    expected[SUPPORT.index(1.0)] = expected[SUPPORT.index(-2.0)] = 0.5
    torch.testing.assert_close(found, expected, rtol=0, atol=0.05)


def test_states_of_runs_without_noise_are_as_they_were():
    assert "noise" not in dqn().get_state()
    algorithm = dqn(noisy=True)
    with Noise(algorithm.policy.network, algorithm._drawing):
        pass
    other = dqn(noisy=True)
    other.set_state(algorithm.get_state())
    assert torch.equal(other._drawing.get_state(), algorithm._drawing.get_state())
