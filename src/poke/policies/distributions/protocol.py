"""What a distribution over actions can do."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from torch import Tensor


class Distribution(Protocol):
    """What a network's outputs mean: sampled in numpy, differentiated by torch."""

    def sample(
        self, outputs: np.ndarray, action_mask: np.ndarray | None, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw actions.

        Args:
            outputs: `[batch, num_outputs]` float32.
            action_mask: `[batch, mask_size]` bool, true where legal; None where everything is.
            generator: is drawn from.

        Returns:
            The actions, `[batch, *action_shape]`, and their log-probabilities, `[batch]` float32.
        """
        ...

    def mode(self, outputs: np.ndarray, action_mask: np.ndarray | None) -> np.ndarray:
        """Return the most probable actions, `[batch, *action_shape]`."""
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


class Differentiable(Distribution, Protocol):
    """One that numpy differentiates too."""

    def differentiable(
        self, outputs: np.ndarray, action: np.ndarray, action_mask: np.ndarray | None
    ) -> Terms:
        """Return log-probabilities and entropies, with the way back."""
        ...
