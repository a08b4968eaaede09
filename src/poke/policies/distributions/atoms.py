"""One choice, by what its returns are expected to be where these are distributions over atoms."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from poke.networks.atoms import Atoms
from poke.policies.distributions.categorical import Categorical


class AtomCategorical:
    """Discrete actions by a softmax over the legal ones' expected returns; the best is that of the greatest.

    The mask takes part in reading a dueling network, so that acting and learning see the same values.

    Args:
        atoms: read the outputs.
    """

    def __init__(self, atoms: Atoms) -> None:
        self._atoms = atoms
        self._choice = Categorical()
        # Of its own and on the CPU, wherever the network is.
        self._support = np.linspace(atoms.low, atoms.high, atoms.num, dtype=np.float32)

    def sample(
        self, outputs: np.ndarray, action_mask: np.ndarray | None, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw `[batch]` int64 actions."""
        return self._choice.sample(self.values(outputs, action_mask), action_mask, generator)

    def mode(self, outputs: np.ndarray, action_mask: np.ndarray | None) -> np.ndarray:
        """Return `[batch]` int64: the actions of greatest expected return."""
        return self._choice.mode(self.values(outputs, action_mask), action_mask)

    def log_prob(
        self, outputs: np.ndarray, action: np.ndarray, action_mask: np.ndarray | None
    ) -> np.ndarray:
        """Return the actions' log-probabilities, `[batch]` float32."""
        return self._choice.log_prob(self.values(outputs, action_mask), action, action_mask)

    def describe(
        self, outputs: np.ndarray, action_mask: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """Return `probabilities`, `[batch, num_actions]` float32."""
        return self._choice.describe(self.values(outputs, action_mask), action_mask)

    def log_prob_and_entropy(
        self, outputs: Tensor, action: Tensor, action_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return log-probabilities and entropies; illegal actions have neither."""
        values = self._atoms.values(outputs, action_mask)
        return self._choice.log_prob_and_entropy(values, action, action_mask)

    def values(self, outputs: np.ndarray, action_mask: np.ndarray | None) -> np.ndarray:
        """Return what `Atoms.values` does, in numpy."""
        logits = outputs.reshape(len(outputs), -1, self._atoms.num)
        # What is illegal may be anything; it is left out of the mean here and by its mask later.
        with np.errstate(invalid="ignore", over="ignore"):
            if self._atoms.dueling:
                advantage, value = logits[:, :-1], logits[:, -1:]
                legal = True if action_mask is None else action_mask[:, :, None]
                usual = advantage.mean(axis=1, keepdims=True, where=legal)
                logits = advantage + (value - usual)
            weights = np.exp(logits - np.maximum.reduce(logits, axis=2, keepdims=True))
            return (weights @ self._support) / np.add.reduce(weights, axis=2)
