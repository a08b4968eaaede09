"""Advantage-weighted regression: copy what turned out better than usual.

Peng, Kumar, Zhang, Levine, "Advantage-Weighted Regression: Simple and Scalable Off-Policy Reinforcement Learning",
2019: values by regression on returns (algorithm 1, line 4), the policy by regression weighted with exponential
advantages (line 5).

Deliberate deviations:
- Returns are Monte-Carlo ones of the recording, or with a lambda below 1 what the n steps of a transition earned with
  the value of what follows (a share lambda of the former and the rest of the latter), in place of TD(lambda).
- Recorded actions of every kind, legal ones only; one update of both networks at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from poke.algorithms.descent import Descent
from poke.algorithms.values.critics import Judging, MakeNetwork
from poke.algorithms.values.learning import Learning, refuse_memory, weighted_mean
from poke.data.experience import Experience, Transitions
from poke.distributed.ranks import ALONE, Ranks
from poke.policies.policy import Policy


class AWR:
    """Algorithm: AWR on recorded transitions.

    Args:
        policy: is trained.
        make_network: makes the value network, of the configured kind.
        device: where it is to be.
        lr: Adam's learning rate of values.
        policy_lr: of the policy.
        lr_schedule: of both: constant, or linear or cosine to 0.
        schedule_steps: the update at which they reach 0.
        max_grad_norm: norm to clip each network's gradient at; 0: no clipping.
        gamma: discount factor.
        reward_scale: rewards are multiplied by this.
        temperature: beta, which advantages are divided by; it must fit the rewards' scale.
        max_weight: exponential advantages are cut here.
        return_share: lambda: how much of a value's target is the recorded return; the rest is bootstrapped.
        bins: of two-hot values; 0: values are numbers.
        low: least value that bins reach.
        high: greatest.
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
        temperature: float = 1.0,
        max_weight: float = 20.0,
        return_share: float = 1.0,
        lr_schedule: str = "constant",
        schedule_steps: int = 1,
        max_grad_norm: float = 0.0,
        reward_scale: float = 1.0,
        bins: int = 0,
        low: float = -1.0,
        high: float = 1.0,
        ranks: Ranks = ALONE,
    ) -> None:
        refuse_memory(policy, "awr")
        self.policy = policy
        self.temperature = temperature
        self.max_weight = max_weight
        self.return_share = return_share
        self.reward_scale = reward_scale
        self._heads = Judging(bins=bins, low=low, high=high).heads(gamma, device)
        self._value = make_network(self._heads.size).to(device)
        self._descent = Descent(
            {"policy": policy.network, "value": self._value},
            lr={"policy": policy_lr, "value": lr},
            max_grad_norm=max_grad_norm,
            schedule=lr_schedule,
            schedule_steps=schedule_steps,
            ranks=ranks,
        )
        self._learning = Learning(
            policy, self._descent, networks={"value": self._value}, followers={}
        )

    def update(self, batch: Experience) -> Mapping[str, Tensor | float]:
        """Make a gradient step of each minibatch.

        Returns:
            value_loss, policy_loss, value and advantage (the means), grad_norm (before clipping).

        Raises:
            NonFiniteError: a loss or gradient is not finite; weights and optimizer are as before.
            ValueError: the source knows no returns.
        """
        return self._learning.run(batch, self._step)

    def get_state(self) -> dict[str, Any]:
        """Return the value network and the optimizer; the other weights are the policy's."""
        return self._learning.get_state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned."""
        self._learning.set_state(state)

    def _step(self, part: Transitions) -> tuple[dict[str, Tensor], Tensor]:
        heads = self._heads
        target = self._aim(part)
        said = self._value(part.observation)
        value = heads.read(said.detach())[:, 0]
        advantage = target - value
        weight = (advantage / self.temperature).exp().clamp(max=self.max_weight)
        outputs = self.policy.network(part.observation)[0]
        log_prob, _ = self.policy.distribution.log_prob_and_entropy(
            outputs, part.action, part.action_mask
        )
        value_loss = heads.loss(said, target.unsqueeze(1))[:, 0]
        told = self._descent.step(
            {
                "value_loss": weighted_mean(value_loss, part.weight),
                "policy_loss": -weighted_mean(weight * log_prob, part.weight),
            }
        )
        return {**told, "value": value.mean(), "advantage": advantage.mean()}, advantage.abs()

    @torch.no_grad()
    def _aim(self, part: Transitions) -> Tensor:
        if part.return_ is None:
            raise ValueError(
                "algo=awr needs the returns of recorded episodes: take data=transitions"
            )
        recorded = part.return_ * self.reward_scale
        if self.return_share == 1:
            return recorded
        rewards, discount = part.bridge(self._heads.gammas, self.reward_scale)
        after = self._heads.read(self._value(part.next_observation))
        return (
            self.return_share * recorded
            + (1 - self.return_share) * (rewards + discount * after)[:, 0]
        )
