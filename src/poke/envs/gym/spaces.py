"""The spaces of an environment as poke's, or one line that names the environment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
from gymnasium import spaces

from poke.envs.registration import UnsupportedEnvironmentError
from poke.spaces import ActionSpace, ObservationSpace, SpaceError
from poke.spaces import gymnasium as of_gymnasium
from poke.spaces.gymnasium import MASK, leaves
from poke.spaces.observations import Path

__all__ = ["MASK", "check_mask", "leaves", "read_actions", "read_observations"]


def read_observations(env_id: str, space: gym.Space[Any]) -> ObservationSpace:
    """Return how to read an observation space, as `poke.spaces.gymnasium.read_observations` does.

    Raises:
        UnsupportedEnvironmentError: poke cannot play it.
    """
    with _unsupported():
        return of_gymnasium.read_observations(env_id, space)


def read_actions(env_id: str, space: gym.Space[Any], bounds: str = "clip") -> ActionSpace:
    """Return the actions of an action space, as `poke.spaces.gymnasium.read_actions` does.

    Raises:
        UnsupportedEnvironmentError: poke cannot play it.
    """
    with _unsupported():
        return of_gymnasium.read_actions(env_id, space, bounds)


def check_mask(env_id: str, space: gym.Space[Any], mask: Path | None, actions: ActionSpace) -> None:
    """Check that the mask within an observation is one of the actions.

    Raises:
        UnsupportedEnvironmentError: it is of another width, or there is none of such actions.
    """
    if mask is None:
        return
    for key in mask:
        space = space[key]  # type: ignore[index]
    width = spaces.flatdim(space)
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete) or width != actions.mask_size:
        name = ".".join(map(str, mask))
        raise UnsupportedEnvironmentError(
            f"{env_id} has {name} of {' '.join(str(space).split())}, but its actions ({actions}) have a mask of "
            f"{actions.mask_size or 'no'} numbers"
        )


@contextmanager
def _unsupported() -> Iterator[None]:
    try:
        yield
    except SpaceError as error:
        raise UnsupportedEnvironmentError(str(error)) from error
