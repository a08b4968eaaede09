"""Gymnasium's spaces as poke's: what goes into a policy and comes out of it.

Alone in this room, it imports Gymnasium.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from poke.spaces.actions import ActionSpace
from poke.spaces.observations import Entry, ObservationSpace, Path, SpaceError

MASK = "action_mask"
NO_BOUND = (
    1e9  # what is given as a bound from here on, such as a dtype's largest number, means none
)
MAX_CHOICES = 256  # for each number of a Box of whole numbers, which is a choice among them


def read_observations(name: str, space: gym.Space[Any]) -> ObservationSpace:
    """Return how to read an observation space. An entry `action_mask` of a Dict is the mask and no observation.

    Raises:
        SpaceError: a part of it is of a kind that poke cannot play, or there is nothing to see.
    """
    entries: list[Entry] = []
    masks: list[Path] = []
    for path, part in leaves(space):
        if path and path[-1] == MASK:
            masks.append(path)
        else:
            entries.append(_entry(name, path, part))
    if not entries:
        raise SpaceError(f"{name} has nothing to observe: {_shown(space)}")
    if len(masks) > 1:
        names = " and ".join(".".join(map(str, path)) for path in masks)
        raise SpaceError(f"{name} has several action masks: {names}")
    return ObservationSpace(tuple(entries), masks[0] if masks else None)


def leaves(space: gym.Space[Any], path: Path = ()) -> Iterator[tuple[Path, gym.Space[Any]]]:
    """Yield the parts of nested Dicts and Tuples, an action mask whole, and where each stands."""
    if path and path[-1] == MASK:
        yield path, space
    elif isinstance(space, spaces.Dict):
        for name, part in space.spaces.items():
            yield from leaves(part, (*path, name))
    elif isinstance(space, spaces.Tuple):
        for i, part in enumerate(space.spaces):
            yield from leaves(part, (*path, i))
    else:
        yield path, space


def _entry(name: str, path: Path, space: gym.Space[Any]) -> Entry:
    shape: tuple[int, ...] = tuple(int(size) for size in space.shape or ())
    some, kind = 0 not in shape, np.dtype(space.dtype).kind
    if isinstance(space, spaces.Discrete):
        return Entry(path, "discrete", (), sizes=(int(space.n),), starts=(int(space.start),))
    if isinstance(space, spaces.MultiDiscrete) and some:
        sizes, starts = (tuple(a.reshape(-1).tolist()) for a in (space.nvec, space.start))
        return Entry(path, "discrete", shape, sizes=sizes, starts=starts)
    if isinstance(space, spaces.MultiBinary) and some:
        return Entry(path, "binary", shape)
    if isinstance(space, spaces.Box) and kind in "fiub" and some:
        dtype = "uint8" if space.dtype == np.uint8 else "float32"
        low, high = _bound(space.low), _bound(space.high)
        return Entry(path, "box", shape, dtype, low, high)
    whole = Entry(path, "box", ()).name if path else "observations"
    raise SpaceError(
        f"{name} has {whole} of {_shown(space)}, but poke takes Box, Discrete, MultiDiscrete, "
        "MultiBinary, and Tuple and Dict of these"
    )


def _bound(ends: np.ndarray) -> float | None:
    first = float(ends.reshape(-1)[0])
    return first if abs(first) < NO_BOUND and (ends == ends.reshape(-1)[0]).all() else None


def read_actions(name: str, space: gym.Space[Any], bounds: str = "clip") -> ActionSpace:
    """Return the actions of an action space.

    Args:
        name: whose it is, for the messages.
        space: of the environment.
        bounds: how numbers are brought within a Box's, ``clip`` or ``squash``.

    Raises:
        SpaceError: it is of a kind that poke cannot play, or has no bounds to squash to.
    """
    shape: tuple[int, ...] = tuple(int(size) for size in space.shape or ())
    some, kind = 0 not in shape, np.dtype(space.dtype).kind
    actions = None
    if isinstance(space, spaces.Discrete):
        actions = ActionSpace.discrete(int(space.n), int(space.start))
    elif isinstance(space, spaces.MultiDiscrete) and some:
        actions = _choices("multi_discrete", space, space.nvec, space.start)
    elif isinstance(space, spaces.MultiBinary) and some:
        two = np.full(shape, 2)
        actions = _choices("multi_binary", space, two, np.zeros_like(two))
    elif isinstance(space, spaces.Box) and some:
        if kind == "f":
            actions = ActionSpace.continuous_box(
                shape, space.low, space.high, bounds=bounds, dtype=str(space.dtype)
            )
        elif kind in "iu":
            sizes = space.high.astype(object) - space.low.astype(object) + 1  # of any size
            if (sizes <= MAX_CHOICES).all():
                actions = _choices("multi_discrete", space, sizes, space.low)
    if actions is None:
        raise SpaceError(
            f"{name} takes actions of {_shown(space)}, but poke gives Discrete, MultiDiscrete, "
            f"MultiBinary, Box of floats, or of up to {MAX_CHOICES} whole numbers"
        )
    if bounds == "squash":
        if not actions.continuous:
            raise SpaceError(
                f"env.action_bounds=squash is for actions of numbers, and {name} takes {actions}"
            )
        if not np.isfinite([actions.low, actions.high]).all():
            raise SpaceError(
                f"env.action_bounds=squash needs finite bounds, and {name} takes {_shown(space)}"
            )
    return actions


def _choices(
    kind: str, space: gym.Space[Any], sizes: np.ndarray, starts: np.ndarray
) -> ActionSpace:
    counts, firsts = (tuple(int(number) for number in a.reshape(-1)) for a in (sizes, starts))
    return ActionSpace(kind, counts, firsts, tuple(sizes.shape), dtype=str(space.dtype))


def _shown(space: gym.Space[Any]) -> str:
    return " ".join(str(space).split())
