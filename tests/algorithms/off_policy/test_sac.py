"""Soft actor-critic beside its equations, written slowly."""

import copy
import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal, TanhTransform, TransformedDistribution

from poke.algorithms.off_policy.sac import SAC, log_slope

from ..offline.parts import experience, makers, transitions

VALUES = {"lr": 1e-2, "policy_lr": 1e-2, "gamma": 0.9, "temperature": 0.3}


def sac(kind, masked=False, **values):
    made = makers(kind, masked, bounds="squash" if kind == "continuous" else "clip")
    return SAC(made.make_policy, made.make_network, made.device, seed=1, **{**VALUES, **values})


def squashed(outputs):
    """The policy's distribution over actions between -1 and 1, by torch."""
    mean, log_std = outputs.chunk(2, dim=1)
    normal = Normal(mean, log_std.clamp(-20, 2).exp())
    return TransformedDistribution(normal, [TanhTransform(cache_size=1)])


@pytest.mark.parametrize("n", [1, 3])
def test_losses_of_numbers_are_those_of_the_equations(n):
    algorithm = sac("continuous", reward_scale=0.5)
    part = transitions("continuous", n=n)
    algorithm.update(experience(part))
    slow = copy.deepcopy(algorithm)
    told = algorithm.update(experience(part))
    alpha = slow._temperature.log_alpha.exp().item()
    count, draws = len(part), torch.Generator()
    draws.set_state(slow._noise.get_state())

    def drawn(seen):
        outputs = slow.policy.network(seen)[0]
        mean, log_std = outputs.chunk(2, dim=1)
        own = mean + log_std.exp() * torch.randn(count, 2, generator=draws)
        density = squashed(outputs).log_prob(torch.tanh(own)).sum(dim=1)
        return own, density

    with torch.no_grad():
        own, density = drawn(part.next_observation)
        judged = slow._target.network.of(part.next_observation, own)[..., 0].min(dim=0).values
        after = judged - alpha * density
        steps = torch.arange(n)
        rewards = (0.5 * part.reward * 0.9**steps).sum(dim=1)
        target = rewards + 0.9**part.length * (~part.terminated) * after
        said = slow._critics.of(part.observation, part.action)[..., 0]
        critic_loss = ((said - target) ** 2 / 2).sum(dim=0).mean()
        own, density = drawn(part.observation)
        judged = slow._critics.of(part.observation, own)[..., 0].min(dim=0).values
        policy_loss = (alpha * density - judged).mean()
        temperature_loss = -(slow._temperature.log_alpha * (density - 2.0)).mean()
    wanted = {
        "critic_loss": critic_loss,
        "policy_loss": policy_loss,
        "temperature_loss": temperature_loss,
    }
    for name, value in wanted.items():
        assert float(told[name]) == pytest.approx(float(value), rel=1e-3, abs=1e-4), name


@pytest.mark.parametrize("masked", [False, True])
def test_losses_of_a_choice_are_those_of_the_equations(masked):
    algorithm = sac("discrete", masked, target_entropy=0.7)
    part = transitions("discrete", masked=masked)
    algorithm.update(experience(part))
    slow = copy.deepcopy(algorithm)
    told = algorithm.update(experience(part))
    alpha = slow._temperature.log_alpha.exp().item()
    critic_loss = policy_loss = temperature_loss = 0.0

    def expected(critics, seen, mask):
        legal = list(range(4)) if mask is None else np.flatnonzero(mask.numpy()).tolist()
        logits = slow.policy.network(seen)[0][0][legal].double()
        probabilities = (logits - logits.logsumexp(0)).exp()
        judged = critics(seen)[:, 0, legal, 0].min(dim=0).values.double()
        entropy = -(probabilities * probabilities.log()).sum().item()
        return (probabilities * judged).sum().item(), entropy, len(legal)

    for i in range(len(part)):
        masks = (part.action_mask[i], part.next_action_mask[i]) if masked else (None, None)
        seen, after = part.observation[i : i + 1], part.next_observation[i : i + 1]
        target = float(part.reward[i, 0])
        if not part.terminated[i]:
            judged, entropy, _ = expected(slow._target.network, after, masks[1])
            target += 0.9 * (judged + alpha * entropy)
        for said in slow._critics.of(seen, part.action[i : i + 1]).flatten().tolist():
            critic_loss += (said - target) ** 2 / 2
        judged, entropy, count = expected(slow._critics, seen, masks[0])
        policy_loss -= judged + alpha * entropy
        temperature_loss += slow._temperature.log_alpha.item() * (entropy - 0.7 * math.log(count))
    wanted = {
        "critic_loss": critic_loss,
        "policy_loss": policy_loss,
        "temperature_loss": temperature_loss,
    }
    for name, value in wanted.items():
        assert float(told[name]) == pytest.approx(value / len(part), rel=1e-3, abs=1e-5), name


def test_each_loss_moves_its_own_network_only():
    """The policy's gradient leads through the critics, and leaves none there; nor does the critics' in the policy."""
    algorithm = sac("continuous")
    part = transitions("continuous")
    slow = copy.deepcopy(algorithm)
    algorithm.update(experience(part))
    moved = algorithm._descent.flat["critics"].grad.clone()
    with torch.no_grad():
        slow._noise.set_state(torch.Generator().manual_seed(1).get_state())
        target = slow._aim(part)
    said = slow._critics.of(part.observation, part.action)
    loss = slow._heads.loss(said, target.expand(len(said), -1, -1)).sum(dim=0).mean()
    gradients = torch.autograd.grad(loss, list(slow._critics.parameters()))
    torch.testing.assert_close(
        moved, torch.cat([g.flatten() for g in gradients]), rtol=1e-3, atol=1e-6
    )


def test_the_tangent_stretches_as_torch_says():
    action = torch.linspace(-12, 12, 200).reshape(100, 2)
    wanted = TanhTransform().log_abs_det_jacobian(action, torch.tanh(action)).sum(dim=1)
    torch.testing.assert_close(log_slope(action), wanted)
    assert torch.isfinite(log_slope(torch.full((1, 2), 80.0))).all()


def test_the_temperature_moves_towards_the_entropy_that_is_aimed_at():
    part = transitions("discrete")
    for aimed, falls in ((0.1, True), (1.2, False)):
        algorithm = sac("discrete", target_entropy=aimed)
        before = algorithm._temperature.value().item()
        for _ in range(5):
            algorithm.update(experience(part))
        assert (algorithm._temperature.value().item() < before) == falls
    fixed = sac("discrete", learn_temperature=False)
    assert "temperature_loss" not in fixed.update(experience(part))
    assert fixed._temperature.value().item() == pytest.approx(0.3)


def test_what_it_cannot_judge_is_refused():
    made = makers("continuous")
    with pytest.raises(
        ValueError, match=r"algo=sac needs actions within bounds: env\.action_bounds=squash"
    ):
        SAC(made.make_policy, made.make_network, made.device, **VALUES)
    with pytest.raises(ValueError, match="algo=sac does not know actions of several choices"):
        sac("multi_binary")
