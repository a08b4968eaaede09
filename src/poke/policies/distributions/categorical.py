"""Choices: one, or several at once that do not depend on each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from poke.policies.distributions.protocol import Terms


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
        # Reductions as ufuncs: as methods they take twice the time of a few rows.
        shifted = outputs - np.maximum.reduce(outputs, axis=1, keepdims=True)
        cumulative = np.add.accumulate(np.exp(shifted), axis=1)
        total = cumulative[:, -1]
        # A float64 below 1 times the total stays below it, so an action without probability is never drawn.
        drawn = generator.random(len(outputs)) * total
        action = np.add.reduce(cumulative <= drawn[:, None], axis=1)
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
        shifted = logits - np.maximum.reduce(logits, axis=1, keepdims=True)
        self._probs = np.exp(shifted)
        total = np.add.reduce(self._probs, axis=1, keepdims=True)
        self._probs /= total
        self._log_probs = shifted - np.log(total)
        self._chosen = np.arange(len(action)), action
        self.log_prob = self._log_probs[self._chosen]
        self.entropy = -np.add.reduce(self._probs * self._log_probs, axis=1)

    def backward(self, log_prob_gradient: np.ndarray, entropy_gradient: float) -> np.ndarray:
        by_entropy = self._log_probs + self.entropy[:, None]
        by_entropy *= np.float32(-entropy_gradient)
        by_entropy -= log_prob_gradient[:, None]
        by_entropy *= self._probs
        by_entropy[self._chosen] += log_prob_gradient
        return by_entropy


class MultiDiscrete:
    """Several choices at once, each by a softmax over its own legal values; the outputs are their logits in turn.

    Args:
        sizes: how many values each has.
    """

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self._sizes = sizes
        ends = np.cumsum(sizes).tolist()
        self._columns = [slice(e - s, e) for s, e in zip(sizes, ends, strict=True)]
        self._one = Categorical()

    def sample(
        self, outputs: np.ndarray, action_mask: np.ndarray | None, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw `[batch, parts]` int64 actions."""
        drawn = [self._one.sample(*part, generator) for part in self._parts(outputs, action_mask)]
        actions, log_probs = zip(*drawn, strict=True)
        return np.stack(actions, axis=1), np.sum(log_probs, axis=0)

    def mode(self, outputs: np.ndarray, action_mask: np.ndarray | None) -> np.ndarray:
        """Return `[batch, parts]` int64."""
        parts = self._parts(outputs, action_mask)
        return np.stack([self._one.mode(*part) for part in parts], axis=1)

    def log_prob(
        self, outputs: np.ndarray, action: np.ndarray, action_mask: np.ndarray | None
    ) -> np.ndarray:
        """Return the log-probabilities of whole actions, `[batch]` float32."""
        parts = self._parts(outputs, action_mask)
        each = [
            self._one.log_prob(logits, action[:, i], mask) for i, (logits, mask) in enumerate(parts)
        ]
        return np.sum(each, axis=0)

    def describe(
        self, outputs: np.ndarray, action_mask: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """Return `probabilities`, `[batch, sum(sizes)]` float32: each choice's in turn."""
        parts = self._parts(outputs, action_mask)
        each = [self._one.describe(*part)["probabilities"] for part in parts]
        return {"probabilities": np.concatenate(each, axis=1)}

    def log_prob_and_entropy(
        self, outputs: Tensor, action: Tensor, action_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return log-probabilities and entropies, summed over the choices."""
        logits = masked_logits(outputs, action_mask).split(self._sizes, dim=1)
        each = [
            self._one.log_prob_and_entropy(part, chosen, None)
            for part, chosen in zip(logits, action.unbind(1), strict=True)
        ]
        log_probs, entropies = zip(*each, strict=True)
        return torch.stack(log_probs).sum(dim=0), torch.stack(entropies).sum(dim=0)

    def _parts(
        self, outputs: np.ndarray, action_mask: np.ndarray | None
    ) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        for columns in self._columns:
            yield outputs[:, columns], None if action_mask is None else action_mask[:, columns]
