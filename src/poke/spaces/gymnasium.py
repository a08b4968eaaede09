"""Gymnasium's spaces as poke's, and poke's as Gymnasium's: what goes into a policy and comes out of it.

Alone in this room, it imports Gymnasium.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from poke.spaces.actions import ActionSpace
from poke.spaces.observations import Entry, Field, ObservationSpace, Path, SpaceError

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


def as_observations(space: ObservationSpace, mask_size: int = 0) -> gym.Space[Any]:
    """Return a space of Gymnasium that `read_observations` reads as this one.

    Args:
        space: of observations.
        mask_size: how wide the masks are that come with them; 0: none do. Where the space itself has no place for them
            they stand beside the observation, in a Dict around it.
    """
    leaves = {entry.path: _as_leaf(entry) for entry in space.entries}
    if not mask_size:
        return _as_space(_nested(leaves))
    mask = spaces.MultiBinary(mask_size)
    return _as_space(_with_mask(space, _nested(leaves), mask))


def parts_of(space: ObservationSpace, array: np.ndarray, mask: np.ndarray | None = None) -> Any:
    """Return observations as an environment with the space `as_observations` gives them.

    Args:
        space: of observations.
        array: `[batch, *shape]`, as `ObservationSpace.write` writes them.
        mask: `[batch, mask_size] bool`.
    """
    array = np.ascontiguousarray(array)
    leaves = {place.entry.path: _values(space, place, array) for place in space.fields}
    whole = _nested(leaves)
    return whole if mask is None else _with_mask(space, whole, mask.astype(np.int8))


def as_actions(space: ActionSpace) -> gym.Space[Any]:
    """Return a space of Gymnasium that `read_actions` reads as this one."""
    if space.continuous:
        low, high = (
            np.reshape(e, space.shape).astype(space.dtype) for e in (space.low, space.high)
        )
        return spaces.Box(low, high, dtype=np.dtype(space.dtype).type)
    if space.kind == "discrete":
        return spaces.Discrete(space.sizes[0], start=space.starts[0])
    if space.kind == "multi_binary":
        return spaces.MultiBinary(space.shape)
    sizes, starts = (np.reshape(numbers, space.shape) for numbers in (space.sizes, space.starts))
    return spaces.MultiDiscrete(sizes, start=starts)


def _as_leaf(entry: Entry) -> gym.Space[Any]:
    if entry.kind == "binary":
        return spaces.MultiBinary(entry.shape)
    if entry.kind == "discrete" and not entry.shape:
        return spaces.Discrete(entry.sizes[0], start=entry.starts[0])
    if entry.kind == "discrete":
        sizes, starts = (np.reshape(part, entry.shape) for part in (entry.sizes, entry.starts))
        return spaces.MultiDiscrete(sizes, start=starts)
    dtype = np.dtype(entry.dtype)
    low, high = -np.inf, np.inf
    if dtype.kind in "iu":
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    low = low if entry.low is None else entry.low
    high = high if entry.high is None else entry.high
    return spaces.Box(low, high, entry.shape, dtype.type)


def _values(space: ObservationSpace, place: Field, array: np.ndarray) -> np.ndarray:
    """Return what an entry was in the environment, `[batch, *entry.shape]`."""
    entry = place.entry
    if not space.packed:
        if entry.kind != "discrete":
            return array
        ends = np.cumsum(entry.sizes)
        ids = np.stack(
            [array[:, end - n : end].argmax(1) for n, end in zip(entry.sizes, ends, strict=True)], 1
        )
    else:
        raw = np.ascontiguousarray(array[:, place.offset : place.offset + place.num_bytes])
        ids = raw.view(place.dtype).reshape(len(array), *place.shape)
    if entry.kind == "discrete":
        flat = ids.reshape(len(array), -1).astype(np.int64) + np.asarray(entry.starts)
        return flat.reshape(len(array), *entry.shape)
    return ids.astype(np.int8) if entry.kind == "binary" else ids


def _nested(leaves: Mapping[Path, Any]) -> Any:
    """Return values by path as dicts, and as tuples where they are numbered."""
    if () in leaves:
        return leaves[()]
    heads = list(dict.fromkeys(path[0] for path in leaves))
    parts = {
        head: _nested({path[1:]: leaf for path, leaf in leaves.items() if path[0] == head})
        for head in heads
    }
    if all(isinstance(head, int) for head in heads):
        return tuple(parts[head] for head in sorted(parts))
    return parts


def _with_mask(space: ObservationSpace, whole: Any, mask: Any) -> Any:
    """Return an observation, or its space, with its mask: where it was, or beside it."""
    if space.mask is None or not isinstance(whole, dict):
        return {"observation": whole, MASK: mask}
    inner = whole
    for key in space.mask[:-1]:
        inner = inner[key]
    inner[space.mask[-1]] = mask
    return whole


def _as_space(part: Any) -> gym.Space[Any]:
    if isinstance(part, dict):
        # Pairs, for Gymnasium sorts what comes as a dict; parts lie in an array in the order of their entries.
        return spaces.Dict([(name, _as_space(inner)) for name, inner in part.items()])
    if isinstance(part, tuple):
        return spaces.Tuple([_as_space(inner) for inner in part])
    return part
