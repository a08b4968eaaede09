"""Recorded experience in memory, and what must hold of it.

Whatever data comes from, a Parquet file, an npz archive or a Minari dataset, `assemble` makes `Trajectories` of its
arrays and is what refuses them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from poke.data.files.described import DataError, action_space, check_metadata, described, guessed
from poke.spaces import ActionSpace, ObservationSpace

__all__ = ["DataError", "Finals", "Trajectories", "arrays_of", "assemble", "check", "described"]

UNKNOWN_ACTION = -1  # nobody knows what was chosen: imported replays have such

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


@dataclass(frozen=True)
class Finals:
    """What was seen when episodes were cut off, on which nothing was decided any more.

    Args:
        rows: `[F] int64`, ascending: the last rows of those episodes.
        observation: `[F, *shape]` of the dtype the metadata names.
        action_mask: `[F, mask_size] bool`; None where every action always is legal.
    """

    rows: np.ndarray
    observation: np.ndarray
    action_mask: np.ndarray | None = None

    def select(self, rows: np.ndarray, count: int) -> Finals | None:
        """Return those of chosen rows, by their new numbers; None where there are none.

        Args:
            rows: `[N] bool`, or indices.
            count: N.
        """
        places = np.full(count, -1, np.int64)
        kept = np.flatnonzero(rows) if rows.dtype == np.bool_ else np.asarray(rows)
        places[kept] = np.arange(len(kept))
        chosen = places[self.rows] >= 0
        mask = self.action_mask
        found = Finals(
            places[self.rows[chosen]],
            self.observation[chosen],
            None if mask is None else mask[chosen],
        )
        return found if len(found.rows) else None


@dataclass(frozen=True)
class Trajectories:
    """Steps of whole episodes, each player's in order.

    Args:
        observation: `[N, *shape]` of the dtype the metadata names.
        action: a policy's own: `[N] int64`; `[N, parts] int64` of several choices; `[N, A] float32` where actions are
            continuous.
        action_mask: `[N, mask_size] bool`, True where legal; None where every action always is.
        reward: `[N] float32`.
        terminated, truncated: `[N] bool`, as Gymnasium defines them.
        episode: `[N] int64`, numbered from 0 without gaps.
        player: `[N] int8`, which side of the episode decided.
        timestep: `[N] int32`, from 0 for each player of an episode.
        outcome: `[N] int8`, how the episode ended for this player: 1 won, 0 drawn or none, -1 lost.
        metadata: the file's JSON block; at least `observation` and `action`.
        marks: `[N, bytes] uint8`, which bits of observation and mask are known to be right, as `poke.data.trajectories`
            has it; None where all are. Where there are marks, an action may be `UNKNOWN_ACTION`.
        agent: `[N] int16`, who decided, as an index into the metadata's ``agents``; None where nobody says.
        weight: `[N] float32`, how often the episode is served, relative to others, the same in all of its player's
            rows; None where all are alike.
        finals: what was seen at the ends of episodes that were cut off; None where nobody kept it.
    """

    observation: np.ndarray
    action: np.ndarray
    action_mask: np.ndarray | None
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    episode: np.ndarray
    player: np.ndarray
    timestep: np.ndarray
    outcome: np.ndarray
    metadata: dict[str, Any]
    marks: np.ndarray | None = None
    agent: np.ndarray | None = None
    weight: np.ndarray | None = None
    finals: Finals | None = None

    def __len__(self) -> int:
        return len(self.action)

    @property
    def observation_space(self) -> ObservationSpace:
        """What an observation is made of."""
        known = self.metadata["observation"].get("space")
        if known is not None:
            return ObservationSpace.from_dict(known)
        shape, dtype = self.observation.shape[1:], str(self.observation.dtype)
        return ObservationSpace.box(tuple(shape), dtype, layout=self.metadata.get("layout"))

    @property
    def action_space(self) -> ActionSpace:
        """What was chosen among."""
        return action_space(self.metadata["action"])

    @property
    def is_chosen(self) -> np.ndarray:
        """Where it is known what was chosen, `[N] bool`."""
        if self.marks is None:
            return np.ones(len(self), np.bool_)
        return np.asarray(self.action != UNKNOWN_ACTION)

    def is_known(self, rows: slice) -> np.ndarray:
        """Return which bytes of flat observations were known when they were chosen by, `[rows, bytes] bool`.

        Args:
            rows: of trajectories that have marks.
        """
        assert self.marks is not None
        width = mark_sizes(self.observation[0].size, self.action_space.mask_size)[0]
        bits = np.unpackbits(self.marks[rows, :width], axis=1, bitorder="little")
        return bits[:, : self.observation[0].size].view(np.bool_)

    def select(self, rows: np.ndarray) -> Trajectories:
        """Return some of the rows, in every column that there is.

        Args:
            rows: `[N] bool`, or indices, of whole episodes; these keep their numbers.
        """
        columns = {name: getattr(self, name) for name in COLUMNS}
        chosen = {n: column[rows] for n, column in columns.items() if column is not None}
        finals = None if self.finals is None else self.finals.select(rows, len(self))
        return replace(self, **chosen, finals=finals)

    @property
    def num_episodes(self) -> int:
        """How many episodes there are."""
        return int(self.episode.max()) + 1 if len(self) else 0


# The columns of rows: all but what an episode, or the whole, has once.
COLUMNS = tuple(f.name for f in fields(Trajectories) if f.name not in ("metadata", "finals"))
# How `assemble` is given `Finals`.
FINALS = {
    "rows": "final_rows",
    "observation": "final_observation",
    "action_mask": "final_action_mask",
}


def arrays_of(trajectories: Trajectories) -> dict[str, Any]:
    """Return what `assemble` makes the same trajectories of."""
    arrays = {name: getattr(trajectories, name) for name in COLUMNS}
    finals = trajectories.finals
    if finals is not None:
        arrays |= {name: getattr(finals, attribute) for attribute, name in FINALS.items()}
    return arrays


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
            _refuse_shape(name, column, ())
    columns["episode"] = _numbered(given, columns)
    if "timestep" not in columns:
        starts = _starts(columns["episode"], columns["player"])
        columns["timestep"] = _since(starts).astype(np.int32)
    finals = _finals(ends, about) if ends else None
    trajectories = Trajectories(**columns, metadata=about, finals=finals)
    check(trajectories)
    return trajectories


def check(trajectories: Trajectories) -> None:
    """Raise `DataError` for the first thing about trajectories that cannot be."""
    t = trajectories
    count = len(t)
    if count == 0:
        raise DataError("it holds no steps")
    for f in fields(Trajectories):
        value = getattr(t, f.name)
        if isinstance(value, np.ndarray) and len(value) != count:
            raise DataError(f"{f.name} has {len(value)} rows, action {count}")
    _check_observations(t)
    _check_actions(t)
    _check_marks(t)
    _refuse("reward is not finite", ~np.isfinite(t.reward))
    _refuse("outcome is not -1, 0 or 1", np.abs(t.outcome.astype(np.int16)) > 1)
    if t.agent is not None:
        count = len(t.metadata.get("agents", ()))
        _refuse(f"agent is none of the metadata's {count} agents", ~_within(t.agent, count))
    _check_order(t)
    _check_weights(t)
    _check_finals(t)


def _check_weights(t: Trajectories) -> None:
    if t.weight is None:
        return
    _refuse("weight is not finite, or negative", ~(np.isfinite(t.weight) & (t.weight >= 0)))
    begins = t.timestep == 0
    of_first = t.weight[begins][np.cumsum(begins) - 1]
    _refuse("weight is not that of the episode's first row", t.weight != of_first)


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


def _check_finals(t: Trajectories) -> None:
    finals = t.finals
    if finals is None:
        return
    count = len(finals.rows)
    whole = finals.rows.ndim == 1 and _within(finals.rows, len(t)).all()
    if not whole or (np.diff(finals.rows) <= 0).any() or not t.truncated[finals.rows].all():
        raise DataError("final_rows are not the rows, in order, that episodes were cut off at")
    if finals.observation.shape != (count, *t.observation.shape[1:]):
        raise DataError(
            f"final_observation has shape {list(finals.observation.shape)}, not "
            f"{[count, *t.observation.shape[1:]]}"
        )
    if np.issubdtype(finals.observation.dtype, np.floating):
        _refuse("final_observation is not finite", ~_all(np.isfinite(finals.observation)))
    if (finals.action_mask is None) != (t.action_mask is None):
        raise DataError("action_mask and final_action_mask go together, and one of them is missing")
    if finals.action_mask is not None:
        _refuse_shape("final_action_mask", finals.action_mask, (t.action_space.mask_size,))
        if len(finals.action_mask) != count:
            raise DataError(f"final_action_mask has {len(finals.action_mask)} rows, not {count}")
        _refuse(
            "final_action_mask forbids every action", ~np.asarray(finals.action_mask.any(axis=1))
        )


def _check_observations(t: Trajectories) -> None:
    shape = tuple(t.metadata["observation"]["shape"])
    if t.observation.shape[1:] != shape:
        raise DataError(
            f"observation has shape {t.observation.shape[1:]}, the metadata says {shape}"
        )
    if np.issubdtype(t.observation.dtype, np.floating):
        _refuse("observation is not finite", ~_finite(t.observation))
    if "space" not in t.metadata["observation"]:
        return
    space = t.observation_space
    if not space.packed:
        return
    rows = np.ascontiguousarray(t.observation)
    _refuse("observation is not finite", ~_finite(space.numbers(rows)))
    for place in space.fields:
        if place.entry.kind == "discrete":
            ids = rows[:, place.offset : place.offset + place.num_bytes].view(place.dtype)
            known = (ids >= 0) & (ids < np.asarray(place.entry.sizes))
            _refuse(f"{place.entry.name} is none of its choices", ~_all(known))


def _check_actions(t: Trajectories) -> None:
    space = t.action_space
    if t.action.shape[1:] != space.action_shape:
        raise DataError(f"action has shape {t.action.shape[1:]}, not {space.action_shape}")
    if space.continuous:
        _refuse("action is not finite", ~_all(np.isfinite(t.action)))
    else:
        sizes = np.asarray(space.sizes)
        known = (t.action >= 0) & (t.action < sizes.reshape(space.action_shape))
        if t.marks is not None:
            known |= ~t.is_chosen
        choices = f"0 to {sizes[0] - 1}" if (sizes == sizes[0]).all() else f"the {space}"
        _refuse(f"action is not one of {choices}", ~_all(known))
    if t.action_mask is None:
        return
    if not space.mask_size:
        raise DataError(f"action_mask is of choices, and these actions are {space}")
    _refuse_shape("action_mask", t.action_mask, (space.mask_size,))
    begins = np.concatenate([[0], np.cumsum(space.sizes)[:-1]])
    chosen = np.maximum(t.action, 0).reshape(len(t), -1) + begins
    legal = np.take_along_axis(t.action_mask, chosen, axis=1)
    _refuse("action is illegal by its own mask", ~_all(legal) & t.is_chosen)


def _check_marks(t: Trajectories) -> None:
    if t.marks is None:
        return
    if t.action_space.kind != "discrete" or t.observation.dtype.itemsize != 1:
        raise DataError(
            f"marks are of bytes and of one choice, and these actions are {t.action_space}"
        )
    _refuse_shape(
        "marks", t.marks, (sum(mark_sizes(t.observation[0].size, t.action_space.mask_size)),)
    )


def mark_sizes(observation: int, mask: int) -> tuple[int, int, int, int]:
    """Return how many bytes each block of `Trajectories.marks` has: known, filled, and both of the mask.

    Args:
        observation: how many bytes one has.
        mask: how many actions there are.
    """
    seen, legal = (observation + 7) // 8, (mask + 7) // 8
    return seen, seen, legal, legal


def _check_order(t: Trajectories) -> None:
    """Check that each player's steps of an episode lie together, in order, and only the last one ends it."""
    starts = _starts(t.episode, t.player)
    _refuse("timestep does not count up from 0", t.timestep != _since(starts))
    first = np.flatnonzero(starts)
    pairs = np.stack([t.episode[first], t.player[first]], axis=1)
    again = np.ones(len(t), np.bool_)
    again[first[np.unique(pairs, axis=0, return_index=True)[1]]] = False
    _refuse("an episode comes up again after another", starts & again)
    last = np.append(starts[1:], True)
    _refuse("an episode goes on after its end", (t.terminated | t.truncated) & ~last)


