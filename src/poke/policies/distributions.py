"""Distributions over actions: sampled in numpy, differentiated by torch, or by hand in numpy."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from poke.spaces import ActionSpace

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


class Terms(Protocol):
    """What the loss needs of a batch, and the way back from it."""

    log_prob: np.ndarray  # [batch] float32
    entropy: np.ndarray  # [batch] float32

    def backward(self, log_prob_gradient: np.ndarray, entropy_gradient: float) -> np.ndarray:
        """Return the loss's gradient by the outputs, `[batch, num_outputs]` float32.

        Args:
            log_prob_gradient: the loss's gradient by each log-probability, `[batch]` float32.
            entropy_gradient: by each entropy.
        """
        ...


class Distribution(Protocol):
    """What a network's outputs mean."""

    def sample(
        self, outputs: np.ndarray, action_mask: np.ndarray | None, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw actions.

        Args:
            outputs: `[batch, num_outputs]` float32.
            action_mask: `[batch, num_outputs]` bool, true where legal; None where everything is.
            generator: is drawn from.

        Returns:
            The actions and their log-probabilities, `[batch]` float32.
        """
        ...

    def mode(self, outputs: np.ndarray, action_mask: np.ndarray | None) -> np.ndarray:
        """Return the most probable actions."""
        ...

    def log_prob(
        self, outputs: np.ndarray, action: np.ndarray, action_mask: np.ndarray | None
    ) -> np.ndarray:
        """Return the actions' log-probabilities, `[batch]` float32."""
        ...

    def describe(
        self, outputs: np.ndarray, action_mask: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """Return what a user may want to see of the distribution, by name, each `[batch, ...]`."""
        ...

    def log_prob_and_entropy(
        self, outputs: Tensor, action: Tensor, action_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the actions' log-probabilities and the entropies, both `[batch]` float32."""
        ...

    def differentiable(
        self, outputs: np.ndarray, action: np.ndarray, action_mask: np.ndarray | None
    ) -> Terms:
        """Return the same in numpy, with the way back."""
        ...


def masked_logits(logits: Tensor, action_mask: Tensor | None) -> Tensor:
    """Put illegal actions out of reach.

    Args:
        logits: `[batch, num_actions]` float32.
        action_mask: `[batch, num_actions]` bool, true where legal; None where everything is.

    Returns:
        `[batch, num_actions]` float32, the dtype's lowest number where illegal: finite, so that its product with a
        probability of 0 is 0 and never NaN.
    """
    if action_mask is None:
        return logits
    return logits.masked_fill(~action_mask, torch.finfo(logits.dtype).min)


class Categorical:
    """Discrete actions by a softmax over the legal ones; the outputs are logits."""

    def sample(
        self, outputs: np.ndarray, action_mask: np.ndarray | None, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw `[batch]` int64 actions by inverting the cumulative distribution."""
        outputs = _masked(outputs, action_mask)
        shifted = outputs - outputs.max(axis=1, keepdims=True)
        cumulative = np.exp(shifted).cumsum(axis=1)
        total = cumulative[:, -1]
        # A float64 below 1 times the total stays below it, so an action without probability is never drawn.
        drawn = generator.random(len(outputs)) * total
        action = (cumulative <= drawn[:, None]).sum(axis=1)
        return action, shifted[np.arange(len(action)), action] - np.log(total)

    def mode(self, outputs: np.ndarray, action_mask: np.ndarray | None) -> np.ndarray:
        """Return `[batch]` int64."""
        return _masked(outputs, action_mask).argmax(axis=1)

    def log_prob(
        self, outputs: np.ndarray, action: np.ndarray, action_mask: np.ndarray | None
    ) -> np.ndarray:
        """Return the actions' log-probabilities, `[batch]` float32."""
        return _CategoricalTerms(_masked(outputs, action_mask), action).log_prob

    def describe(
        self, outputs: np.ndarray, action_mask: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """Return `probabilities`, `[batch, num_actions]` float32."""
        outputs = _masked(outputs, action_mask)
        weights = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return {"probabilities": weights / weights.sum(axis=1, keepdims=True)}

    def log_prob_and_entropy(
        self, outputs: Tensor, action: Tensor, action_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return log-probabilities and entropies; illegal actions have neither."""
        log_probs = masked_logits(outputs, action_mask).log_softmax(dim=1)
        log_prob = log_probs.gather(1, action.unsqueeze(1)).squeeze(1)
        # exp(lowest number) is 0, and 0 times it is 0.
        entropy = -(log_probs.exp() * log_probs).sum(dim=1)
        return log_prob, entropy

    def differentiable(
        self, outputs: np.ndarray, action: np.ndarray, action_mask: np.ndarray | None
    ) -> Terms:
        """Return the same in numpy, with the way back."""
        return _CategoricalTerms(_masked(outputs, action_mask), action)


def _masked(logits: np.ndarray, action_mask: np.ndarray | None) -> np.ndarray:
    if action_mask is None:
        return logits
    return np.where(action_mask, logits, np.finfo(np.float32).min)


class _CategoricalTerms:
    def __init__(self, logits: np.ndarray, action: np.ndarray) -> None:
        shifted = logits - logits.max(axis=1, keepdims=True)
        self._probs = np.exp(shifted)
        total = self._probs.sum(axis=1, keepdims=True)
        self._probs /= total
        self._log_probs = shifted - np.log(total)
        self._chosen = np.arange(len(action)), action
        self.log_prob = self._log_probs[self._chosen]
        self.entropy = -(self._probs * self._log_probs).sum(axis=1)

    def backward(self, log_prob_gradient: np.ndarray, entropy_gradient: float) -> np.ndarray:
        by_entropy = self._log_probs + self.entropy[:, None]
        by_entropy *= np.float32(-entropy_gradient)
        by_entropy -= log_prob_gradient[:, None]
        by_entropy *= self._probs
        by_entropy[self._chosen] += log_prob_gradient
        return by_entropy


class DiagonalGaussian:
    """Continuous actions around the outputs, with a deviation that does not depend on the state.

    Args:
        log_std: `[size]` float32 parameter on the CPU or a device.
    """

    def __init__(self, log_std: nn.Parameter) -> None:
        self._log_std = log_std

    def sample(
        self, outputs: np.ndarray, action_mask: np.ndarray | None, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw `[batch, size]` float32 actions."""
        log_std = self._log_std.detach().cpu().numpy()
        noise = generator.standard_normal(outputs.shape, np.float32)
        log_prob = -(0.5 * noise**2 + log_std + LOG_SQRT_2PI).sum(axis=1)
        return outputs + np.exp(log_std) * noise, log_prob

    def mode(self, outputs: np.ndarray, action_mask: np.ndarray | None) -> np.ndarray:
        """Return `[batch, size]` float32: the mean."""
        return outputs.copy()

    def log_prob(
        self, outputs: np.ndarray, action: np.ndarray, action_mask: np.ndarray | None
    ) -> np.ndarray:
        """Return the actions' log-densities, `[batch]` float32."""
        log_std = self._log_std.detach().cpu().numpy()
        noise = (action - outputs) * np.exp(-log_std)
        return -(0.5 * noise**2 + log_std + np.float32(LOG_SQRT_2PI)).sum(axis=1)

    def describe(
        self, outputs: np.ndarray, action_mask: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """Return `mean` and `std`, `[batch, size]` float32."""
        std = np.exp(self._log_std.detach().cpu().numpy())
        return {"mean": outputs.copy(), "std": np.broadcast_to(std, outputs.shape)}

    def log_prob_and_entropy(
        self, outputs: Tensor, action: Tensor, action_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return log-probabilities and entropies, summed over the action's parts."""
        noise = (action - outputs) * torch.exp(-self._log_std)
        log_prob = -(0.5 * noise**2 + self._log_std + LOG_SQRT_2PI).sum(dim=1)
        entropy = (self._log_std + 0.5 + LOG_SQRT_2PI).sum().expand(len(outputs))
        return log_prob, entropy

    def differentiable(
        self, outputs: np.ndarray, action: np.ndarray, action_mask: np.ndarray | None
    ) -> Terms:
        """Return the same in numpy, with the way back, which also writes the gradient of `log_std`."""
        return _GaussianTerms(outputs, action, self._log_std)


class _GaussianTerms:
    def __init__(self, mean: np.ndarray, action: np.ndarray, log_std: nn.Parameter) -> None:
        self._parameter = log_std
        values = log_std.detach().numpy()
        self._precision = np.exp(-values)
        self._noise = (action - mean) * self._precision
        self.log_prob = -(0.5 * self._noise**2 + values + np.float32(LOG_SQRT_2PI)).sum(axis=1)
        self.entropy = np.full(
            len(mean), (values + np.float32(0.5 + LOG_SQRT_2PI)).sum(), np.float32
        )

    def backward(self, log_prob_gradient: np.ndarray, entropy_gradient: float) -> np.ndarray:
        weighted = self._noise * log_prob_gradient[:, None]
        assert self._parameter.grad is not None
        by_log_std = (weighted * self._noise).sum(axis=0) - log_prob_gradient.sum()
        by_log_std += np.float32(entropy_gradient * len(self._noise))
        self._parameter.grad.numpy()[...] = by_log_std
        return weighted * self._precision


def distribution_of(space: ActionSpace, log_std: nn.Parameter | None) -> Distribution:
    """Return what a network's outputs mean for actions of a space.

    Args:
        space: of the actions.
        log_std: the network's, where actions are continuous.
    """
    if space.continuous:
        assert log_std is not None
        return DiagonalGaussian(log_std)
    return Categorical()
