"""Twin delayed deterministic policy gradients, and what stays near recorded actions.

Fujimoto, van Hoof, Meger, "Addressing Function Approximation Error in Actor-Critic Methods", ICML 2018: twin critics,
smoothed target actions, a policy that moves less often. Offline, TD3+BC: Fujimoto & Gu, "A Minimalist Approach to
Offline Reinforcement Learning", NeurIPS 2021 (equation 3, with the normalised Q of equation 5); ReBRAC: Tarasov et al.,
"Revisiting the Minimalist Approach to Offline Reinforcement Learning", NeurIPS 2023 (equations 4 and 5: recorded
actions count in the critics' targets as well).

Deliberate deviations:
- Where the policy moves, it does so together with the critics, on gradients of the same weights, so that all move or
  none; the authors let it see the critics after their step.
- How far actions are from recorded ones is the mean over an action's numbers, as of TD3+BC; ReBRAC takes the sum.
- ReBRAC's critics have normalised layers by `critics.layer_norm`; its third layer and its larger batch are settings.
- The policy climbs the first critic, as of TD3; ReBRAC takes the least of both.
- TD3+BC's weight counts beside a Q whose mean size is 1: its alpha of 2.5 is a `bc_weight` of 1 / 2.5.
- Of a transition whose next action nobody recorded, ReBRAC's target is as of TD3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from poke.algorithms.descent import Descent, frozen
from poke.algorithms.off_policy.sac import refuse_unsquashed
from poke.algorithms.values.critics import Follower, Judging, MakeNetwork, judged, make_critics
from poke.algorithms.values.learning import Learning, refuse_memory, weighted_mean
from poke.data.experience import Experience, Transitions
from poke.distributed.ranks import ALONE, Ranks
from poke.policies.policy import Policy

# How near the bounds a drawn action may come: what it was before the tangent stays finite.
EDGE = 1 - 1e-6


class TD3:
    """Algorithm: TD3, on a replay buffer; with `bc_weight` TD3+BC or ReBRAC, on recorded transitions.

    Args:
        make_policy: makes a policy for what the source has.
        make_network: makes critics of the configured kind of network.
        device: where they are to be.
        seed: of exploration and of draws.
        lr: Adam's learning rate of the critics.
        policy_lr: of the policy.
        lr_schedule: of both: constant, or linear or cosine to 0.
        schedule_steps: gradient steps after which they reach 0.
        max_grad_norm: norm to clip each network's gradient at; 0: no clipping.
        gamma: discount factor.
        reward_scale: rewards are multiplied by this.
        exploration_noise: deviation of what is added to actions while playing; noise is of actions between -1 and 1.
        target_noise: likewise to the target's actions.
        target_noise_clip: where that is cut.
        policy_every: gradient steps between moves of the policy, and of all copies.
        bc_weight: what squared distances from recorded actions cost the policy; 0: nothing.
        next_bc_weight: and what they cost the value of what comes next.
        normalize_q: divide the policy's Q by the mean of its absolute values.
        critics: as of `Judging`.
        ranks: the processes that learn together.

    Raises:
        ValueError: the policy has a memory, or actions are not numbers that are squashed.
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
        exploration_noise: float = 0.1,
        target_noise: float = 0.2,
        target_noise_clip: float = 0.5,
        policy_every: int = 2,
        bc_weight: float = 0.0,
        next_bc_weight: float = 0.0,
        normalize_q: bool = False,
        lr_schedule: str = "constant",
        schedule_steps: int = 1,
        max_grad_norm: float = 0.0,
        reward_scale: float = 1.0,
        critics: Mapping[str, Any] | None = None,
        seed: int = 0,
        ranks: Ranks = ALONE,
    ) -> None:
        # The deviation is that of policies which are asked to explore; nothing here learns it.
        self.policy = make_policy(log_std=float(np.log(max(exploration_noise, 1e-3))))
        refuse_memory(self.policy, "td3")
        refuse_unsquashed(self.policy, "td3")
        self.reward_scale = reward_scale
        self.exploration_noise = exploration_noise
        self.target_noise = target_noise
        self.target_noise_clip = target_noise_clip
        self.policy_every = policy_every
        self.bc_weight = bc_weight
        self.next_bc_weight = next_bc_weight
        self.normalize_q = normalize_q
        self.judging = Judging(**(critics or {}))
        self._heads = self.judging.heads(gamma, device)
        self._critics: Any = make_critics(
            make_network,
            self.policy.observation_space,
            self.policy.action_space,
            self._heads,
            judging=self.judging,
            device=device,
        )
        self._target = Follower(self._critics)
        self._target_policy = Follower(self.policy.network)
        self._descent = Descent(
            {"policy": self.policy.network, "critics": self._critics},
            lr={"policy": policy_lr, "critics": lr},
            max_grad_norm=max_grad_norm,
            schedule=lr_schedule,
            schedule_steps=schedule_steps,
            ranks=ranks,
        )
        self._learning = Learning(
            self.policy,
            self._descent,
            networks={"critics": self._critics},
            followers={"critics": self._target, "policy": self._target_policy},
        )
        self._ranks = ranks
        self._exploring = np.random.default_rng([seed, 3])
        self._noise = torch.Generator().manual_seed(seed)

    def explore(self, observation: np.ndarray, action_mask: np.ndarray | None) -> np.ndarray:
        """Return the policy's actions with noise, as of `poke.protocols.Explorer`."""
        outputs, _ = self.policy.infer(observation, judge=False)
        noise = self._ranks.draws(self._exploring).standard_normal(outputs.shape, np.float32)
        action = np.tanh(outputs) + np.float32(self.exploration_noise) * noise
        return np.arctanh(np.clip(action, -EDGE, EDGE)).astype(np.float32)

    def update(self, batch: Experience) -> Mapping[str, Tensor | float]:
        """Make a gradient step of each minibatch.

        Returns:
            critic_loss, q (the mean of what was done), grad_norm (before clipping), where the policy moved policy_loss
            and with a bc_weight bc_loss (the mean squared distance), and what the source tells; no losses while it
            warms up. Of several minibatches policy_loss and bc_loss are means over all, 0 where it did not move.

        Raises:
            NonFiniteError: a loss or gradient is not finite; weights and optimizer are as before.
        """
        return self._learning.run(batch, self._step)

    def judge(self, part: Transitions) -> tuple[Tensor | None, Tensor]:
        """Return nothing of all actions, and how far the one done is from its target, `[batch]`.

        Draws what a step would draw, and gives it back.
        """
        kept = self._noise.get_state()
        found = judged(self._critics, part, self._aim)
        self._noise.set_state(kept)
        return found

    def get_state(self) -> dict[str, Any]:
        """Return critics, all copies, optimizer and generators; the other weights are the policy's."""
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
        if not self._descent.num_steps:
            # The policy may have been given another run's weights since the copy was made.
            self._target_policy.follow(self._descent.flat["policy"], 1.0)
        target = self._aim(part)
        said = self._critics.of(part.observation, part.action)
        critic_loss = heads.loss(said, target.expand(len(said), -1, -1)).sum(dim=0).mean(dim=1)
        losses = {"critic_loss": weighted_mean(critic_loss, part.weight)}
        moves = (self._descent.num_steps + 1) % self.policy_every == 0
        told: dict[str, Tensor] = {}
        if moves:
            losses["policy_loss"], distance = self._policy_loss(part)
            if self.bc_weight:
                told["bc_loss"] = distance
        told |= self._descent.step(losses, only=None if moves else ["critics"])
        if moves:
            rate = self.judging.target_rate
            self._target.follow(self._descent.flat["critics"], rate)
            self._target_policy.follow(self._descent.flat["policy"], rate)
        values = heads.read(said.detach())[..., 0]
        return {**told, "q": values.mean()}, (values - target[:, 0]).abs().mean(dim=0)

    def _policy_loss(self, part: Transitions) -> tuple[Tensor, Tensor]:
        """Return what the policy is to make less of, and how far its actions are from those of the data."""
        action = torch.tanh(self.policy.network(part.observation)[0])
        with frozen(self._critics):
            outputs = self._critics.of_encoded(part.observation, action)
        worth = self._heads.read(outputs)[0, :, 0]  # of the first critic alone
        if self.normalize_q:
            (scale,) = self._ranks.average([], worth.detach().abs().mean()[None], 1)
            worth = worth / scale.clamp(min=1e-8)
        distance = (action - torch.tanh(part.action)).square().mean(dim=1)
        loss = -worth + self.bc_weight * distance if self.bc_weight else -worth
        return weighted_mean(loss, part.weight), distance.detach().mean()

    @torch.no_grad()
    def _aim(self, part: Transitions) -> Tensor:
        """Return the targets, `[batch, factors]`: rewards, and what a smoothed action is worth next."""
        action = torch.tanh(self._target_policy.network(part.next_observation)[0])
        shape = (len(action) * self._ranks.size, *action.shape[1:])
        noise = self._ranks.share(torch.randn(shape, generator=self._noise)).to(action.device)
        noise = (noise * self.target_noise).clamp(-self.target_noise_clip, self.target_noise_clip)
        action = (action + noise).clamp(-1, 1)
        outputs = self._target.network.of_encoded(part.next_observation, action)
        after = self._heads.read(outputs).amin(dim=0)
        if self.next_bc_weight and part.next_action is not None:
            assert part.next_chosen is not None
            distance = (action - torch.tanh(part.next_action)).square().mean(dim=1)
            after = after - (self.next_bc_weight * distance * part.next_chosen).unsqueeze(1)
        rewards, discount = part.bridge(self._heads.gammas, self.reward_scale)
        return rewards + discount * after
