"""Proximal policy optimisation.

Schulman et al., "Proximal Policy Optimization Algorithms", 2017, equation 9, with the details of Huang et al., "The 37
Implementation Details of Proximal Policy Optimization", ICLR Blog Track 2022 (numbers are theirs): vectorised
environments (1), orthogonal initialisation (2), Adam's epsilon 1e-5 (3), learning rate annealed to 0 (4), generalised
advantage estimation (5), shuffled minibatches (6), advantages normalised in each minibatch (7), clipped surrogate (8),
clipped value loss (9), entropy bonus (10), global gradient clipping (11), debug variables (12: explained variance, clip
fraction, and the k3 estimate of the KL divergence, http://joschu.net/blog/kl-approx.html), separate networks (13),
state-independent log deviation for continuous actions (continuous 1-3), clipped to the action space by the environment
(continuous 4), invalid-action masks alike at rollout and update (Huang and Ontanon, "A Closer Look at Invalid Action
Masking in Policy Gradient Algorithms", FLAIRS 2022).

Deliberate deviations:
- An episode cut off by a time limit is bootstrapped from its final observation (Pardo et al., ICML 2018), and rows
  that only reset an environment are no experience: they are neither learned from nor counted as steps.
- Minibatches are of nearly equal size where such rows make the block's size no multiple of `minibatch_size`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from poke.algorithms.optimizers import Adam, restore_optimizer
from poke.algorithms.surrogate import (
    STATISTICS,
    Block,
    Coefficients,
    NumpySurrogate,
    Surrogate,
    TorchSurrogate,
)
from poke.data.rollout import Rollout
from poke.networks.flat import flatten_parameters
from poke.policies.policy import Policy
from poke.protocols import NonFiniteError


class PPO:
    """Algorithm: clipped policy gradients on blocks of fresh experience.

    Args:
        make_policy: makes the policy; takes how its critic is to be and its weights to begin, see `ActorCritic`.
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
        fast_path: small networks on the CPU are computed in numpy, forwards and backwards; false for torch always.
        seed: of sampling and shuffling.
    """

    def __init__(
        self,
        make_policy: Callable[..., Policy],
        *,
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
        fast_path: bool = True,
        seed: int,
    ) -> None:
        critic = "shared" if shared_network else "separate"
        self.policy = make_policy(critic=critic, orthogonal=True)
        network = self.policy.network
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.schedule_steps = schedule_steps
        self.gamma = gamma
        self.gae_lambda = gae_lambda
        self.num_epochs = num_epochs
        self.minibatch_size = minibatch_size
        self.max_grad_norm = max_grad_norm
        self.target_kl = target_kl
        self.num_steps = 0
        self._parameters = flatten_parameters(network)
        self._optimizer = Adam([self._parameters], lr=lr, eps=1e-5, fused=True)
        coefficients = Coefficients(
            clip_range, clip_value_loss, normalize_advantage, entropy_coefficient, value_coefficient
        )
        in_numpy = fast_path and NumpySurrogate.supports(network)
        chosen = NumpySurrogate if in_numpy else TorchSurrogate
        self._surrogate: Surrogate = chosen(network, self.policy.distribution, coefficients)
        if not fast_path:
            self.policy.use_torch()
        self._sampling = np.random.default_rng([seed, 0])
        self._shuffling = np.random.default_rng([seed, 1])

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
        outputs, value = self.policy.infer(observation)
        assert value is not None
        action, log_prob = self.policy.distribution.sample(outputs, action_mask, self._sampling)
        return action, log_prob, value

    def value(self, observation: np.ndarray) -> np.ndarray:
        """Return `[batch]` float32 values of `[batch, *observation_shape]` observations."""
        value = self.policy.infer(observation)[1]
        assert value is not None
        return value

    def update(self, batch: Rollout) -> Mapping[str, float]:
        """Learn from a block of experience.

        Returns:
            The means over minibatches of loss, policy_loss, value_loss, entropy, approx_kl, clip_fraction and grad_norm
            (before clipping), then explained_variance, lr, and what the block tells of episodes.

        Raises:
            NonFiniteError: a loss or gradient is not finite; weights and optimizer are as before.
        """
        before = [tensor.clone() for tensor in self._tensors()]
        lr_before = self._optimizer.param_groups[0]["lr"]
        lr = self._optimizer.param_groups[0]["lr"] = self._learning_rate()
        advantage, return_ = batch.advantages(self.gamma, self.gae_lambda)
        self._surrogate.load(_block(batch, advantage, return_))
        rows = batch.rows()
        num_minibatches = max(1, batch.reward.size // self.minibatch_size)
        statistics: list[Tensor] = []
        for _ in range(self.num_epochs):
            self._shuffling.shuffle(rows)
            epoch = [self._gradient_step(part) for part in np.array_split(rows, num_minibatches)]
            statistics += epoch
            if self.target_kl is not None:
                divergence = torch.stack(epoch)[:, STATISTICS.index("approx_kl")].mean()
                if divergence.item() > self.target_kl:
                    break
        means = torch.stack(statistics).mean(dim=0).tolist()
        metrics = dict(zip((*STATISTICS, "grad_norm"), means, strict=True))
        for name, value in metrics.items():
            if not math.isfinite(value):
                for tensor, copy in zip(self._tensors(), before, strict=False):
                    tensor.copy_(copy)
                self._optimizer.param_groups[0]["lr"] = lr_before
                raise NonFiniteError(name, value)
        self.num_steps += batch.num_steps
        real = ~batch.idle
        metrics["explained_variance"] = _explained_variance(batch.value[real], return_[real])
        return metrics | {"lr": lr} | batch.metrics

    def get_state(self) -> dict[str, Any]:
        """Return optimizer, clock and generators; the weights are the policy's."""
        return {
            "optimizer": self._optimizer.state_dict(),
            "num_steps": self.num_steps,
            "sampling": self._sampling.bit_generator.state,
            "shuffling": self._shuffling.bit_generator.state,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned."""
        restore_optimizer(self._optimizer, state["optimizer"])
        self.num_steps = state["num_steps"]
        self._sampling.bit_generator.state = state["sampling"]
        self._shuffling.bit_generator.state = state["shuffling"]

    def _learning_rate(self) -> float:
        if self.lr_schedule == "constant":
            return self.lr
        return self.lr * max(0.0, 1 - self.num_steps / self.schedule_steps)

    def _gradient_step(self, rows: np.ndarray) -> Tensor:
        """Make one gradient step, which changes nothing if the gradient is not finite; return what is told of it."""
        statistics = torch.as_tensor(self._surrogate.differentiate(rows))
        gradient = self._parameters.grad
        assert gradient is not None
        norm = torch.linalg.vector_norm(gradient)
        if self.max_grad_norm:
            gradient.mul_((self.max_grad_norm / (norm + 1e-6)).clamp(max=1.0))
        self._optimizer.found_inf = (~torch.isfinite(norm)).float()  # type: ignore[attr-defined]
        self._optimizer.step()
        return torch.cat([statistics, norm[None]])

    def _tensors(self) -> list[Tensor]:
        """Weights, and the optimizer's tensors, which exist from the first gradient step on."""
        state = self._optimizer.state.get(self._parameters, {})
        return [self._parameters.detach(), *state.values()]


def _block(batch: Rollout, advantage: np.ndarray, return_: np.ndarray) -> Block:
    """Return a rollout flat."""

    def flat(array: np.ndarray) -> np.ndarray:
        return array.reshape(-1, *array.shape[2:])

    return Block(
        observation=flat(batch.observation),
        action=flat(batch.action),
        action_mask=None if batch.action_mask is None else flat(batch.action_mask),
        log_prob=flat(batch.log_prob),
        value=flat(batch.value),
        advantage=flat(advantage),
        return_=flat(return_),
    )


def _explained_variance(value: np.ndarray, return_: np.ndarray) -> float:
    variance = float(return_.var())
    return 1 - float((return_ - value).var()) / variance if variance > 0 else 0.0
