"""Gymnasium's spaces as poke's: what goes into a policy and comes out of it."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from poke.spaces import ActionSpace, Entry, ObservationSpace


class UnsupportedEnvironmentError(ValueError):
    """An environment that does not exist or whose spaces poke cannot play; the message is one line."""


def read_observations(env_id: str, space: gym.Space[Any]) -> ObservationSpace:
    """Return how to read an observation space.

    Raises:
        UnsupportedEnvironmentError: it is neither a Box, nor Discrete, nor a Dict of one of these and an action mask.
    """
    masked = isinstance(space, spaces.Dict) and set(space.spaces) == {"observation", "action_mask"}
    inner = space["observation"] if masked and isinstance(space, spaces.Dict) else space
    path = ("observation",) if masked else ()
    mask = ("action_mask",) if masked else None
    if isinstance(inner, spaces.Box) and inner.dtype is not None and inner.dtype.kind in "fiub":
        dtype = "uint8" if inner.dtype == np.uint8 else "float32"
        return ObservationSpace((Entry(path, "box", tuple(inner.shape), dtype),), mask)
    if isinstance(inner, spaces.Discrete):
        entry = Entry(path, "discrete", (), sizes=(int(inner.n),), starts=(int(inner.start),))
        return ObservationSpace((entry,), mask)
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
        return ActionSpace.discrete(int(space.n), int(space.start))
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        return ActionSpace.continuous_box(
            tuple(space.shape), space.low, space.high, dtype=str(space.dtype)
        )
    raise UnsupportedEnvironmentError(
        f"{env_id} takes actions of {_shown(space)}, but poke gives Discrete or Box"
    )


def _shown(space: gym.Space[Any]) -> str:
    return " ".join(str(space).split())
