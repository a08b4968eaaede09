"""Conservative Q-learning, of one choice: values that do not believe what the data never tried.

Kumar, Zhou, Tucker, Levine, "Conservative Q-Learning for Offline Reinforcement Learning", NeurIPS 2020: CQL(H),
equation 4 with the entropy as its regulariser, which of choices is a logsumexp over all actions less the value of the
data's action; beside double Q-learning (van Hasselt et al., AAAI 2016).

Deliberate deviations:
- Illegal actions are left out of the logsumexp and of every maximum.
- Several critics, the least of which counts in targets; the first of them is the policy, greedy. So a value is one
  output an action: there are no two-hot values, and no discount factors besides the one that counts.
- The loss of errors is linear beyond 1 (Huber), as in the authors' own code for Atari.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from poke.algorithms.descent import Descent
from poke.algorithms.off_policy.dqn import refuse_all_but_one_choice
from poke.algorithms.values.critics import ChoiceCritics, Follower, Judging, MakeNetwork
from poke.algorithms.values.learning import Learning, refuse_memory, weighted_mean
from poke.algorithms.values.masked import chosen, legal_argmax, legal_logsumexp
from poke.data.experience import Experience, Transitions
from poke.networks.actor_critic import ActorCritic
from poke.policies.policy import Policy


class CQL:
    """Algorithm: CQL on recorded transitions.

    Args:
        policy: is trained: the first critic.
        make_network: makes the others, of the configured kind of network.
        device: where they are to be.
        lr: Adam's learning rate.
        lr_schedule: constant, or linear or cosine to 0.
        schedule_steps: the update at which it reaches 0.
        max_grad_norm: global norm to clip at; 0: no clipping.
        gamma: discount factor.
        reward_scale: rewards are multiplied by this.
        alpha: how much weight being conservative has beside being right. It is compared with errors of values, and must
            fit the rewards' scale.
        critics: as of `Judging`; the policy is one of `num`.

    Raises:
        ValueError: the policy has a memory, actions are not one choice, or critics are to say more than a value an
            action.
    """

    def __init__(
        self,
        policy: Policy,
        make_network: MakeNetwork,
        device: torch.device,
        *,
        lr: float,
        gamma: float,
        alpha: float,
        lr_schedule: str = "constant",
        schedule_steps: int = 1,
        max_grad_norm: float = 0.0,
        reward_scale: float = 1.0,
        critics: Mapping[str, Any] | None = None,
    ) -> None:
        refuse_memory(policy, "cql")
        refuse_all_but_one_choice(policy, "cql")
        self.policy = policy
        self.alpha = alpha
        self.reward_scale = reward_scale
        self.judging = Judging(**(critics or {}))
        if self.judging.bins or self.judging.extra_gammas:
            raise ValueError(
                "algo=cql makes the policy of a critic, which says one value an action: "
                "leave out algo.critics.bins and algo.critics.extra_gammas"
            )
        self._heads = self.judging.heads(gamma, device, loss="huber")
        count = self.judging.num - 1
        others = [make_network(policy.action_space.num_outputs) for _ in range(count)]
        self._others = nn.ModuleList(others).to(device)
        networks = [_Outputs(policy.network), *self._others]
        self._critics = ChoiceCritics(networks, self._heads)
        self._target = Follower(self._critics)
        self._descent = Descent(
            {"critics": self._critics},
            lr={"critics": lr},
            max_grad_norm=max_grad_norm,
            schedule=lr_schedule,
            schedule_steps=schedule_steps,
        )
        self._learning = Learning(
            policy,
            self._descent,
            networks={"critics": self._others},
            followers={"critics": self._target},
        )

    def update(self, batch: Experience) -> Mapping[str, Tensor | float]:
        """Make a gradient step of each minibatch.

        Returns:
            critic_loss, conservative_loss (before alpha), q (the mean of the data's actions), grad_norm (before
            clipping).

        Raises:
            NonFiniteError: a loss or gradient is not finite; weights and optimizer are as before.
        """
        return self._learning.run(batch, self._step)

    def judge(self, part: Transitions) -> tuple[Tensor, Tensor]:
        """Return what every action is worth, `[batch, num_actions]`, and how far the one done is from its target."""
        with torch.no_grad():
            values = self._critics(part.observation)[0, ..., 0]
            return values, (chosen(values, part.action) - self._aim(part)).abs()

    def get_state(self) -> dict[str, Any]:
        """Return the other critics, the copy of all and the optimizer; the first critic is the policy's."""
        return self._learning.get_state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned."""
        self._learning.set_state(state)

    def _step(self, part: Transitions) -> tuple[dict[str, Tensor], Tensor]:
        target = self._aim(part)
        values = self._critics(part.observation)[..., 0]
        said = chosen(values, part.action)
        error = said - target
        critic_loss = self._heads.error_loss(error).sum(dim=0)
        conservative = (legal_logsumexp(values, part.action_mask) - said).sum(dim=0)
        conservative_loss = weighted_mean(conservative, part.weight)
        told = self._descent.step(
            {
                "critic_loss": weighted_mean(critic_loss, part.weight),
                "conservative_loss": self.alpha * conservative_loss,
            }
        )
        self._target.follow(self._descent.flat["critics"], self.judging.target_rate)
        told |= {"conservative_loss": conservative_loss.detach(), "q": said.detach().mean()}
        return told, error.detach().abs().mean(dim=0)

    @torch.no_grad()
    def _aim(self, part: Transitions) -> Tensor:
        """Return the targets, `[batch]`: the action is chosen by the critics' mean, and judged by the least copy."""
        seen, mask = part.next_observation, part.next_action_mask
        best = legal_argmax(self._critics(seen)[..., 0].mean(dim=0), mask)
        after = chosen(self._target.network(seen)[..., 0], best).amin(dim=0)
        rewards, discount = part.bridge(self._heads.gammas, self.reward_scale)
        return rewards[:, 0] + discount[:, 0] * after


class _Outputs(nn.Module):
    """A policy's network as one of the critics: its outputs are the actions' values."""

    def __init__(self, network: ActorCritic) -> None:
        super().__init__()
        self.network = network

    def forward(self, observation: Tensor) -> Tensor:
        """Map `[batch, *observation_shape]` to `[batch, num_actions]` float32."""
        return self.network(observation)[0]
