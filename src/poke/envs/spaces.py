"""What poke can play: observations as one array, actions discrete or continuous."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from poke.data.rollout import ActionSpace


class UnsupportedEnvironmentError(ValueError):
    """An environment that does not exist or whose spaces poke cannot play; the message is one line."""


@dataclass(frozen=True)
class Observations:
    """How an environment's observations become one array.

    Args:
        shape: of one observation as the policy gets it.
        dtype: of its numbers: uint8 stays uint8, everything else becomes float32.
        num_states: of a Discrete observation, which is encoded one-hot; None for a Box.
        masked: the observation is a Dict of `observation` and `action_mask`.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    num_states: int | None
    masked: bool

    def write(self, observation: Any, out: np.ndarray) -> None:
        """Write one or a batch of the environment's observations into `out`, `[..., *shape]`."""
        if self.masked:
            observation = observation["observation"]
        if self.num_states is None:
            out[...] = observation
        else:
            out[...] = np.arange(self.num_states) == np.expand_dims(observation, -1)


def read_observations(env_id: str, space: gym.Space[Any]) -> Observations:
    """Return how to read an observation space.

    Raises:
        UnsupportedEnvironmentError: it is neither a Box, nor Discrete, nor a Dict of one of these and an action mask.
    """
    masked = isinstance(space, spaces.Dict) and set(space.spaces) == {"observation", "action_mask"}
    inner = space["observation"] if masked and isinstance(space, spaces.Dict) else space
    if isinstance(inner, spaces.Box) and inner.dtype is not None and inner.dtype.kind in "fiub":
        dtype = np.dtype(np.uint8 if inner.dtype == np.uint8 else np.float32)
        return Observations(tuple(inner.shape), dtype, None, masked)
    if isinstance(inner, spaces.Discrete):
        return Observations((int(inner.n),), np.dtype(np.float32), int(inner.n), masked)
    raise UnsupportedEnvironmentError(
        f"{env_id} has observations of {_shown(space)}, but poke takes Box, Discrete, "
        "or a Dict of observation and action_mask"
    )


def read_actions(env_id: str, space: gym.Space[Any]) -> ActionSpace:
    """Return the actions of an action space.

    Raises:
        UnsupportedEnvironmentError: it is neither Discrete nor a Box of floats.
    """
    if isinstance(space, spaces.Discrete):
        return ActionSpace(num_outputs=int(space.n), continuous=False)
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        return ActionSpace(num_outputs=math.prod(space.shape), continuous=True)
    raise UnsupportedEnvironmentError(
        f"{env_id} takes actions of {_shown(space)}, but poke gives Discrete or Box"
    )


def _shown(space: gym.Space[Any]) -> str:
    return " ".join(str(space).split())
