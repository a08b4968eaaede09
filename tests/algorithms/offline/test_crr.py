"""Critic regularised regression beside its equations, written slowly."""

import math

import numpy as np
import pytest
import torch

from poke.algorithms.offline.crr import CRR

from ...selecting import few
from .parts import apart, assert_moved_by, experience, legal_actions, makers, transitions

VALUES = {"lr": 1e-2, "policy_lr": 1e-3, "gamma": 0.9, "seed": 1}


def crr(kind, masked=False, **values):
    made = makers(kind, masked)
    return CRR(made.make_policy(), made.make_network, made.device, **{**VALUES, **values})


def expected(slow, critics, seen, legal):
    """What the policy's action is worth by the least critic: over choices, by its probabilities."""
    logits = slow.policy.network(seen)[0][0].tolist()
    total = sum(math.exp(logits[a]) for a in legal)
    worth = critics(seen)[:, 0, :, 0].min(dim=0).values
    return sum(math.exp(logits[a]) / total * worth[a].item() for a in legal)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("filter", ["binary", "exponential"])
def test_losses_are_those_of_the_equations(masked, weighted, filter):
    algorithm = crr(
        "discrete", masked, filter=filter, temperature=0.5, max_weight=1.2, reward_scale=0.5
    )
    part = transitions("discrete", n=3, masked=masked, weighted=weighted)
    slow = apart(algorithm)
    worth, wrong = algorithm.judge(part)
    told = algorithm.update(experience(part))
    critic_loss = policy_loss = 0.0
    for i in range(len(part)):
        seen, after = part.observation[i : i + 1], part.next_observation[i : i + 1]
        action = part.action[i : i + 1]
        weight = float(part.weight[i]) if weighted else 1.0
        target = sum(0.9**k * 0.5 * float(r) for k, r in enumerate(part.reward[i]))
        if not part.terminated[i]:
            legal = legal_actions(part.next_action_mask, i)
            usual = expected(slow, slow._target.network, after, legal)
            target += 0.9 ** int(part.length[i]) * usual
        said = slow._critics(seen)[:, 0, action.item(), 0]
        critic_loss += weight * ((said - target) ** 2).sum() / 2
        error = (said.detach() - target).abs().mean().item()
        assert wrong[i].item() == pytest.approx(error, abs=1e-5)
        least = slow._critics(seen)[:, 0, :, 0].detach().min(dim=0).values
        torch.testing.assert_close(worth[i], least)
        legal = legal_actions(part.action_mask, i)
        advantage = said.min().item() - expected(slow, slow._critics, seen, legal)
        passed = float(advantage > 0)
        if filter == "exponential":
            passed = min(math.exp(advantage / 0.5), 1.2)
        logits = slow.policy.network(seen)[0][0]
        log_prob = logits[action.item()] - torch.log(sum(logits[a].exp() for a in legal))
        policy_loss -= weight * passed * log_prob
    for name, loss, network, module in (
        ("critic", critic_loss, "critics", slow._critics),
        ("policy", policy_loss, "policy", slow.policy.network),
    ):
        loss = loss / len(part)
        assert float(told[f"{name}_loss"]) == pytest.approx(loss.item(), rel=1e-4), name
        assert_moved_by(algorithm, network, loss, module)


@pytest.mark.parametrize(
    "kind", few(["multi_discrete", "multi_binary", "continuous"], "continuous")
)
def test_other_actions_are_judged_beside_draws_of_the_policy(kind):
    """With many draws the advantage comes near the mean over the policy's actions."""
    algorithm = crr(kind, num_samples=4000)
    part = transitions(kind, count=4)
    slow = apart(algorithm)
    told = algorithm.update(experience(part))
    count = 4000
    seen = part.observation.repeat_interleave(count, dim=0)
    outputs = slow.policy.network(seen)[0].detach()
    drawn, _ = slow.policy.distribution.sample(outputs.numpy(), None, np.random.default_rng(7))
    worth = slow._critics.of(seen, torch.from_numpy(drawn)).amin(dim=0)[:, 0].view(4, count)
    said = slow._critics.of(part.observation, part.action).amin(dim=0)[:, 0]
    advantage = (said - worth.mean(dim=1)).mean().item()
    assert float(told["advantage"]) == pytest.approx(advantage, abs=0.02)


def test_draws_go_on_where_they_were_saved():
    algorithm, part = crr("continuous"), transitions("continuous")
    algorithm.update(experience(part))
    state, policy = algorithm.get_state(), algorithm.policy.get_state()
    other = crr("continuous", seed=2)
    other.policy.set_state(policy)
    other.set_state(state)
    again = [float(a.update(experience(part))["advantage"]) for a in (algorithm, other)]
    assert again[0] == again[1]


@pytest.mark.parametrize("filter", ["binary", "exponential"])
@pytest.mark.parametrize("critics", [{}, {"bins": 21, "low": -5, "high": 5}])
def test_the_better_of_two_actions_is_copied(filter, critics):
    """The worse one is in nine tenths of the data."""
    algorithm = crr(
        "discrete", filter=filter, temperature=0.1, critics={"target_rate": 0.1, **critics}
    )
    part = transitions("discrete", count=100)
    part.observation.zero_()
    part.action.copy_((torch.arange(100) % 10 == 0).long())
    part.terminated.fill_(True)
    part.reward[:, 0] = 2.0 * part.action - 1
    for _ in range(400):
        algorithm.update(experience(part))
    assert algorithm.policy.act(part.observation.numpy())[0] == 1
