"""PPO's loss of a minibatch and its gradient: by torch for any network, by hand in numpy for small ones.

All write into the gradients that the networks' parameters have by then, and all return the same numbers. By hand is a
fast path, see `poke.networks.numpy_mlp`: it saves autograd's overhead, and must equal it up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from poke.data.moving import moved
from poke.networks.actor_critic import ActorCritic
from poke.networks.numpy_mlp import NumpyMLP
from poke.policies.distributions import (
    Categorical,
    DiagonalGaussian,
    Differentiable,
    Distribution,
)
from poke.policies.inference import numpy_networks, runs_in_numpy

STATISTICS = ("loss", "policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction")


Moments = tuple[np.floating[Any], np.floating[Any]]  # mean and standard deviation


@dataclass(frozen=True)
class Coefficients:
    """What the loss is made of, see `poke.algorithms.ppo.PPO`."""

    clip_range: float
    clip_value_loss: bool
    normalize_advantage: bool
    entropy_coefficient: float
    value_coefficient: float


@dataclass(frozen=True)
class Block:
    """Transitions to learn from; arrays or tensors of `[rows, ...]`, or `[time, environments, ...]` for a memory.

    Only for a memory there are `begins` (where a row is the first of an episode), `real` (where it is a transition),
    and `state` (what is remembered before the first row, `[environments, state_size]`). `opponent_action` is what
    opponents did, 0 where that is not known.
    """

    observation: Any
    action: Any
    action_mask: Any
    log_prob: Any
    value: Any
    advantage: Any
    return_: Any
    begins: Any = None
    real: Any = None
    state: Any = None
    opponent_action: Any = None


class Surrogate(Protocol):
    """Gradients of the loss."""

    coefficients: Coefficients
    statistics: tuple[str, ...]  # the names of what `differentiate` returns, `STATISTICS` first

    def load(self, block: Block) -> None:
        """Take a block of numpy arrays, from which minibatches are then chosen."""
        ...

    def differentiate(
        self, rows: np.ndarray, moments: Moments | None = None
    ) -> Tensor | np.ndarray:
        """Write the gradients of the loss over these rows, or environments, of the block, `[batch]` int64.

        Args:
            rows: which.
            moments: that advantages are normalised by, where these rows are part of a minibatch; None for their own.

        Returns:
            `[len(statistics)]` float32.
        """
        ...


class TorchSurrogate:
    """Gradients by torch's autograd, on the network's device.

    Args:
        network: has gradients already.
        distribution: what its outputs mean.
        coefficients: of the loss.
    """

    statistics: tuple[str, ...] = STATISTICS

    def __init__(
        self, network: ActorCritic, distribution: Distribution, coefficients: Coefficients
    ) -> None:
        self.coefficients = coefficients
        self._network = network
        self._distribution = distribution
        self._parameters = list(network.parameters())
        self._block: Block

    def load(self, block: Block) -> None:
        """Take a block to the network's device."""
        device = self._parameters[0].device
        columns = (getattr(block, f.name) for f in fields(block))
        self._block = Block(
            *(None if c is None else moved(torch.from_numpy(c), device) for c in columns)
        )

    def differentiate(self, rows: np.ndarray, moments: Moments | None = None) -> Tensor:
        """Write the gradients over these rows and return the statistics."""
        index = torch.from_numpy(rows).to(self._parameters[0].device)
        loss, statistics = self._loss(*self._evaluate(index), moments)
        self._descend(loss)
        return statistics

    def _descend(self, loss: Tensor) -> None:
        """Write the gradients of a loss."""
        torch._foreach_zero_([p.grad for p in self._parameters if p.grad is not None])
        loss.backward()

    def _rows(self, index: Tensor) -> Block:
        columns = (getattr(self._block, f.name) for f in fields(self._block))
        # A tenth of what indexing by a tensor takes, where rows are of bytes.
        return Block(*(None if c is None else c.index_select(0, index) for c in columns))

    def _evaluate(self, index: Tensor) -> tuple[Tensor, Tensor, Block]:
        """Return the network's outputs and values for these rows, and the rows."""
        batch = self._rows(index)
        return *self._network(batch.observation), batch

    def _loss(
        self, outputs: Tensor, value: Tensor, batch: Block, moments: Moments | None
    ) -> tuple[Tensor, Tensor]:
        """Return the loss with its graph, and the statistics."""
        c = self.coefficients
        log_prob, entropy = self._distribution.log_prob_and_entropy(
            outputs, batch.action, batch.action_mask
        )
        advantage = batch.advantage
        if c.normalize_advantage:
            mean, deviation = moments or (advantage.mean(), advantage.std())
            advantage = (advantage - mean) / (deviation + 1e-8)
        log_ratio = log_prob - batch.log_prob
        ratio = log_ratio.exp()
        clipped = ratio.clamp(1 - c.clip_range, 1 + c.clip_range)
        policy_loss = -torch.min(ratio * advantage, clipped * advantage).mean()
        errors = (value - batch.return_).square()
        if c.clip_value_loss:
            change = (value - batch.value).clamp(-c.clip_range, c.clip_range)
            errors = torch.max(errors, (batch.value + change - batch.return_).square())
        value_loss = 0.5 * errors.mean()
        entropy = entropy.mean()
        loss = policy_loss + c.value_coefficient * value_loss - c.entropy_coefficient * entropy
        with torch.no_grad():
            approx_kl = (ratio - 1 - log_ratio).mean()
            clip_fraction = ((ratio - 1).abs() > c.clip_range).float().mean()
            statistics = torch.stack(
                [loss, policy_loss, value_loss, entropy, approx_kl, clip_fraction]
            )
        return loss, statistics


