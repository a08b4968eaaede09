"""Recorded experience of arrays as people have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from poke.data.files.checking import all_of, check, refuse, refuse_shape, since, starts_of
from poke.data.files.described import DataError, action_space, check_metadata, guessed
from poke.data.files.steps import FINALS, Finals, Trajectories
from poke.spaces import ActionSpace

# What every column is kept as; observation and action go by the metadata.
_DTYPES = {
    "action_mask": np.bool_,
    "reward": np.float32,
    "terminated": np.bool_,
    "truncated": np.bool_,
    "player": np.int8,
    "timestep": np.int32,
    "outcome": np.int8,
    "marks": np.uint8,
    "agent": np.int16,
    "weight": np.float32,
}


def assemble(arrays: Mapping[str, Any], metadata: Mapping[str, Any] | None = None) -> Trajectories:
    """Make trajectories of arrays as people have them.

    Numbers of any width are taken where their values are what is meant; 0 and 1 for false and true; episodes by any
    ids, whole numbers or text, which are numbered in the order they come in. ``timestep`` is counted, ``truncated``,
    ``player`` and ``outcome`` are zeros, and ``episode`` goes by where episodes end, each where it is missing. What
    observations and actions are is told from the arrays where the metadata does not say.

    Args:
        arrays: by the names of `Trajectories`; its finals as ``final_rows``, ``final_observation`` and
            ``final_action_mask``.
        metadata: as of `Trajectories`.

    Raises:
        DataError: for the first thing that cannot be.
    """
    given = {name: np.asarray(value) for name, value in arrays.items() if value is not None}
    ends = {a: given.pop(name) for a, name in FINALS.items() if name in given}
    for name in ("observation", "action", "reward", "terminated"):
        if name not in given:
            raise DataError(f"it has no {name}")
    count = len(given["action"]) if given["action"].ndim else 0
    for name, array in given.items():
        if not array.ndim or len(array) != count:
            raise DataError(f"{name} has {len(array) if array.ndim else 0} rows, action {count}")
    if count == 0:
        raise DataError("it holds no steps")
    about = check_metadata(guessed(given, metadata or {}))
    space = action_space(about["action"])
    columns: dict[str, Any] = {
        "observation": _as("observation", given["observation"], about["observation"]["dtype"]),
        "action": _own(given["action"], space),
        "action_mask": None,
    }
    zeros = np.zeros(count, np.int8)
    for name, dtype in _DTYPES.items():
        if name in given:
            columns[name] = _as(name, given[name], dtype)
        elif name in ("truncated", "player", "outcome"):
            columns[name] = zeros.astype(dtype)
    for name, column in columns.items():
        if name not in ("observation", "action", "action_mask", "marks"):
            refuse_shape(name, column, ())
    columns["episode"] = _numbered(given, columns)
    if "timestep" not in columns:
        starts = starts_of(columns["episode"], columns["player"])
        columns["timestep"] = since(starts).astype(np.int32)
    finals = _finals(ends, about) if ends else None
    trajectories = Trajectories(**columns, metadata=about, finals=finals)
    check(trajectories)
    return trajectories


def _finals(given: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> Finals | None:
    """What is given of the ends of episodes, in the dtypes it is kept in."""
    for name in ("rows", "observation"):
        if name not in given:
            raise DataError(f"it has no {FINALS[name]}, which {FINALS[next(iter(given))]} needs")
    if not len(given["rows"]):
        return None
    observation = _as("observation", given["observation"], about["observation"]["dtype"])
    mask = _as("action_mask", given["action_mask"], np.bool_) if "action_mask" in given else None
    return Finals(_as("final_rows", given["rows"], np.int64), observation, mask)


def _numbered(given: Mapping[str, np.ndarray], columns: Mapping[str, Any]) -> np.ndarray:
    """Episodes, numbered from 0 in the order they come in."""
    if "episode" not in given:
        if "player" in given:
            raise DataError("it has no episode, which the steps of several players need")
        ended = columns["terminated"] | columns["truncated"]
        return np.concatenate([[0], np.cumsum(ended[:-1])]).astype(np.int64)
    ids = given["episode"]
    refuse_shape("episode", ids, ())
    if ids.dtype.kind not in "biufUS":
        raise DataError(f"episode is {ids.dtype}, not numbers or text")
    if ids.dtype.kind == "f":
        refuse("episode is not finite", ~np.isfinite(ids))
    _, first, number = np.unique(ids, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[number].astype(np.int64)


def _own(action: np.ndarray, space: ActionSpace) -> np.ndarray:
    """Actions in the shape and dtype of a policy's own."""
    shape = (len(action), *space.action_shape)
    if action.size == np.prod(shape, dtype=np.int64):  # [N] of one number, [N, 2, 3] of six
        action = action.reshape(shape)
    return _as("action", action, space.action_dtype)


def _as(name: str, array: np.ndarray, dtype: Any) -> np.ndarray:
    """Values in a dtype that holds them."""
    dtype = np.dtype(dtype)
    if array.dtype == dtype:
        return array
    meant = {"b": "true or false", "i": "whole numbers", "u": "whole numbers", "f": "numbers"}
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name} is {array.dtype}, not {meant[dtype.kind]}")
    with np.errstate(all="ignore"):
        values = array.astype(dtype)
    if dtype.kind != "f":
        width = f" of {dtype}" if dtype.kind in "iu" else ""
        refuse(f"{name} is not {meant[dtype.kind]}{width}", ~all_of(values == array))
    elif array.dtype.kind in "iu" and name == "observation":
        refuse(f"{name} is too large for {dtype}", ~all_of(values.astype(np.float64) == array))
    return values
