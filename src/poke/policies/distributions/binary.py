"""Several switches at once, each on or off."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn.functional import logsigmoid


class MultiBinary:
    """Switches that do not depend on each other; the outputs are the logits of on."""

    def sample(
        self, outputs: np.ndarray, action_mask: np.ndarray | None, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw `[batch, size]` int64 actions of 0 and 1."""
        # Compared as logits: a probability that rounds to 1 would never be off.
        action = (generator.logistic(size=outputs.shape) < outputs).astype(np.int64)
        return action, self.log_prob(outputs, action, action_mask)

    def mode(self, outputs: np.ndarray, action_mask: np.ndarray | None) -> np.ndarray:
        """Return `[batch, size]` int64: on where that is more probable."""
        return (outputs > 0).astype(np.int64)

    def log_prob(
        self, outputs: np.ndarray, action: np.ndarray, action_mask: np.ndarray | None
    ) -> np.ndarray:
        """Return the log-probabilities of whole actions, `[batch]` float32."""
        return -np.logaddexp(0, np.where(action, -outputs, outputs)).sum(axis=1)

    def describe(
        self, outputs: np.ndarray, action_mask: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """Return `probabilities` of on, `[batch, size]` float32."""
        return {"probabilities": np.exp(-np.logaddexp(0, -outputs))}

    def log_prob_and_entropy(
        self, outputs: Tensor, action: Tensor, action_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return log-probabilities and entropies, summed over the switches."""
        on, off = logsigmoid(outputs), logsigmoid(-outputs)
        log_prob = on.where(action.bool(), off).sum(dim=1)
        return log_prob, -(on.exp() * on + off.exp() * off).sum(dim=1)
