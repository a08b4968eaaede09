"""The scale of discounted returns.

Engstrom et al., "Implementation Matters in Deep Policy Gradients", ICLR 2020, section 3 (reward scaling).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from poke.spaces import RunningMoments


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
