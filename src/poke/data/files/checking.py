"""What must hold of recorded experience."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from poke.data.files.described import DataError
from poke.data.files.steps import Trajectories, mark_sizes


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
    refuse("reward is not finite", ~np.isfinite(t.reward))
    refuse("outcome is not -1, 0 or 1", np.abs(t.outcome.astype(np.int16)) > 1)
    if t.agent is not None:
        count = len(t.metadata.get("agents", ()))
        refuse(f"agent is none of the metadata's {count} agents", ~_within(t.agent, count))
    _check_order(t)
    _check_weights(t)
    _check_finals(t)


def _check_weights(t: Trajectories) -> None:
    if t.weight is None:
        return
    refuse("weight is not finite, or negative", ~(np.isfinite(t.weight) & (t.weight >= 0)))
    begins = t.timestep == 0
    of_first = t.weight[begins][np.cumsum(begins) - 1]
    refuse("weight is not that of the episode's first row", t.weight != of_first)


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
        refuse("final_observation is not finite", ~all_of(np.isfinite(finals.observation)))
    if (finals.action_mask is None) != (t.action_mask is None):
        raise DataError("action_mask and final_action_mask go together, and one of them is missing")
    if finals.action_mask is not None:
        refuse_shape("final_action_mask", finals.action_mask, (t.action_space.mask_size,))
        if len(finals.action_mask) != count:
            raise DataError(f"final_action_mask has {len(finals.action_mask)} rows, not {count}")
        refuse(
            "final_action_mask forbids every action", ~np.asarray(finals.action_mask.any(axis=1))
        )


def _check_observations(t: Trajectories) -> None:
    shape = tuple(t.metadata["observation"]["shape"])
    if t.observation.shape[1:] != shape:
        raise DataError(
            f"observation has shape {t.observation.shape[1:]}, the metadata says {shape}"
        )
    if np.issubdtype(t.observation.dtype, np.floating):
        refuse("observation is not finite", ~_finite(t.observation))
    if "space" not in t.metadata["observation"]:
        return
    space = t.observation_space
    if not space.packed:
        return
    rows = np.ascontiguousarray(t.observation)
    refuse("observation is not finite", ~_finite(space.numbers(rows)))
    for place in space.fields:
        if place.entry.kind == "discrete":
            ids = rows[:, place.offset : place.offset + place.num_bytes].view(place.dtype)
            known = (ids >= 0) & (ids < np.asarray(place.entry.sizes))
            refuse(f"{place.entry.name} is none of its choices", ~all_of(known))


def _check_actions(t: Trajectories) -> None:
    space = t.action_space
    if t.action.shape[1:] != space.action_shape:
        raise DataError(f"action has shape {t.action.shape[1:]}, not {space.action_shape}")
    if space.continuous:
        refuse("action is not finite", ~all_of(np.isfinite(t.action)))
    else:
        sizes = np.asarray(space.sizes)
        known = (t.action >= 0) & (t.action < sizes.reshape(space.action_shape))
        if t.marks is not None:
            known |= ~t.is_chosen
        choices = f"0 to {sizes[0] - 1}" if (sizes == sizes[0]).all() else f"the {space}"
        refuse(f"action is not one of {choices}", ~all_of(known))
    if t.action_mask is None:
        return
    if not space.mask_size:
        raise DataError(f"action_mask is of choices, and these actions are {space}")
    refuse_shape("action_mask", t.action_mask, (space.mask_size,))
    begins = np.concatenate([[0], np.cumsum(space.sizes)[:-1]])
    chosen = np.maximum(t.action, 0).reshape(len(t), -1) + begins
    legal = np.take_along_axis(t.action_mask, chosen, axis=1)
    refuse("action is illegal by its own mask", ~all_of(legal) & t.is_chosen)


def _check_marks(t: Trajectories) -> None:
    if t.marks is None:
        return
    if t.action_space.kind != "discrete" or t.observation.dtype.itemsize != 1:
        raise DataError(
            f"marks are of bytes and of one choice, and these actions are {t.action_space}"
        )
    refuse_shape(
        "marks", t.marks, (sum(mark_sizes(t.observation[0].size, t.action_space.mask_size)),)
    )


def _check_order(t: Trajectories) -> None:
    """Check that each player's steps of an episode lie together, in order, and only the last one ends it."""
    starts = starts_of(t.episode, t.player)
    refuse("timestep does not count up from 0", t.timestep != since(starts))
    first = np.flatnonzero(starts)
    pairs = np.stack([t.episode[first], t.player[first]], axis=1)
    again = np.ones(len(t), np.bool_)
    again[first[np.unique(pairs, axis=0, return_index=True)[1]]] = False
    refuse("an episode comes up again after another", starts & again)
    last = np.append(starts[1:], True)
    refuse("an episode goes on after its end", (t.terminated | t.truncated) & ~last)


def starts_of(episode: np.ndarray, player: np.ndarray) -> np.ndarray:
    """Where an episode of a player begins."""
    new = np.ones(len(episode), dtype=np.bool_)
    new[1:] = (episode[1:] != episode[:-1]) | (player[1:] != player[:-1])
    return new


def _within(numbers: np.ndarray, count: int) -> np.ndarray:
    return np.asarray((numbers >= 0) & (numbers < count))


def all_of(true: np.ndarray) -> np.ndarray:
    """Whether every element of a row is true, `[N]`."""
    return np.asarray(true.reshape(len(true), -1).all(1))


def _finite(array: np.ndarray) -> np.ndarray:
    """Whether every element of a row is finite, `[N]`; some rows at a time: observations may be larger than memory."""
    parts = [all_of(np.isfinite(array[i : i + 4096])) for i in range(0, len(array), 4096)]
    return np.concatenate(parts)


def since(starts: np.ndarray) -> np.ndarray:
    """How many rows after the last start each is."""
    rows = np.arange(len(starts))
    return rows - np.maximum.accumulate(np.where(starts, rows, 0))


def refuse_shape(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raise `DataError` where the rows of an array have another shape."""
    if array.shape[1:] != shape:
        raise DataError(f"{name} has shape {list(array.shape)}, not {[len(array), *shape]}")


def refuse(fault: str, rows: np.ndarray) -> None:
    """Raise `DataError`, naming the first row and counting the others, where any of `[N] bool` is true."""
    bad = np.flatnonzero(rows)
    if len(bad):
        raise DataError(
            f"{fault} (row {bad[0]}{f' and {len(bad) - 1} more' if len(bad) > 1 else ''})"
        )
