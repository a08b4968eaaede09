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
- A network with a memory learns from whole environments' sequences, and its hidden state goes on from block to block.
- `target_kl` is asked of every minibatch before its gradient step, as in Stable-Baselines3, and not after each epoch.
- With `opponent_coefficient` the network learns to predict the opponent's action besides; what maps its features to
  that is no part of the policy.
- Squashed continuous actions (`env.action_bounds=squash`) are learned as the numbers before the squashing, whose ratio
  of probabilities is the same; the entropy bonus is theirs too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from poke.algorithms.acting import Acting
from poke.algorithms.opponent import opponent_head
from poke.algorithms.optimizers import Adam, restore_optimizer
from poke.algorithms.surrogate import STATISTICS, Block, Coefficients, surrogate_for
from poke.data.block import Rollout, Shares
from poke.distributed.ranks import ALONE, Ranks
from poke.networks.flat import flatten_parameters
from poke.policies.policy import Memory, Policy
from poke.protocols import NonFiniteError


class PPO:
    """Algorithm: clipped policy gradients on blocks of fresh experience.

    Args:
        make_policy: makes the policy; takes how its critic is to be and its weights to begin, see `ActorCritic`.
        lr: Adam's learning rate at the start.
        lr_schedule: constant, or linear to 0.
        schedule_steps: the transition at which the linear schedules reach 0.
        gamma: discount factor.
        gae_lambda: of generalised advantage estimation.
        num_epochs: passes over each block.
        minibatch_size: transitions a gradient step; of a network with a memory, whole environments' sequences.
        clip_range: of the probability ratio, and of the value if that is clipped; at the start.
        clip_range_schedule: constant, or linear to 0.
        clip_value_loss: clip the value's change too.
        normalize_advantage: to mean 0 and deviation 1 in each minibatch.
        entropy_coefficient: weight of the entropy bonus.
        value_coefficient: weight of the value loss.
        max_grad_norm: global gradient norm to clip at; 0: no clipping.
        target_kl: end an update at the minibatch on which the policy is found to have moved further (by `approx_kl`),
            before its gradient step; None: never.
        initial_log_std: logarithm of the deviation of continuous actions at the start.
        shared_network: one network for policy and value.
        opponent_coefficient: weight of a loss that predicts what the opponent does at the same decision, for
            environments that tell and networks with features (`network=battle`); 0: none.
        fast_path: small networks on the CPU are computed in numpy, forwards and backwards; false for torch always.
        accumulate: in how many parts a minibatch's gradient is computed, one after the other: less memory, the same
            step.
        seed: of sampling and shuffling.
        ranks: the processes that learn together. Minibatches are of all their environments, shuffled alike on every
            rank, of which each has the rows that it has played.

    Raises:
        ValueError: an `opponent_coefficient`, and nobody's actions to predict or nothing to predict them from.
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
        clip_range_schedule: str = "constant",
        initial_log_std: float = 0.0,
        shared_network: bool = False,
        opponent_coefficient: float = 0.0,
        fast_path: bool = True,
        accumulate: int = 1,
        seed: int,
        ranks: Ranks = ALONE,
    ) -> None:
        critic = "shared" if shared_network else "separate"
        self.policy = make_policy(critic=critic, orthogonal=True, log_std=initial_log_std)
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
        self._normalize_advantage = normalize_advantage
        self._opponent_head = opponent_head(self.policy) if opponent_coefficient else None
        learned = nn.ModuleList(
            [network] if self._opponent_head is None else [network, self._opponent_head]
        )
        self._parameters = flatten_parameters(learned)
        self._optimizer = Adam([self._parameters], lr=lr, eps=1e-5, fused=True)
        self.clip_range = clip_range
        self.clip_range_schedule = clip_range_schedule
        coefficients = Coefficients(
            clip_range, clip_value_loss, normalize_advantage, entropy_coefficient, value_coefficient
        )
        self._surrogate = surrogate_for(
            network,
            self.policy.distribution,
            coefficients,
            fast_path=fast_path,
            opponent=None
            if self._opponent_head is None
            else (self._opponent_head, opponent_coefficient),
        )
        self._fast_path = fast_path
        if not fast_path:
            self.policy.use_torch()
        self._accumulate = accumulate
        self._ranks = ranks
        self._acting = Acting(self.policy, np.random.default_rng([seed, 0]), ranks)
        self._shuffling = np.random.default_rng([seed, 1])

    def rollout_step(
        self, observation: np.ndarray, action_mask: np.ndarray | None, memory: Memory | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw actions for training, as `Acting.rollout_step` does."""
        return self._acting.rollout_step(observation, action_mask, memory)

    def value(self, observation: np.ndarray, memory: Memory | None = None) -> np.ndarray:
        """Return the values of observations, `[batch]` float32, as `Acting.value` does."""
        return self._acting.value(observation, memory)

    def understudy(self, policy: Policy) -> Acting:
        """Return what acts as this does by a policy of its own, while this learns."""
        if not self._fast_path:
            policy.use_torch()
        return self._acting.understudy(policy)

    def update(self, batch: Rollout) -> Mapping[str, float]:
        """Learn from a block of experience.

        Returns:
            The means over minibatches of loss, policy_loss, value_loss, entropy, approx_kl, clip_fraction, with an
            opponent_coefficient opponent_loss and opponent_accuracy, and grad_norm (before clipping), then
            explained_variance, lr, with a schedule clip_range, with a target_kl gradient_steps
            (that were made), and what the block tells of episodes.

        Raises:
            NonFiniteError: a loss or gradient is not finite; weights and optimizer are as before.
            ValueError: `minibatch_size` is not of whole sequences, and the network has a memory; or the block does not
                tell what opponents did, and that is to be predicted.
        """
        before = [tensor.clone() for tensor in self._tensors()]
        lr_before = self._optimizer.param_groups[0]["lr"]
        lr = self._optimizer.param_groups[0]["lr"] = self.lr * self._left(self.lr_schedule)
        clip_range = self.clip_range * self._left(self.clip_range_schedule)
        self._surrogate.coefficients = replace(self._surrogate.coefficients, clip_range=clip_range)
        advantage, return_ = batch.advantages(self.gamma, self.gae_lambda)
        statistics, num_gradient_steps = self._learn(batch, advantage, return_)
        means = statistics.mean(dim=0).tolist()
        metrics = dict(zip((*self._surrogate.statistics, "grad_norm"), means, strict=True))
        for name, value in metrics.items():
            if not math.isfinite(value):
                for tensor, copy in zip(self._tensors(), before, strict=False):
                    tensor.copy_(copy)
                self._optimizer.param_groups[0]["lr"] = lr_before
                raise NonFiniteError(name, value)
        self.num_steps += batch.num_steps
        whole = self._ranks.whole
        real = ~whole(batch.idle, 1)
        value, return_ = whole(batch.value, 1), whole(return_, 1)
        metrics["explained_variance"] = _explained_variance(value[real], return_[real])
        metrics["lr"] = lr
        if self.clip_range_schedule != "constant":
            metrics["clip_range"] = clip_range
        if self.target_kl is not None:
            metrics["gradient_steps"] = num_gradient_steps
        return metrics | batch.metrics

    def get_state(self) -> dict[str, Any]:
        """Return optimizer, clock and generators, and what predicts opponents; the other weights are the policy's."""
        head = self._opponent_head
        return {
            **({} if head is None else {"opponent_head": head.state_dict()}),
            "optimizer": self._optimizer.state_dict(),
            "num_steps": self.num_steps,
            "sampling": self._acting.get_state(),
            "shuffling": self._shuffling.bit_generator.state,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned.

        Raises:
            ValueError: the one predicts opponents' actions and the other does not.
        """
        theirs = "opponent_head" in state
        if theirs != (self._opponent_head is not None):
            on, off = ("> 0", "0") if theirs else ("0", "> 0")
            raise ValueError(
                f"algo.opponent_coefficient was {on} and is {off}, init_from= starts anew"
            )
        if self._opponent_head is not None:
            self._opponent_head.load_state_dict(state["opponent_head"])
        restore_optimizer(self._optimizer, state["optimizer"])
        self.num_steps = state["num_steps"]
        self._acting.set_state(state["sampling"])
        self._shuffling.bit_generator.state = state["shuffling"]

    def _left(self, schedule: str) -> float:
        """How much of a scheduled value is left: all, or what the linear schedule says by now."""
        if schedule == "constant":
            return 1.0
        return max(0.0, 1 - self.num_steps / self.schedule_steps)

    def _learn(
        self, batch: Rollout, advantage: np.ndarray, return_: np.ndarray
    ) -> tuple[Tensor, int]:
        """Make gradient steps.

        Returns:
            What is told of each minibatch, `[minibatches, len(statistics) + 1]` float32, and how many steps they were.
        """
        network = self.policy.network
        block = _block(batch, advantage, return_, in_sequence=network.state_size > 0)
        if self._opponent_head is not None:
            if not self._ranks.agree(bool(batch.opponent_action.any()))[0]:
                raise ValueError(
                    "algo.opponent_coefficient predicts what an opponent does, and this environment tells of none"
                )
            block = replace(block, opponent_action=batch.opponent_action.reshape(-1))
        self._surrogate.load(block)
        shares = Shares(self._ranks, batch.idle, advantage)
        statistics: list[Any] = []
        norms: list[Tensor] = []
        num_steps = 0
        network.train()
        try:
            for part in self._minibatches(shares):
                told = self._differentiate(part, shares)
                statistics.append(told)
                norms.append(self._clip())
                if self.target_kl is not None and float(told[_KL]) > self.target_kl:
                    break
                self._optimizer.step()
                num_steps += 1
        finally:
            network.eval()
        # In one piece: to make a tensor of each takes longer than what is in it.
        whole = (
            torch.stack(statistics)
            if isinstance(statistics[0], Tensor)
            else torch.from_numpy(np.stack(statistics))
        )
        return torch.cat([whole, torch.stack(norms)[:, None]], dim=1), num_steps

    def _differentiate(self, part: np.ndarray, shares: Shares) -> Any:
        """Write the gradients of a minibatch, and return what is told of it, `[len(statistics)]` float32."""
        if self._ranks.size == self._accumulate == 1:
            return self._surrogate.differentiate(part)
        gradient = self._parameters.grad
        assert gradient is not None
        own = shares.own(part)
        sequences = self.policy.network.state_size > 0
        moments = shares.moments(part, sequences) if self._normalize_advantage else None
        weight = shares.weight(own, sequences)
        if not weight:  # none of these were played here
            gradient.zero_()
            told = torch.zeros(len(self._surrogate.statistics), device=gradient.device)
        elif self._accumulate == 1:
            told = torch.as_tensor(self._surrogate.differentiate(own, moments))
        else:
            sums = torch.zeros_like(gradient)
            told = torch.zeros(len(self._surrogate.statistics), device=gradient.device)
            for rows in np.array_split(own, min(self._accumulate, len(own))):
                if share := shares.weight(rows, sequences) / weight:
                    told += share * torch.as_tensor(self._surrogate.differentiate(rows, moments))
                    sums.add_(gradient, alpha=share)
            gradient.copy_(sums)
        return self._ranks.average([gradient], told, weight)

    def _minibatches(self, shares: Shares) -> Iterator[np.ndarray]:
        """Yield rows of the block, or environments of it, shuffled anew every epoch; of the block of all ranks."""
        num_minibatches = max(1, shares.idle.size // self.minibatch_size)
        if self.policy.network.state_size:
            length, num_envs = shares.idle.shape
            if self.minibatch_size % length or num_envs % (self.minibatch_size // length):
                raise ValueError(
                    f"algo.minibatch_size={self.minibatch_size} must be sequences of data.num_steps={length} of a "
                    f"divisor of env.num_envs={num_envs}: a network with a memory learns from whole sequences"
                )
            rows = np.arange(num_envs)
        else:
            rows = shares.rows()
        for _ in range(self.num_epochs):
            self._shuffling.shuffle(rows)
            yield from np.array_split(rows, num_minibatches)

    def _clip(self) -> Tensor:
        """Clip the gradient, which a step skips if it is not finite; return its norm before."""
        gradient = self._parameters.grad
        assert gradient is not None
        norm = torch.linalg.vector_norm(gradient)
        if self.max_grad_norm:
            gradient.mul_((self.max_grad_norm / (norm + 1e-6)).clamp(max=1.0))
        self._optimizer.found_inf = (~torch.isfinite(norm)).float()  # type: ignore[attr-defined]
        return norm

    def _tensors(self) -> list[Tensor]:
        """Weights, and the optimizer's tensors, which exist from the first gradient step on."""
        state = self._optimizer.state.get(self._parameters, {})
        return [self._parameters.detach(), *state.values()]


_KL = STATISTICS.index("approx_kl")


def _block(
    batch: Rollout, advantage: np.ndarray, return_: np.ndarray, *, in_sequence: bool
) -> Block:
    """Return a rollout flat, or in sequence for a memory."""

    def rows(array: np.ndarray) -> np.ndarray:
        return array if in_sequence else array.reshape(-1, *array.shape[2:])

    return Block(
        observation=rows(batch.observation),
        action=rows(batch.action),
        action_mask=None if batch.action_mask is None else rows(batch.action_mask),
        log_prob=rows(batch.log_prob),
        value=rows(batch.value),
        advantage=rows(advantage),
        return_=rows(return_),
        begins=batch.begins if in_sequence else None,
        real=~batch.idle if in_sequence else None,
        state=batch.state if in_sequence else None,
    )


def _explained_variance(value: np.ndarray, return_: np.ndarray) -> float:
    variance = float(return_.var())
    return 1 - float((return_ - value).var()) / variance if variance > 0 else 0.0
