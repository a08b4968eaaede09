"""Several files that are one data set. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from poke.data import trajectories
from poke.data.files.described import DataError
from poke.data.files.steps import COLUMNS, Finals, Trajectories, mark_sizes

_KINDS = ("observation", "action", "layout")


def paths_of(path: str | Path | Sequence[str], key: str = "data.path") -> list[str]:
    """Return the files that one path or several name.

    Args:
        path: one, or several.
        key: of the config, that gave them.

    Raises:
        DataError: none, or one of them twice.
    """
    paths = [str(path)] if isinstance(path, str | Path) else list(path)
    if not paths:
        raise DataError(f"{key}=[] names no file")
    places = [trajectories.locate(part).resolve() for part in paths]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise DataError(f"{paths[number]} is named twice")
    return paths


def read_all(paths: Sequence[str]) -> tuple[Trajectories, list[int]]:
    """Read files of one kind as if they were one.

    Args:
        paths: as `trajectories.read` takes each.

    Returns:
        All of them, in this order, their episodes numbered on; and how many episodes each holds.

    Raises:
        DataError: one is missing or wrong, or of another kind than the first.
    """
    parts = [trajectories.read(path) for path in paths]
    for path, part in zip(paths[1:], parts[1:], strict=True):
        refuse_another_kind(paths[0], parts[0].metadata, path, part.metadata)
        refuse_other_masks(paths[0], parts[0], path, part)
    return concatenate(parts), [part.num_episodes for part in parts]


def concatenate(
    parts: Sequence[Trajectories], *, held: Mapping[str, Any] | None = None
) -> Trajectories:
    """Return trajectories of one kind one after the other, their episodes numbered on.

    Of the metadata stays what all agree on. Where some have marks, of those that have none all is known; where
    some have weights, the others' are 1.

    Args:
        parts: in their order.
        held: columns of the whole that hold the parts' already; they are not copied.
    """
    held = held or {}
    if len(parts) == 1:
        return replace(parts[0], **held) if held else parts[0]
    counts = [part.num_episodes for part in parts]
    before = np.cumsum([0, *counts[:-1]])
    agents = list(dict.fromkeys(name for p in parts for name in p.metadata.get("agents", ())))
    columns: dict[str, Any] = {}
    for name in COLUMNS:
        columns[name] = [getattr(part, name) for part in parts]
    columns["episode"] = [p.episode + n for p, n in zip(parts, before, strict=True)]
    columns["agent"] = [_renamed(part, agents) for part in parts]
    if any(marks is not None for marks in columns["marks"]):
        columns["marks"] = [_all_known(p) if p.marks is None else p.marks for p in parts]
    if any(weight is not None for weight in columns["weight"]):
        ones = [np.ones(len(part), np.float32) for part in parts]
        columns["weight"] = [
            p.weight if p.weight is not None else o for p, o in zip(parts, ones, strict=True)
        ]
    whole: dict[str, Any] = {
        name: None if any(array is None for array in arrays) else np.concatenate(arrays)
        for name, arrays in columns.items()
        if name not in held
    }
    whole |= held
    first, *others = (part.metadata for part in parts)
    shared = {k: v for k, v in first.items() if all(o.get(k) == v for o in others)}
    if whole["agent"] is not None:
        shared["agents"] = agents
    return replace(parts[0], **whole, metadata=shared, finals=_all_finals(parts))


def _all_finals(parts: Sequence[Trajectories]) -> Finals | None:
    """The parts' finals, by the rows of the whole."""
    before = np.cumsum([0, *(len(part) for part in parts[:-1])])
    known = [(p.finals, n) for p, n in zip(parts, before, strict=True) if p.finals is not None]
    if not known:
        return None
    masks = [finals.action_mask for finals, _ in known if finals.action_mask is not None]
    return Finals(
        np.concatenate([finals.rows + n for finals, n in known]),
        np.concatenate([finals.observation for finals, _ in known]),
        np.concatenate(masks) if masks else None,
    )


def _all_known(part: Trajectories) -> np.ndarray:
    """Marks of what was recorded by who saw it: everything is known, nothing filled."""
    sizes = mark_sizes(part.observation[0].size, part.action_space.mask_size)
    row = np.repeat(np.array([255, 0, 255, 0], np.uint8), sizes)
    return np.broadcast_to(row, (len(part), len(row)))


def _renamed(part: Trajectories, agents: Sequence[str]) -> np.ndarray | None:
    if part.agent is None:
        return None
    numbers = [agents.index(name) for name in part.metadata["agents"]]
    return np.array(numbers, np.int16)[part.agent]


def refuse_another_kind(first: str, a: Mapping[str, Any], path: str, b: Mapping[str, Any]) -> None:
    """Raise `DataError` where two files' metadata say that they are of another kind."""
    for kind in _KINDS:
        if a.get(kind) != b.get(kind):
            raise DataError(f"{path} holds another kind of {kind} than {first}")


def refuse_other_masks(first: str, a: Trajectories, path: str, b: Trajectories) -> None:
    """Raise `DataError` where one file has action masks and another has none."""
    if (a.action_mask is None) != (b.action_mask is None):
        has, lacks = (path, first) if a.action_mask is None else (first, path)
        raise DataError(f"{has} says which actions were legal, {lacks} does not")