def _starts(episode: np.ndarray, player: np.ndarray) -> np.ndarray:
    """Where an episode of a player begins."""
    new = np.ones(len(episode), dtype=np.bool_)
    new[1:] = (episode[1:] != episode[:-1]) | (player[1:] != player[:-1])
    return new


def _since(starts: np.ndarray) -> np.ndarray:
    """How many rows after the last start each is."""
    rows = np.arange(len(starts))
    return rows - np.maximum.accumulate(np.where(starts, rows, 0))


def _numbered(given: Mapping[str, np.ndarray], columns: Mapping[str, Any]) -> np.ndarray:
    """Episodes, numbered from 0 in the order they come in."""
    if "episode" not in given:
        if "player" in given:
            raise DataError("it has no episode, which the steps of several players need")
        ended = columns["terminated"] | columns["truncated"]
        return np.concatenate([[0], np.cumsum(ended[:-1])]).astype(np.int64)
    ids = given["episode"]
    _refuse_shape("episode", ids, ())
    if ids.dtype.kind not in "biufUS":
        raise DataError(f"episode is {ids.dtype}, not numbers or text")
    if ids.dtype.kind == "f":
        _refuse("episode is not finite", ~np.isfinite(ids))
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
        _refuse(f"{name} is not {meant[dtype.kind]}{width}", ~_all(values == array))
    elif array.dtype.kind in "iu" and name == "observation":
        _refuse(f"{name} is too large for {dtype}", ~_all(values.astype(np.float64) == array))
    return values


def _within(numbers: np.ndarray, count: int) -> np.ndarray:
    return np.asarray((numbers >= 0) & (numbers < count))


def _all(true: np.ndarray) -> np.ndarray:
    """Whether every element of a row is true, `[N]`."""
    return np.asarray(true.reshape(len(true), -1).all(1))


def _finite(array: np.ndarray) -> np.ndarray:
    """Whether every element of a row is finite, `[N]`; some rows at a time: observations may be larger than memory."""
    parts = [_all(np.isfinite(array[i : i + 4096])) for i in range(0, len(array), 4096)]
    return np.concatenate(parts)


def _refuse_shape(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape[1:] != shape:
        raise DataError(f"{name} has shape {list(array.shape)}, not {[len(array), *shape]}")


def _refuse(fault: str, rows: np.ndarray) -> None:
    bad = np.flatnonzero(rows)
    if len(bad):
        raise DataError(
            f"{fault} (row {bad[0]}{f' and {len(bad) - 1} more' if len(bad) > 1 else ''})"
        )
