"""Running mean and variance of observations, and the scale of discounted returns.

Engstrom et al., "Implementation Matters in Deep Policy Gradients", ICLR 2020, section 3 (observation normalisation,
reward scaling). Means and variances are merged as in Chan et al., "Updating Formulae and a Pairwise Algorithm for
Computing Sample Variances", 1979.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


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
    """Shifts and scales observations to mean 0 and variance 1, and clips them.

    Args:
        shape: of one observation.
        limit: absolute value to clip at.
    """

    def __init__(self, shape: tuple[int, ...], limit: float) -> None:
        self.moments = RunningMoments(shape)
        self._limit = limit

    def __call__(self, observation: np.ndarray, out: np.ndarray) -> None:
        """Write `[num_envs, *shape]` observations, normalised, into `out`."""
        scale = np.sqrt(self.moments.variance + 1e-8)
        np.clip((observation - self.moments.mean) / scale, -self._limit, self._limit, out=out)


class RewardScaler:
    """Divides rewards by the standard deviation of the discounted return, and clips them.

    Args:
        num_envs: environments.
        gamma: discount factor of the return.
        limit: absolute value to clip at.
    """

    def __init__(self, num_envs: int, gamma: float, limit: float) -> None:
        self.moments = RunningMoments(())
        self._returns = np.zeros(num_envs)
        self._gamma = gamma
        self._limit = limit

    def __call__(self, reward: np.ndarray, ended: np.ndarray, counted: np.ndarray) -> np.ndarray:
        """Return scaled rewards.

        Args:
            reward: `[num_envs]`.
            ended: `[num_envs]` bool: the episode ended with this reward.
            counted: `[num_envs]` bool: false where the step was only a reset.
        """
        self._returns = self._returns * self._gamma + reward
        if counted.any():
            self.moments.update(self._returns[counted])
        self._returns[ended] = 0
        scale = np.sqrt(self.moments.variance + 1e-8)
        return np.clip(reward / scale, -self._limit, self._limit)

    def get_state(self) -> dict[str, Any]:
        """Return the moments and the running returns."""
        return {"moments": self.moments.get_state(), "returns": self._returns.tolist()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned."""
        self.moments.set_state(state["moments"])
        self._returns = np.array(state["returns"], np.float64)

    def restart(self, state: Mapping[str, Any]) -> None:
        """Take the moments of a state, and let every return begin anew."""
        self.moments.set_state(state["moments"])
        self._returns.fill(0)