class SequenceSurrogate(TorchSurrogate):
    """Gradients through time, for networks with a memory: minibatches are of whole environments' sequences.

    The gradient goes back to the block's first row and no further. What was remembered before that row is as it was
    when the block was collected; within the block it is remembered anew by the weights of the moment.
    """

    def _evaluate(self, index: Tensor) -> tuple[Tensor, Tensor, Block]:
        block = self._block
        state = block.state.index_select(0, index)
        observation, begins = (c.index_select(1, index) for c in (block.observation, block.begins))
        outputs, value, _ = self._network.unroll(observation, state, begins)
        assert value is not None
        real = block.real.index_select(1, index)
        names = ("action", "action_mask", "log_prob", "value", "advantage", "return_")
        columns = {name: getattr(block, name) for name in names}
        batch = Block(
            observation=None,
            **{
                n: None if c is None else c.index_select(1, index)[real] for n, c in columns.items()
            },
        )
        return outputs[real], value[real], batch


class OpponentSurrogate(TorchSurrogate):
    """Gradients of the loss and of another, which is to predict what the opponent does at the same decision.

    What the network's features must tell for this, they have ready for the choice too (an auxiliary task, as in
    Jaderberg et al., "Reinforcement Learning with Unsupervised Auxiliary Tasks", ICLR 2017).

    Args:
        network: as of `TorchSurrogate`; it returns features too.
        distribution: likewise.
        coefficients: likewise.
        head: maps features to logits of opponents' actions; has gradients already.
        weight: of the cross-entropy.
    """

    statistics: tuple[str, ...] = (*STATISTICS, "opponent_loss", "opponent_accuracy")

    def __init__(
        self,
        network: ActorCritic,
        distribution: Distribution,
        coefficients: Coefficients,
        *,
        head: nn.Module,
        weight: float,
    ) -> None:
        super().__init__(network, distribution, coefficients)
        self._parameters += head.parameters()
        self._head = head
        self._weight = weight

    def differentiate(self, rows: np.ndarray, moments: Moments | None = None) -> Tensor:
        """Write the gradients over these rows and return the statistics."""
        batch = self._rows(torch.from_numpy(rows).to(self._parameters[0].device))
        outputs, value, features = self._network.forward_with_features(batch.observation)
        assert value is not None
        loss, statistics = self._loss(outputs, value, batch, moments)
        known = batch.opponent_action.nonzero().squeeze(1)
        logits, target = self._head(features[known]), batch.opponent_action[known]
        count = max(1, len(known))
        opponent_loss = functional.cross_entropy(logits, target, reduction="sum") / count
        loss = loss + self._weight * opponent_loss
        self._descend(loss)
        with torch.no_grad():
            accuracy = (logits.argmax(dim=1) == target).sum() / count
            whole = [loss[None], statistics[1:], torch.stack([opponent_loss, accuracy])]
            return torch.cat(whole)


