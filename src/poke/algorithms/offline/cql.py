"""Conservative Q-learning: values that do not believe what the data never tried.

Kumar, Zhou, Tucker, Levine, "Conservative Q-Learning for Offline Reinforcement Learning", NeurIPS 2020: CQL(H),
equation 4 with the entropy as its regulariser: a logsumexp over all actions less the value of the data's action. Of one
choice beside double Q-learning (van Hasselt et al., AAAI 2016), of numbers beside soft actor-critic (Haarnoja et al.,
2018), where the logsumexp is one of draws (appendix F).

Deliberate deviations:
- Illegal actions are left out of the logsumexp and of every maximum.
- Of one choice, several critics, the least of which counts in targets; the first of them is the policy, greedy. So a
  value is one output an action: there are no two-hot values, and no discount factors besides the one that counts. The
  loss of errors is linear beyond 1 (Huber), as in the authors' own code for Atari.
- Of numbers, draws are uniform ones and the policy's for the same observation, as appendix F has it; the authors' code
  adds those for the next. Targets have no entropy, as in that code. Policy, critics and temperature step together, on
  gradients of the same weights. The policy does not clone at first.
- alpha is fixed: it is not moved to hold a gap (equation 30).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from poke.algorithms.descent import Descent
from poke.algorithms.off_policy.sac import refuse_unsquashed
from poke.algorithms.offline.cql_numbers import NumberLearner
from poke.algorithms.values.critics import (
    ActionCritics,
    ChoiceCritics,
    Follower,
    Judging,
    MakeNetwork,
    make_critics,
)
from poke.algorithms.values.learning import Learning, refuse_memory, weighted_mean
from poke.algorithms.values.masked import chosen, legal_argmax, legal_logsumexp
from poke.data.experience import Experience, Transitions
from poke.distributed.ranks import ALONE, Ranks
from poke.networks.actor_critic import ActorCritic
from poke.policies.policy import Policy


class CQL:
    """Algorithm: CQL on recorded transitions, of one choice or of numbers.

    Args:
        make_policy: makes a policy for what the source has.
        make_network: makes critics of the configured kind of network.
        device: where they are to be.
        seed: of draws of numbers.
        lr: Adam's learning rate of the critics.
        policy_lr: of a policy of numbers; one of choices is a critic.
        lr_schedule: of all: constant, or linear or cosine to 0.
        schedule_steps: the update at which they reach 0.
        max_grad_norm: norm to clip each network's gradient at; 0: no clipping.
        gamma: discount factor.
        reward_scale: rewards are multiplied by this.
        alpha: how much weight being conservative has beside being right. It is compared with errors of values, and must
            fit the rewards' scale.
        num_samples: draws, of numbers: so many uniform ones and as many of the policy's actions.
        temperature: of numbers: what entropy counts beside values, at first.
        critics: as of `Judging`; of choices the policy is one of `num`.
        ranks: the processes that learn together.

    Raises:
        ValueError: the policy has a memory; actions are several choices, or numbers that are not squashed; or critics
            of choices are to say more than a value an action.
    """

    def __init__(
        self,
        make_policy: Callable[..., Policy],
        make_network: MakeNetwork,
        device: torch.device,
        *,
        lr: float,
        gamma: float,
        alpha: float,
        policy_lr: float = 3e-4,
        num_samples: int = 10,
        temperature: float = 1.0,
        lr_schedule: str = "constant",
        schedule_steps: int = 1,
        max_grad_norm: float = 0.0,
        reward_scale: float = 1.0,
        critics: Mapping[str, Any] | None = None,
        seed: int = 0,
        ranks: Ranks = ALONE,
    ) -> None:
        self.policy = make_policy(std="network")
        refuse_memory(self.policy, "cql")
        space, judging = self.policy.action_space, Judging(**(critics or {}))
        descent = {
            "max_grad_norm": max_grad_norm,
            "schedule": lr_schedule,
            "schedule_steps": schedule_steps,
            "ranks": ranks,
        }
        self._learner: ChoiceLearner | NumberLearner
        if space.kind == "discrete":
            heads = judging.heads(gamma, device, loss="huber")
            others = [make_network(space.num_outputs).to(device) for _ in range(judging.num - 1)]
            networks = [_Outputs(self.policy.network), *others]
            self._learner = ChoiceLearner(
                ChoiceCritics(networks, heads),
                judging,
                lr=lr,
                alpha=alpha,
                reward_scale=reward_scale,
                descent=descent,
            )
        else:
            refuse_unsquashed(self.policy, "cql")
            judges = make_critics(
                make_network,
                self.policy.observation_space,
                space,
                judging.heads(gamma, device),
                judging=judging,
                device=device,
            )
            assert isinstance(judges, ActionCritics)
            self._learner = NumberLearner(
                self.policy,
                judges,
                judging,
                device,
                seed=seed,
                lr=lr,
                policy_lr=policy_lr,
                alpha=alpha,
                num_samples=num_samples,
                temperature=temperature,
                reward_scale=reward_scale,
                descent=descent,
            )
        self._descent = self._learner.descent
        self._learning = Learning(
            self.policy,
            self._descent,
            networks=self._learner.networks,
            followers=self._learner.followers,
        )

    def update(self, batch: Experience) -> Mapping[str, Tensor | float]:
        """Make a gradient step of each minibatch.

        Returns:
            critic_loss, conservative_loss (before alpha), q (the mean of the data's actions), grad_norm (before
            clipping); of numbers policy_loss, temperature_loss, temperature and entropy (of actions between -1 and 1).

        Raises:
            NonFiniteError: a loss or gradient is not finite; weights and optimizer are as before.
        """
        return self._learning.run(batch, self._learner.step)

    def judge(self, part: Transitions) -> tuple[Tensor | None, Tensor]:
        """Return what every action is worth and how far the one done is from its target.

        `[batch, num_actions]`, where they are one choice, and `[batch]`.
        """
        return self._learner.judge(part)

    def get_state(self) -> dict[str, Any]:
        """Return critics, their copy, optimizer and generator; the other weights are the policy's."""
        return {**self._learning.get_state(), **self._learner.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned."""
        self._learning.set_state(state)
        self._learner.set_state(state)


class ChoiceLearner:
    """Makes the steps of CQL of one choice.

    Args:
        critics: the policy first.
        judging: what they are.
        lr: Adam's learning rate.
        alpha: how much weight being conservative has.
        reward_scale: rewards are multiplied by this.
        descent: the other arguments of `Descent`.

    Raises:
        ValueError: critics are to say more than a value an action.
    """

    def __init__(
        self,
        critics: ChoiceCritics,
        judging: Judging,
        *,
        lr: float,
        alpha: float,
        reward_scale: float,
        descent: Mapping[str, Any],
    ) -> None:
        if judging.bins or judging.extra_gammas or judging.layer_norm:
            raise ValueError(
                "algo=cql makes the policy of a critic, a network that says one value an action: "
                "leave out algo.critics.bins, algo.critics.extra_gammas and algo.critics.layer_norm"
            )
        self._critics = critics
        self._heads = critics.heads
        self._target = Follower(critics)
        self._rate = judging.target_rate
        self._alpha = alpha
        self._reward_scale = reward_scale
        self.descent = Descent({"critics": critics}, lr={"critics": lr}, **descent)
        self.networks = {"critics": critics.networks[1:]}  # the first is the policy's
        self.followers = {"critics": self._target}

    def step(self, part: Transitions) -> tuple[dict[str, Tensor], Tensor]:
        """Make a gradient step; return metrics and `[batch]` absolute errors."""
        target = self._aim(part)
        values = self._critics(part.observation)[..., 0]
        said = chosen(values, part.action)
        error = said - target
        critic_loss = self._heads.error_loss(error).sum(dim=0)
        conservative = (legal_logsumexp(values, part.action_mask) - said).sum(dim=0)
        conservative_loss = weighted_mean(conservative, part.weight)
        told = self.descent.step(
            {
                "critic_loss": weighted_mean(critic_loss, part.weight),
                "conservative_loss": self._alpha * conservative_loss,
            }
        )
        self._target.follow(self.descent.flat["critics"], self._rate)
        told |= {"conservative_loss": conservative_loss.detach(), "q": said.detach().mean()}
        return told, error.detach().abs().mean(dim=0)

    @torch.no_grad()
    def judge(self, part: Transitions) -> tuple[Tensor, Tensor]:
        """Return what every action is worth by the policy, and how far the one done is from its target."""
        values = self._critics(part.observation)[0, ..., 0]
        return values, (chosen(values, part.action) - self._aim(part)).abs()

    def get_state(self) -> dict[str, Any]:
        """Return nothing: nothing is drawn."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take nothing back."""

    @torch.no_grad()
    def _aim(self, part: Transitions) -> Tensor:
        """Return the targets, `[batch]`: the action is chosen by the critics' mean, and judged by the least copy."""
        seen, mask = part.next_observation, part.next_action_mask
        best = legal_argmax(self._critics(seen)[..., 0].mean(dim=0), mask)
        after = chosen(self._target.network(seen)[..., 0], best).amin(dim=0)
        rewards, discount = part.bridge(self._heads.gammas, self._reward_scale)
        return rewards[:, 0] + discount[:, 0] * after


class _Outputs(nn.Module):
    """A policy's network as one of the critics: its outputs are the actions' values."""

    def __init__(self, network: ActorCritic) -> None:
        super().__init__()
        self.network = network

    def forward(self, observation: Tensor) -> Tensor:
        """Map `[batch, *observation_shape]` to `[batch, num_actions]` float32."""
        return self.network(observation)[0]
