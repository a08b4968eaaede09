"""Implicit Q-learning: values of the better actions of the data alone, and a policy that copies those.

Kostrikov, Nair, Levine, "Offline Reinforcement Learning with Implicit Q-Learning", ICLR 2022: V is an expectile of Q
over the data's actions (equation 5), Q is learned towards V of what follows (equation 6), the policy by regression
weighted with exponential advantages (equation 7). No action that the data lacks is ever judged.

Deliberate deviations:
- Actions of every kind: of choices the likelihood is over the legal ones only, and critics judge all actions of one
  choice at once. Masks are needed nowhere else, since nothing is maximised over actions.
- Gaussians keep a deviation that does not depend on the state, as the authors' code does, but their means are not
  squashed where the environment clips.
- V, Q and policy step together, on gradients of the same weights, so that all move or none; the authors let Q and
  policy see V after its step.
- Several discount factors and two-hot values by switches, see `poke.algorithms.values.heads`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
from poke.algorithms.values.heads import expectile_weight
from poke.algorithms.values.learning import Learning, refuse_memory, weighted_mean
from poke.data.experience import Experience, Transitions
from poke.distributed.ranks import ALONE, Ranks
from poke.policies.policy import Policy


class IQL:
    """Algorithm: IQL on recorded transitions.

    Args:
        policy: is trained.
        make_network: makes critics of the configured kind of network.
        device: where they are to be.
        lr: Adam's learning rate of the critics.
        policy_lr: of the policy.
        lr_schedule: of both: constant, or linear or cosine to 0.
        schedule_steps: the update at which they reach 0.
        max_grad_norm: norm to clip each network's gradient at; 0: no clipping.
        gamma: discount factor.
        reward_scale: rewards are multiplied by this.
        expectile: tau, 0.5 to 1: how much better than the data's mean its best is taken to be.
        temperature: beta: how strongly the policy prefers what is better; 0: it clones. Mind the rewards' scale.
        max_weight: exponential advantages are cut here.
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
        expectile: float,
        temperature: float,
        max_weight: float = 100.0,
        lr_schedule: str = "constant",
        schedule_steps: int = 1,
        max_grad_norm: float = 0.0,
        reward_scale: float = 1.0,
        critics: Mapping[str, Any] | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        refuse_memory(policy, "iql")
        self.policy = policy
        self.expectile = expectile
        self.temperature = temperature
        self.max_weight = max_weight
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
        self._value = make_network(self._heads.size).to(device)
        self._target = Follower(self._critics)
        self._descent = Descent(
            {"policy": policy.network, "critics": self._critics, "value": self._value},
            lr={"policy": policy_lr, "critics": lr, "value": lr},
            max_grad_norm=max_grad_norm,
            schedule=lr_schedule,
            schedule_steps=schedule_steps,
            ranks=ranks,
        )
        self._learning = Learning(
            policy,
            self._descent,
            networks={"critics": self._critics, "value": self._value},
            followers={"critics": self._target},
        )

    def update(self, batch: Experience) -> Mapping[str, Tensor | float]:
        """Make a gradient step of each minibatch.

        Returns:
            value_loss, critic_loss, policy_loss, value (the mean V), advantage (the mean), grad_norm (before clipping).

        Raises:
            NonFiniteError: a loss or gradient is not finite; weights and optimizer are as before.
        """
        return self._learning.run(batch, self._step)

    def judge(self, part: Transitions) -> tuple[Tensor | None, Tensor]:
        """Return what every action is worth and how far the one done is from its target.

        `[batch, num_actions]`, where they are one choice, and `[batch]`.
        """
        return judged(self._critics, part, self._aim)

    def get_state(self) -> dict[str, Any]:
        """Return critics, their copy and the optimizer; the other weights are the policy's."""
        return self._learning.get_state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned."""
        self._learning.set_state(state)

    def _step(self, part: Transitions) -> tuple[dict[str, Tensor], Tensor]:
        heads = self._heads
        with torch.no_grad():
            judged = heads.read(self._target.network.of(part.observation, part.action)).amin(dim=0)
        target = self._aim(part)
        # V: an expectile of Q over the data's actions, equation 5.
        said = self._value(part.observation)
        value = heads.read(said.detach())
        advantage = judged - value
        value_loss = expectile_weight(advantage, self.expectile) * heads.loss(said, judged)
        # Q: towards V of what follows, equation 6.
        outputs = self._critics.of(part.observation, part.action)
        critic_loss = heads.loss(outputs, target.expand(len(outputs), -1, -1)).sum(dim=0)
        error = (heads.read(outputs.detach()) - target)[..., 0].abs().mean(dim=0)
        # The policy: likelihood, weighted by exponential advantages, equation 7.
        preferred = (self.temperature * advantage[:, 0]).exp().clamp(max=self.max_weight)
        logits = self.policy.network(part.observation)[0]
        log_prob, _ = self.policy.distribution.log_prob_and_entropy(
            logits, part.action, part.action_mask
        )
        told = self._descent.step(
            {
                "value_loss": weighted_mean(value_loss.mean(dim=1), part.weight),
                "critic_loss": weighted_mean(critic_loss.mean(dim=1), part.weight),
                "policy_loss": -weighted_mean(preferred * log_prob, part.weight),
            }
        )
        self._target.follow(self._descent.flat["critics"], self.judging.target_rate)
        return {**told, "value": value[:, 0].mean(), "advantage": advantage[:, 0].mean()}, error

    @torch.no_grad()
    def _aim(self, part: Transitions) -> Tensor:
        """Return the targets, `[batch, factors]`: rewards, and V of what comes next."""
        rewards, discount = part.bridge(self._heads.gammas, self.reward_scale)
        return rewards + discount * self._heads.read(self._value(part.next_observation))