class NumpySurrogate:
    """Gradients by hand, for what it `supports`.

    Args:
        network: has gradients already.
        distribution: what its outputs mean.
        coefficients: of the loss.
    """

    statistics: tuple[str, ...] = STATISTICS

    def __init__(
        self, network: ActorCritic, distribution: Differentiable, coefficients: Coefficients
    ) -> None:
        self.coefficients = coefficients
        self._network = network
        self._distribution = distribution
        self._sizes: dict[int, tuple[NumpyMLP, NumpyMLP | None]] = {}
        self._block: Block

    @staticmethod
    def supports(network: ActorCritic, distribution: Distribution) -> bool:
        """Whether both networks are small MLPs on the CPU, and the distribution one that numpy differentiates."""
        known = type(distribution) in (Categorical, DiagonalGaussian)
        return known and runs_in_numpy(network) and network.critic is not None

    def load(self, block: Block) -> None:
        """Take a block."""
        self._block = block

    def differentiate(self, rows: np.ndarray, moments: Moments | None = None) -> np.ndarray:
        """Write the gradients over these rows and return the statistics."""
        c, block, count = self.coefficients, self._block, len(rows)
        if count not in self._sizes:
            self._sizes[count] = numpy_networks(self._network, count)
        policy_network, value_network = self._sizes[count]
        assert value_network is not None
        observation = block.observation[rows]
        mask = None if block.action_mask is None else block.action_mask[rows]
        terms = self._distribution.differentiable(
            policy_network.forward(observation), block.action[rows], mask
        )

        advantage = block.advantage[rows]
        if c.normalize_advantage and moments is not None:
            advantage = (advantage - moments[0]) / (moments[1] + np.float32(1e-8))
        elif c.normalize_advantage:
            # What mean() and std() compute, without their detours: half of the time at this size.
            advantage = advantage - np.add.reduce(advantage) / count
            deviation = np.sqrt(np.add.reduce(advantage * advantage) / (count - 1))
            advantage /= deviation + np.float32(1e-8)
        log_ratio = terms.log_prob - block.log_prob[rows]
        ratio = np.exp(log_ratio)
        gain = ratio * advantage
        bounded = np.minimum(np.maximum(ratio, 1 - c.clip_range), 1 + c.clip_range) * advantage
        policy_loss = -np.add.reduce(np.minimum(gain, bounded)) / count
        # Where the bound is the smaller one the ratio is outside of it, and the bound has no slope.
        log_prob_gradient = np.where(gain <= bounded, gain, 0) * np.float32(-1 / count)
        entropy_gradient = -c.entropy_coefficient / count
        policy_network.backward(terms.backward(log_prob_gradient, entropy_gradient))

        value = value_network.forward(observation)[:, 0]
        value_loss, value_gradient = self._value_loss(value, block.value[rows], block.return_[rows])
        value_network.backward(value_gradient[:, None])

        entropy = np.add.reduce(terms.entropy) / count
        loss = policy_loss + c.value_coefficient * value_loss - c.entropy_coefficient * entropy
        approx_kl = np.add.reduce(ratio - 1 - log_ratio) / count
        clip_fraction = np.count_nonzero(np.abs(ratio - 1) > c.clip_range) / count
        return np.array(
            [loss, policy_loss, value_loss, entropy, approx_kl, clip_fraction], np.float32
        )

    def _value_loss(
        self, value: np.ndarray, old_value: np.ndarray, return_: np.ndarray
    ) -> tuple[np.floating[Any], np.ndarray]:
        c = self.coefficients
        error = value - return_
        squared = error * error
        count = len(value)
        scale = np.float32(c.value_coefficient / count)
        if not c.clip_value_loss:
            return 0.5 * np.add.reduce(squared) / count, scale * error
        change = value - old_value
        within = np.minimum(np.maximum(change, -c.clip_range), c.clip_range)
        bounded_error = old_value + within - return_
        bounded = bounded_error * bounded_error
        # Outside the range a bounded error that is the greater one has no slope.
        slope = (squared >= bounded) | (np.abs(change) <= c.clip_range)
        loss = 0.5 * np.add.reduce(np.maximum(squared, bounded)) / count
        return loss, scale * error * slope


def surrogate_for(
    network: ActorCritic,
    distribution: Distribution,
    coefficients: Coefficients,
    *,
    fast_path: bool,
    opponent: tuple[nn.Module, float] | None = None,
) -> Surrogate:
    """Return what computes the gradients of a network.

    Args:
        network: as of the surrogates.
        distribution: likewise.
        coefficients: likewise.
        fast_path: in numpy where that is supported.
        opponent: head and weight as of `OpponentSurrogate`, which is for networks without a memory; None: no such loss.
    """
    if opponent is not None:
        head, weight = opponent
        return OpponentSurrogate(network, distribution, coefficients, head=head, weight=weight)
    if network.state_size:
        return SequenceSurrogate(network, distribution, coefficients)
    if fast_path and NumpySurrogate.supports(network, distribution):
        return NumpySurrogate(network, cast(Differentiable, distribution), coefficients)
    return TorchSurrogate(network, distribution, coefficients)
