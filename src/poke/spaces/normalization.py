"""Running mean and variance of observations.

Engstrom et al., "Implementation Matters in Deep Policy Gradients", ICLR 2020, section 3. Means and variances are merged
as in Chan et al., "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from poke.spaces.observations import ObservationSpace, SpaceError


class RunningMoments:
    """Mean and variance of everything seen so far.

    Args:
        shape: of one sample.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.mean = np.zeros(shape)
        self.variance = np.ones(shape)
        self.count = 1e-4

    def update(self, samples: np.ndarray) -> None:
        """Take `[batch, *shape]` samples in."""
        count = len(samples)
        total = self.count + count
        delta = samples.mean(axis=0, dtype=np.float64) - self.mean
        spread = self.variance * self.count + samples.var(axis=0, dtype=np.float64) * count
        self.variance = (spread + delta**2 * self.count * count / total) / total
        self.mean = self.mean + delta * count / total
        self.count = total

    def get_state(self) -> dict[str, Any]:
        """Return mean, variance and count."""
        import torch

        return {
            "mean": torch.tensor(self.mean),
            "variance": torch.tensor(self.variance),
            "count": self.count,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned.

        Raises:
            ValueError: it is of samples of another shape.
        """
        shapes = tuple(state["mean"].shape), self.mean.shape
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"mean and variance are of samples of shape {list(shapes[0])}, not {list(shapes[1])}"
            )
        self.mean = state["mean"].numpy().copy()
        self.variance = state["variance"].numpy().copy()
        self.count = state["count"]


class ObservationNormalizer:
    """Shifts and scales the numbers of observations to mean 0 and variance 1, and clips them.

    Args:
        space: of the observations; bytes and choices in it are left as they are.
        limit: absolute value to clip at.

    Raises:
        SpaceError: it has no numbers.
    """

    def __init__(self, space: ObservationSpace, limit: float) -> None:
        if space.dtype != np.float32 and not space.num_numbers:
            raise SpaceError(f"observations of {space} have no numbers to normalise")
        self.limit = limit
        self._scale: np.ndarray
        self._scaled_for = -1.0  # how much the moments had seen
        self.moments = RunningMoments((space.num_numbers,))
        self._space = space

    def learn(self, observation: np.ndarray) -> None:
        """Take `[batch, *shape]` observations into the statistics."""
        self.moments.update(self._space.numbers(observation))

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        """Return `[batch, *shape]` observations, normalised; a new array."""
        if self._scaled_for != self.moments.count:
            self._scale = np.sqrt(self.moments.variance + 1e-8)
            self._scaled_for = self.moments.count
        numbers = (self._space.numbers(observation) - self.moments.mean) / self._scale
        np.maximum(numbers, -self.limit, out=numbers)
        np.minimum(numbers, self.limit, out=numbers)
        if not self._space.packed:
            return numbers.astype(np.float32).reshape(observation.shape)
        out = observation.copy()
        self._space.numbers(out)[...] = numbers
        return out

    def get_state(self) -> dict[str, Any]:
        """Return the statistics."""
        return self.moments.get_state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned.

        Raises:
            ValueError: it is of other observations.
        """
        flat = {name: state[name].reshape(-1) for name in ("mean", "variance")}
        self.moments.set_state({**state, **flat})
        self._scaled_for = -1.0
