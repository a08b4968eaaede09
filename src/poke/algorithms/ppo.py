"""Proximal policy optimisation.

Schulman et al., "Proximal Policy Optimization Algorithms", 2017, equation 9, with the details of Huang et al., "The 37
Implementation Details of Proximal Policy Optimization", ICLR Blog Track 2022 (numbers are theirs): vectorised
environments (1), orthogonal initialisation (2), Adam's epsilon 1e-5 (3), learning rate annealed to 0 (4), generalised
advantage estimation (5), shuffled minibatches (6), advantages normalised in each minibatch (7), clipped surrogate (8),
clipped value loss (9), entropy bonus (10), global gradient clipping (11), debug variables (12: explained variance, clip
fraction, and the k3 estimate of the KL divergence, http://joschu.net/blog/kl-approx.html), separate networks (13),
state-independent log deviation for continuous actions (continuous 1-3), clipped to the action space by the environment (4),
invalid-action masks alike at rollout and update (Huang and Ontanon, "A Closer Look at Invalid Action Masking in Policy
Gradient Algorithms", FLAIRS 2022).

Deliberate deviations:
- An episode cut off by a time limit is bootstrapped from its final observation (Pardo et al., ICML 2018), and rows
  that only reset an environment are no experience: they are neither learned from nor counted as steps.
- Minibatches are of nearly equal size where such rows make the block's size no multiple of `minibatch_size`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from poke.algorithms.policies import Categorical, DiagonalGaussian, Policy
from poke.data.rollout import ActionSpace, Rollout
from poke.networks.actor_critic import ActorCritic
from poke.networks.inference import numpy_inference
from poke.protocols import NonFiniteError

STATISTICS = ("loss", "policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction", "grad_norm")


@dataclass(frozen=True)
class Minibatch:
    """Transitions to learn from, `[batch, ...]` on the network's device."""

    observation: Tensor
    action: Tensor
    action_mask: Tensor | None
    log_prob: Tensor
    value: Tensor
    advantage: Tensor
    return_: Tensor


