"""Advantage-weighted regression beside its equations, written slowly."""

import copy
import math
from dataclasses import replace

import pytest
import torch

from poke.algorithms.offline.awr import AWR

from .parts import assert_moved_by, experience, makers, transitions

VALUES = {"lr": 1e-2, "policy_lr": 1e-3, "gamma": 0.9}


def awr(kind, masked=False, **values):
    made = makers(kind, masked)
    return AWR(made.make_policy(), made.make_network, made.device, **{**VALUES, **values})


@pytest.mark.parametrize("kind", ["discrete", "multi_discrete", "multi_binary", "continuous"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("share", [1.0, 0.4, 0.0])
def test_losses_are_those_of_the_equations(kind, weighted, share):
    masked = kind == "discrete"
    algorithm = awr(
        kind, masked, reward_scale=0.5, temperature=0.5, max_weight=1.2, return_share=share
    )
    part = transitions(kind, n=3, masked=masked, weighted=weighted)
    slow = copy.deepcopy(algorithm)
    told = algorithm.update(experience(part))
    value_loss = policy_loss = 0.0
    for i in range(len(part)):
        seen, after = part.observation[i : i + 1], part.next_observation[i : i + 1]
        weight = float(part.weight[i]) if weighted else 1.0
        steps = sum(0.9**k * 0.5 * float(r) for k, r in enumerate(part.reward[i]))
        if not part.terminated[i]:
            steps += 0.9 ** int(part.length[i]) * slow._value(after).item()
        target = share * 0.5 * float(part.return_[i]) + (1 - share) * steps
        value = slow._value(seen)
        value_loss += weight * ((value - target) ** 2).sum() / 2
        passed = min(math.exp((target - value.item()) / 0.5), 1.2)
        mask = None if part.action_mask is None else part.action_mask[i : i + 1]
        log_prob, _ = slow.policy.distribution.log_prob_and_entropy(
            slow.policy.network(seen)[0], part.action[i : i + 1], mask
        )
        policy_loss -= weight * passed * log_prob.sum()
    for name, loss, module in (
        ("value", value_loss, slow._value),
        ("policy", policy_loss, slow.policy.network),
    ):
        loss = loss / len(part)
        assert float(told[f"{name}_loss"]) == pytest.approx(loss.item(), rel=1e-4), name
        assert_moved_by(algorithm, name, loss, module)


@pytest.mark.parametrize("bins", [0, 21])
def test_the_better_of_two_actions_is_copied(bins):
    """The worse one is in nine tenths of the data."""
    algorithm = awr("discrete", temperature=0.2, bins=bins, low=-3, high=3)
    part = transitions("discrete", count=100)
    part.observation.zero_()
    part.action.copy_((torch.arange(100) % 10 == 0).long())
    part.return_.copy_(2.0 * part.action - 1)
    for _ in range(400):
        algorithm.update(experience(part))
    assert algorithm.policy.act(part.observation.numpy())[0] == 1


def test_without_returns_it_says_what_has_them():
    part = replace(transitions("discrete"), return_=None)
    with pytest.raises(ValueError, match=r"needs the returns .* take data=transitions"):
        awr("discrete").update(experience(part))
