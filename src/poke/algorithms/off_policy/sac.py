"""Soft actor-critic: as much reward as possible, as randomly as possible.

Haarnoja et al., "Soft Actor-Critic Algorithms and Applications", 2018: twin critics (equation 5 with the minimum of
section 6), a Gaussian policy squashed by a hyperbolic tangent (appendix C), and a temperature that is learned (equation
18). Of one choice: Christodoulou, "Soft Actor-Critic for Discrete Action Settings", 2019: expectations over actions in
place of draws.

Deliberate deviations:
- Policy, critics and temperature step together, on gradients of the same weights, so that all move or none; the authors
  let the policy see the critics after their step.
- Of one choice, illegal actions are left out of every expectation, and the entropy that is aimed at is a share of the
  greatest that the legal ones allow, state by state.
- Actions are judged between -1 and 1, whatever the environment's bounds are, and so is their entropy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from poke.algorithms.descent import Descent, frozen
from poke.algorithms.values.critics import (
    Follower,
    Judging,
    MakeNetwork,
    judged,
    make_critics,
)
from poke.algorithms.values.learning import Learning, refuse_memory, weighted_mean
from poke.algorithms.values.masked import expectation
from poke.data.experience import Experience, Transitions
from poke.distributed.ranks import ALONE, Ranks
from poke.policies.distributions import StateGaussian, masked_logits
from poke.policies.policy import Policy


class SAC:
    """Algorithm: SAC, on a replay buffer or recorded transitions.

    Args:
        make_policy: makes a policy for what the source has.
        make_network: makes critics of the configured kind of network.
        device: where they are to be.
        seed: of exploration and of draws.
        lr: Adam's learning rate of critics and temperature.
        policy_lr: of the policy.
        lr_schedule: of all: constant, or linear or cosine to 0.
        schedule_steps: gradient steps after which they reach 0.
        max_grad_norm: norm to clip each network's gradient at; 0: no clipping.
        gamma: discount factor.
        reward_scale: rewards are multiplied by this.
        temperature: alpha at first, what entropy counts beside rewards.
        learn_temperature: move it towards the entropy that is aimed at.
        target_entropy: of numbers, one each; None: -1. Of one choice a share of the greatest; None: 0.5.
        critics: as of `Judging`.
        ranks: the processes that learn together.

    Raises:
        ValueError: the policy has a memory, actions are several choices, or numbers that are not squashed.
    """

    def __init__(
        self,
        make_policy: Callable[..., Policy],
        make_network: MakeNetwork,
        device: torch.device,
        *,
        lr: float,
        policy_lr: float,
        gamma: float,
        temperature: float = 1.0,
        learn_temperature: bool = True,
        target_entropy: float | None = None,
        lr_schedule: str = "constant",
        schedule_steps: int = 1,
        max_grad_norm: float = 0.0,
        reward_scale: float = 1.0,
        critics: Mapping[str, Any] | None = None,
        seed: int = 0,
        ranks: Ranks = ALONE,
    ) -> None:
        self.policy = make_policy(std="network")
        refuse_memory(self.policy, "sac")
        space = self.policy.action_space
        self._choice = space.kind == "discrete"
        if not self._choice:
            refuse_unsquashed(self.policy, "sac")
        self.reward_scale = reward_scale
        self.learn_temperature = learn_temperature
        self.target_entropy = target_entropy
        self.judging = Judging(**(critics or {}))
        self._heads = self.judging.heads(gamma, device)
        self._critics: Any = make_critics(
            make_network,
            self.policy.observation_space,
            space,
            self._heads,
            judging=self.judging,
            device=device,
        )
        self._target = Follower(self._critics)
        self._temperature = Temperature(temperature).to(device)
        self._descent = Descent(
            {
                "policy": self.policy.network,
                "critics": self._critics,
                "temperature": self._temperature,
            },
            lr={"policy": policy_lr, "critics": lr, "temperature": lr},
            max_grad_norm=max_grad_norm,
            schedule=lr_schedule,
            schedule_steps=schedule_steps,
            ranks=ranks,
        )
        self._learning = Learning(
            self.policy,
            self._descent,
            networks={"critics": self._critics, "temperature": self._temperature},
            followers={"critics": self._target},
        )
        self._ranks = ranks
        self._exploring = np.random.default_rng([seed, 3])
        self._noise = torch.Generator().manual_seed(seed)

    def explore(self, observation: np.ndarray, action_mask: np.ndarray | None) -> np.ndarray:
        """Return actions drawn from the policy, as of `poke.protocols.Explorer`."""
        outputs, _ = self.policy.infer(observation, judge=False)
        drawn = self._ranks.draws(self._exploring)
        return self.policy.distribution.sample(outputs, action_mask, drawn)[0]

    def update(self, batch: Experience) -> Mapping[str, Tensor | float]:
        """Make a gradient step of each minibatch.

        Returns:
            critic_loss, policy_loss, temperature_loss where that is learned, temperature, entropy (of actions between
            -1 and 1), q (the mean of what was done), grad_norm (before clipping), and what the source tells; no losses
            while it warms up.

        Raises:
            NonFiniteError: a loss or gradient is not finite; weights and optimizer are as before.
        """
        return self._learning.run(batch, self._step)

    def judge(self, part: Transitions) -> tuple[Tensor | None, Tensor]:
        """Return what every action is worth and how far the one done is from its target.

        `[batch, num_actions]`, where they are one choice, and `[batch]`. Draws what a step would, and gives it back.
        """
        kept = self._noise.get_state()
        found = judged(self._critics, part, self._aim)
        self._noise.set_state(kept)
        return found

    def get_state(self) -> dict[str, Any]:
        """Return critics, their copy, temperature, optimizer and generators; the other weights are the policy's."""
        return {
            **self._learning.get_state(),
            "exploring": self._exploring.bit_generator.state,
            "noise": self._noise.get_state(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned."""
        self._learning.set_state(state)
        self._exploring.bit_generator.state = state["exploring"]
        self._noise.set_state(state["noise"])

    def _step(self, part: Transitions) -> tuple[dict[str, Tensor], Tensor]:
        heads = self._heads
        alpha = self._temperature.value().detach()
        target = self._aim(part)
        said = self._critics.of(part.observation, part.action)
        critic_loss = heads.loss(said, target.expand(len(said), -1, -1)).sum(dim=0).mean(dim=1)
        with frozen(self._critics):
            worth, entropy, aimed = self._expected(
                self._critics, part.observation, part.action_mask
            )
        losses = {
            "critic_loss": weighted_mean(critic_loss, part.weight),
            "policy_loss": -weighted_mean(worth[:, 0] + alpha * entropy, part.weight),
        }
        if self.learn_temperature:
            # Equation 18, by the logarithm as the authors' code has it.
            surplus = (entropy.detach() - aimed).mean()
            losses["temperature_loss"] = self._temperature.log_alpha[0] * surplus
        told = self._descent.step(losses)
        self._target.follow(self._descent.flat["critics"], self.judging.target_rate)
        values = heads.read(said.detach())[..., 0]
        error = (values - target[:, 0]).abs().mean(dim=0)
        told |= {"temperature": alpha, "entropy": entropy.detach().mean(), "q": values.mean()}
        return told, error

    @torch.no_grad()
    def _aim(self, part: Transitions) -> Tensor:
        """Return the targets, `[batch, factors]`: rewards, and the worth and entropy of what the policy does next."""
        worth, entropy, _ = self._expected(
            self._target.network, part.next_observation, part.next_action_mask
        )
        rewards, discount = part.bridge(self._heads.gammas, self.reward_scale)
        return rewards + discount * (worth + (self._temperature.value() * entropy).unsqueeze(1))

    def _expected(
        self, critics: Any, observation: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | float]:
        """Return what the policy's actions are worth by the least critic, its entropy, and the one that is aimed at.

        Of numbers all of it is of one draw.

        Returns:
            `[batch, factors]`, `[batch]`, and `[batch]` or a number.
        """
        outputs = self.policy.network(observation)[0]
        if self._choice:
            return self._of_choices(critics, observation, outputs, mask)
        distribution = self.policy.distribution
        assert isinstance(distribution, StateGaussian)
        size = self.policy.action_space.num_outputs
        whole = torch.randn(len(outputs) * self._ranks.size, size, generator=self._noise)
        noise = self._ranks.share(whole).to(outputs.device)
        action, log_prob = distribution.rsample(outputs, noise)
        entropy = log_slope(action) - log_prob
        worth = self._heads.read(critics.of(observation, action)).amin(dim=0)
        each = -1.0 if self.target_entropy is None else self.target_entropy
        return worth, entropy, each * size

    def _of_choices(
        self, critics: Any, observation: Tensor, outputs: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        log_probs = masked_logits(outputs, mask).log_softmax(dim=1)
        probabilities = log_probs.exp()
        values = self._heads.read(critics(observation)).amin(dim=0)
        legal = None if mask is None else mask.unsqueeze(1)
        worth = expectation(probabilities.unsqueeze(1), values.transpose(1, 2), legal)
        entropy = -expectation(probabilities, log_probs, mask)
        count = outputs.shape[1] if mask is None else mask.sum(dim=1)
        share = 0.5 if self.target_entropy is None else self.target_entropy
        return worth, entropy, share * torch.as_tensor(count, device=outputs.device).float().log()


class Temperature(nn.Module):
    """What entropy counts beside rewards, by its logarithm.

    Args:
        alpha: what it is at first.
    """

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.log_alpha = nn.Parameter(torch.full((1,), math.log(alpha)))

    def value(self) -> Tensor:
        """Return it, 0-dim."""
        return self.log_alpha[0].exp()


def log_slope(action: Tensor) -> Tensor:
    """Return the logarithm of how much a hyperbolic tangent stretches around actions, summed: `[batch]`.

    `log(1 - tanh(a)^2)`, which is 0 too soon where it is computed as it stands; Haarnoja et al., appendix C.

    Args:
        action: `[batch, size]` float32, before the tangent.
    """
    return 2 * (math.log(2) - action - nn.functional.softplus(-2 * action)).sum(dim=1)


def refuse_unsquashed(policy: Policy, name: str) -> None:
    """Raise ValueError if a policy's actions are not numbers that cannot leave their bounds.

    Args:
        policy: of the configured network.
        name: of the algorithm, as users know it.
    """
    space = policy.action_space
    if not space.continuous:
        raise ValueError(
            f"algo={name} does not know actions of several choices, and these are {space}"
        )
    if space.bounds != "squash":
        raise ValueError(
            f"algo={name} needs actions within bounds: env.action_bounds=squash where it plays, "
            "data.action_bounds=squash where it reads"
        )
