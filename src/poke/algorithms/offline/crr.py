"""Critic regularised regression: copy what a critic finds better than what the policy would do.

Wang et al., "Critic Regularized Regression", NeurIPS 2020: the policy by regression on the data's actions that pass a
filter (equation 1), binary (equation 3) or exponential (equation 4), of an advantage over what the policy would do
(equation 5).

Deliberate deviations:
- Of one choice the mean over the policy's actions is exact and over the legal ones; of other actions it is one over
  `num_samples` draws.
- Several critics, the least of which counts; targets take the policy as it is, not a copy of it.
- Values are numbers, or two-hot by a switch, in place of the authors' categorical ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from poke.algorithms.descent import Descent
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
from poke.policies.distributions import masked_logits
from poke.policies.policy import Policy


class CRR:
    """Algorithm: CRR on recorded transitions.

    Args:
        policy: is trained.
        make_network: makes critics of the configured kind of network.
        device: where they are to be.
        seed: of draws of the policy's actions.
        lr: Adam's learning rate of the critics.
        policy_lr: of the policy.
        lr_schedule: of both: constant, or linear or cosine to 0.
        schedule_steps: the update at which they reach 0.
        max_grad_norm: norm to clip each network's gradient at; 0: no clipping.
        gamma: discount factor.
        reward_scale: rewards are multiplied by this.
        filter: ``binary``: what is better than the policy counts, what is not does not; or ``exponential``.
        temperature: beta, which exponential advantages are divided by; it must fit the rewards' scale.
        max_weight: exponential weights are cut here.
        num_samples: draws of the policy's actions where they are not one choice.
        critics: as of `Judging`.
        ranks: the processes that learn together.

    Raises:
        ValueError: the policy has a memory.
    """

    def __init__(
        self,
        policy: Policy,
        make_network: MakeNetwork,
        device: torch.device,
        *,
        lr: float,
        policy_lr: float,
        gamma: float,
        filter: str = "binary",
        temperature: float = 1.0,
        max_weight: float = 20.0,
        num_samples: int = 4,
        lr_schedule: str = "constant",
        schedule_steps: int = 1,
        max_grad_norm: float = 0.0,
        reward_scale: float = 1.0,
        critics: Mapping[str, Any] | None = None,
        seed: int = 0,
        ranks: Ranks = ALONE,
    ) -> None:
        refuse_memory(policy, "crr")
        self.policy = policy
        self.filter = filter
        self.temperature = temperature
        self.max_weight = max_weight
        self.num_samples = num_samples
        self.reward_scale = reward_scale
        self.judging = Judging(**(critics or {}))
        self._heads = self.judging.heads(gamma, device)
        self._critics = make_critics(
            make_network,
            policy.observation_space,
            policy.action_space,
            self._heads,
            judging=self.judging,
            device=device,
        )
        self._target = Follower(self._critics)
        self._descent = Descent(
            {"policy": policy.network, "critics": self._critics},
            lr={"policy": policy_lr, "critics": lr},
            max_grad_norm=max_grad_norm,
            schedule=lr_schedule,
            schedule_steps=schedule_steps,
            ranks=ranks,
        )
        self._learning = Learning(
            policy,
            self._descent,
            networks={"critics": self._critics},
            followers={"critics": self._target},
        )
        self._ranks = ranks
        self._generator = np.random.default_rng([seed, 4])

    def update(self, batch: Experience) -> Mapping[str, Tensor | float]:
        """Make a gradient step of each minibatch.

        Returns:
            critic_loss, policy_loss, advantage (the mean), weight (the mean that decisions have), grad_norm (before
            clipping).

        Raises:
            NonFiniteError: a loss or gradient is not finite; weights and optimizer are as before.
        """
        return self._learning.run(batch, self._step)

    def judge(self, part: Transitions) -> tuple[Tensor | None, Tensor]:
        """Return what every action is worth and how far the one done is from its target.

        `[batch, num_actions]`, where they are one choice, and `[batch]`. Draws what a step would, and gives it back.
        """
        kept = self._generator.bit_generator.state
        found = judged(self._critics, part, self._aim)
        self._generator.bit_generator.state = kept
        return found

    def get_state(self) -> dict[str, Any]:
        """Return critics, their copy, optimizer and generator; the other weights are the policy's."""
        return {**self._learning.get_state(), "generator": self._generator.bit_generator.state}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned."""
        self._learning.set_state(state)
        self._generator.bit_generator.state = state["generator"]

    def _step(self, part: Transitions) -> tuple[dict[str, Tensor], Tensor]:
        heads = self._heads
        logits = self.policy.network(part.observation)[0]
        target = self._aim(part)
        outputs = self._critics.of(part.observation, part.action)
        critic_loss = heads.loss(outputs, target.expand(len(outputs), -1, -1)).sum(dim=0)
        said = heads.read(outputs.detach())
        usual = self._expected(self._critics, part.observation, logits.detach(), part.action_mask)
        advantage = (said.amin(dim=0) - usual)[:, 0]
        weight = self._weight(advantage)
        log_prob, _ = self.policy.distribution.log_prob_and_entropy(
            logits, part.action, part.action_mask
        )
        told = self._descent.step(
            {
                "critic_loss": weighted_mean(critic_loss.mean(dim=1), part.weight),
                "policy_loss": -weighted_mean(weight * log_prob, part.weight),
            }
        )
        self._target.follow(self._descent.flat["critics"], self.judging.target_rate)
        error = (said - target)[..., 0].abs().mean(dim=0)
        return {**told, "advantage": advantage.mean(), "weight": weight.mean()}, error

    def _weight(self, advantage: Tensor) -> Tensor:
        """Return what decisions count, equations 3 and 4."""
        if self.filter == "binary":
            return (advantage > 0).float()
        return (advantage / self.temperature).exp().clamp(max=self.max_weight)

    @torch.no_grad()
    def _aim(self, part: Transitions) -> Tensor:
        """Return the targets, `[batch, factors]`: rewards, and what the policy would make of what comes next."""
        logits = self.policy.network(part.next_observation)[0]
        after = self._expected(
            self._target.network, part.next_observation, logits, part.next_action_mask
        )
        rewards, discount = part.bridge(self._heads.gammas, self.reward_scale)
        return rewards + discount * after

    @torch.no_grad()
    def _expected(
        self, critics: Any, observation: Tensor, outputs: Tensor, mask: Tensor | None
    ) -> Tensor:
        """Return what the policy's actions are worth by the least critic, `[batch, factors]`.

        Args:
            critics: judge.
            observation: `[batch, *observation_shape]`.
            outputs: the policy's for it.
            mask: of its actions.
        """
        if self.policy.action_space.kind == "discrete":
            values = self._heads.read(critics(observation)).amin(dim=0)
            probabilities = masked_logits(outputs, mask).softmax(dim=-1)
            legal = None if mask is None else mask.unsqueeze(1)
            return expectation(probabilities.unsqueeze(1), values.transpose(1, 2), legal)
        numbers = outputs.cpu().numpy()
        legal_ = None if mask is None else mask.cpu().numpy()
        draws = self._ranks.draws(self._generator)
        total = torch.zeros(len(outputs), len(self._heads.gammas), device=outputs.device)
        for _ in range(self.num_samples):
            with np.errstate(all="ignore"):  # of a network that broke its loss tells
                drawn, _ = self.policy.distribution.sample(numbers, legal_, draws)
            action = torch.from_numpy(drawn).to(outputs.device)
            total += self._heads.read(critics.of(observation, action)).amin(dim=0)
        return total / self.num_samples