class PPO:
    """Algorithm: clipped policy gradients on blocks of fresh experience.

    Args:
        make_network: makes a network with the given number of outputs.
        action_space: what the policy chooses among.
        lr: Adam's learning rate at the start.
        lr_schedule: constant, or linear to 0.
        schedule_steps: the transition at which the linear schedule reaches 0.
        gamma: discount factor.
        gae_lambda: of generalised advantage estimation.
        num_epochs: passes over each block.
        minibatch_size: transitions a gradient step.
        clip_range: of the probability ratio, and of the value if that is clipped.
        clip_value_loss: clip the value's change too.
        normalize_advantage: to mean 0 and deviation 1 in each minibatch.
        entropy_coefficient: weight of the entropy bonus.
        value_coefficient: weight of the value loss.
        max_grad_norm: global gradient norm to clip at; 0: no clipping.
        target_kl: end an update after the epoch in which the policy moved further; None: never.
        shared_network: one network for policy and value.
        seed: of sampling and shuffling.
        device: where the networks live.
    """

    def __init__(
        self,
        make_network: Callable[[int], nn.Module],
        *,
        action_space: ActionSpace,
        lr: float,
        lr_schedule: str,
        schedule_steps: int,
        gamma: float,
        gae_lambda: float,
        num_epochs: int,
        minibatch_size: int,
        clip_range: float,
        clip_value_loss: bool,
        normalize_advantage: bool,
        entropy_coefficient: float,
        value_coefficient: float,
        max_grad_norm: float,
        target_kl: float | None = None,
        shared_network: bool = False,
        seed: int,
        device: str | torch.device = "cpu",
    ) -> None:
        self.network = ActorCritic(
            make_network,
            action_space.num_outputs,
            continuous=action_space.continuous,
            shared=shared_network,
        ).to(device)
        log_std = self.network.log_std
        self.policy: Policy = Categorical() if log_std is None else DiagonalGaussian(log_std)
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.schedule_steps = schedule_steps
        self.gamma = gamma
        self.gae_lambda = gae_lambda
        self.num_epochs = num_epochs
        self.minibatch_size = minibatch_size
        self.clip_range = clip_range
        self.clip_value_loss = clip_value_loss
        self.normalize_advantage = normalize_advantage
        self.entropy_coefficient = entropy_coefficient
        self.value_coefficient = value_coefficient
        self.max_grad_norm = max_grad_norm
        self.target_kl = target_kl
        self.num_steps = 0
        self._device = torch.device(device)
        self._parameters = list(self.network.parameters())
        self._optimizer = torch.optim.Adam(self._parameters, lr=lr, eps=1e-5, fused=True)
        self._sampling = np.random.default_rng([seed, 0])
        self._shuffling = torch.Generator().manual_seed(seed)
        self._inference = _Inference(self.network)

    def act(
        self, observation: Tensor, *, action_mask: Tensor | None = None, explore: bool = False
    ) -> Tensor:
        """Choose actions: the most probable, or a sample when exploring.

        Args:
            observation: `[batch, *observation_shape]`.
            action_mask: `[batch, num_actions]` bool, true where legal.
            explore: sample from the policy.

        Returns:
            `[batch]` int64, or `[batch, size]` float32 for continuous actions.
        """
        with torch.no_grad():
            outputs, _ = self.network(observation.to(self._device))
            if not explore:
                return self.policy.mode(outputs, action_mask)
        mask = None if action_mask is None else action_mask.cpu().numpy()
        action, _ = self.policy.sample(outputs.cpu().numpy(), mask, self._sampling)
        return torch.from_numpy(action)

    def rollout_step(
        self, observation: np.ndarray, action_mask: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sample actions for training.

        Args:
            observation: `[batch, *observation_shape]`.
            action_mask: `[batch, num_actions]` bool, or None.

        Returns:
            Actions, their log-probabilities and the states' values, the latter both `[batch]` float32.
        """
        outputs, value = self._inference(observation)
        action, log_prob = self.policy.sample(outputs, action_mask, self._sampling)
        return action, log_prob, value

    def value(self, observation: np.ndarray) -> np.ndarray:
        """Return `[batch]` float32 values of `[batch, *observation_shape]` observations."""
        return self._inference(observation)[1]

    def update(self, batch: Rollout) -> Mapping[str, float]:
        """Learn from a block of experience.

        Returns:
            The means over minibatches of loss, policy_loss, value_loss, entropy, approx_kl, clip_fraction and grad_norm
            (before clipping), then explained_variance, lr, and what the block tells of episodes.

        Raises:
            NonFiniteError: a loss or gradient is not finite; weights and optimizer are as before.
        """
        before = self._copy_weights()
        lr = self._optimizer.param_groups[0]["lr"] = self._learning_rate()
        advantage, return_ = batch.advantages(self.gamma, self.gae_lambda)
        rows = batch.rows()
        block = self._block(batch, advantage, return_)
        num_minibatches = max(1, batch.reward.size // self.minibatch_size)
        statistics: list[Tensor] = []
        for _ in range(self.num_epochs):
            epoch = []
            for minibatch in self._minibatches(block, rows, num_minibatches):
                epoch.append(self._gradient_step(minibatch))
            statistics += epoch
            if self.target_kl is not None:
                divergence = torch.stack(epoch)[:, STATISTICS.index("approx_kl")].mean()
                if divergence.item() > self.target_kl:
                    break
        means = torch.stack(statistics).mean(dim=0).tolist()
        metrics = dict(zip(STATISTICS, means, strict=True))
        for name, value in metrics.items():
            if not math.isfinite(value):
                self._put_back(before)
                raise NonFiniteError(name, value)
        self.num_steps += batch.num_steps
        real = ~batch.idle
        metrics["explained_variance"] = _explained_variance(batch.value[real], return_[real])
        return metrics | {"lr": lr} | batch.metrics

    def get_state(self) -> dict[str, Any]:
        """Return networks, optimizer, clock and generators."""
        return {
            "network": self.network.get_weights(),
            "optimizer": self._optimizer.state_dict(),
            "num_steps": self.num_steps,
            "sampling": self._sampling.bit_generator.state,
            "shuffling": self._shuffling.get_state(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned."""
        self.network.set_weights(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.num_steps = state["num_steps"]
        self._sampling.bit_generator.state = state["sampling"]
        self._shuffling.set_state(state["shuffling"])

    def get_weights(self) -> dict[str, Any]:
        """Return what a warm start takes over, by name; the policy's names are those of a behaviour clone."""
        return self.network.get_weights()

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Take over another run's weights; names and shapes must fit."""
        self.network.set_weights(weights)

    def _learning_rate(self) -> float:
        if self.lr_schedule == "constant":
            return self.lr
        return self.lr * max(0.0, 1 - self.num_steps / self.schedule_steps)

    def _block(self, batch: Rollout, advantage: np.ndarray, return_: np.ndarray) -> Minibatch:
        """Return the whole block, flat, on the network's device."""

        def flat(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array).flatten(0, 1).to(self._device)

        return Minibatch(
            observation=flat(batch.observation),
            action=flat(batch.action),
            action_mask=None if batch.action_mask is None else flat(batch.action_mask),
            log_prob=flat(batch.log_prob),
            value=flat(batch.value),
            advantage=flat(advantage),
            return_=flat(return_),
        )

    def _minibatches(self, block: Minibatch, rows: Tensor, count: int) -> Iterator[Minibatch]:
        """Shuffle the block once and yield it in `count` parts."""
        order = rows[torch.randperm(len(rows), generator=self._shuffling)].to(self._device)

        def parts(values: Tensor) -> tuple[Tensor, ...]:
            return values.index_select(0, order).tensor_split(count)

        masks = [None] * count if block.action_mask is None else parts(block.action_mask)
        columns = (block.log_prob, block.value, block.advantage, block.return_)
        for observation, action, mask, *rest in zip(
            parts(block.observation), parts(block.action), masks, *map(parts, columns), strict=True
        ):
            yield Minibatch(observation, action, mask, *rest)

    def _gradient_step(self, minibatch: Minibatch) -> Tensor:
        """Make one gradient step and return its `STATISTICS`; a gradient that is not finite changes nothing."""
        loss, details = self._loss(minibatch)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self._parameters, self.max_grad_norm or math.inf)
        self._optimizer.found_inf = (~torch.isfinite(norm)).float()  # type: ignore[attr-defined]
        self._optimizer.step()
        return torch.stack([loss.detach(), *details, norm.detach()])

    def _loss(self, batch: Minibatch) -> tuple[Tensor, list[Tensor]]:
        outputs, value = self.network(batch.observation)
        log_prob, entropy = self.policy.log_prob_and_entropy(outputs, batch.action, batch.action_mask)
        advantage = batch.advantage
        if self.normalize_advantage:
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        log_ratio = log_prob - batch.log_prob
        ratio = log_ratio.exp()
        clipped = ratio.clamp(1 - self.clip_range, 1 + self.clip_range)
        policy_loss = -torch.min(ratio * advantage, clipped * advantage).mean()
        value_loss = (value - batch.return_).square()
        if self.clip_value_loss:
            change = (value - batch.value).clamp(-self.clip_range, self.clip_range)
            value_loss = torch.max(value_loss, (batch.value + change - batch.return_).square())
        value_loss = 0.5 * value_loss.mean()
        entropy = entropy.mean()
        loss = (
            policy_loss
            + self.value_coefficient * value_loss
            - self.entropy_coefficient * entropy
        )
        with torch.no_grad():
            approx_kl = (ratio - 1 - log_ratio).mean()
            clip_fraction = ((ratio - 1).abs() > self.clip_range).float().mean()
        return loss, [policy_loss.detach(), value_loss.detach(), entropy.detach(), approx_kl, clip_fraction]

    def _copy_weights(self) -> list[Tensor]:
        with torch.no_grad():
            return torch._foreach_mul(self._weights(), 1.0)

    def _put_back(self, copies: list[Tensor]) -> None:
        with torch.no_grad():
            torch._foreach_copy_(self._weights(), copies)

    def _weights(self) -> list[Tensor]:
        """Parameters and the optimizer's tensors, which exist from the first gradient step on."""
        moments = [t for state in self._optimizer.state.values() for t in state.values()]
        return [*self._parameters, *moments]


class _Inference:
    """Forward passes while collecting, in numpy where the network has a way to it."""

    def __init__(self, network: ActorCritic) -> None:
        self._network = network
        self._device = next(network.parameters()).device
        self._fast: dict[int, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]] = {}

    def __call__(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        batch_size = len(observation)
        if batch_size not in self._fast:
            self._fast[batch_size] = self._fast_path(batch_size) or self._torch
        return self._fast[batch_size](observation)

    def _fast_path(self, batch_size: int) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None:
        policy, critic = self._network.policy, self._network.critic
        if critic is None:
            return None
        fast_policy = numpy_inference(policy, batch_size)
        fast_critic = numpy_inference(critic, batch_size)
        if fast_policy is None or fast_critic is None:
            return None
        return lambda observation: (fast_policy(observation), fast_critic(observation)[:, 0])

    @torch.no_grad()
    def _torch(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        outputs, value = self._network(torch.from_numpy(observation).to(self._device))
        return outputs.cpu().numpy(), value.cpu().numpy()


def _explained_variance(value: np.ndarray, return_: np.ndarray) -> float:
    variance = float(return_.var())
    return 1 - float((return_ - value).var()) / variance if variance > 0 else 0.0
