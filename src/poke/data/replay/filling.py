"""A recording as what a replay buffer begins with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from poke.data.files.described import DataError
from poke.data.files.fingerprint import Fingerprint, files_digest, fingerprint
from poke.data.files.several import paths_of, read_all
from poke.data.transitions.steps import look_ahead
from poke.spaces import ActionSpace, ObservationSpace


def recorded(
    path: str | Sequence[str],
    observation_space: ObservationSpace,
    action_space: ActionSpace,
    *,
    masked: bool,
    n_step: int,
) -> tuple[dict[str, np.ndarray], Fingerprint]:
    """Return a recording's transitions by the names of the buffer's columns, and what was read.

    Args:
        path: a file of recorded episodes, or several.
        observation_space: of the environment that is played.
        action_space: likewise.
        masked: whether there are action masks.
        n_step: how many steps a transition spans.

    Raises:
        DataError: a file is missing or wrong, or of another game; or of no decision is known what it led to.
    """
    paths = paths_of(path, "data.fill")
    # Before the rows, so that a file replaced in between looks changed afterwards and not the same.
    digest = files_digest(paths)
    data, episodes = read_all(paths)
    about = fingerprint(data, path, 0.0, file=digest, episodes=episodes)
    seen, taken = data.observation_space, data.action_space
    if (seen.shape, seen.dtype) != (observation_space.shape, observation_space.dtype):
        raise DataError(
            f"data.fill has observations of {seen}, the environment of {observation_space}"
        )
    if seen.layout != observation_space.layout:
        raise DataError(
            "data.fill is in another layout of observations than the environment: record it anew"
        )
    if (taken.kind, taken.sizes, taken.action_shape) != (
        action_space.kind,
        action_space.sizes,
        action_space.action_shape,
    ):
        raise DataError(f"data.fill has actions of {taken}, the environment of {action_space}")
    if masked != (data.action_mask is not None):
        raise DataError(
            "of data.fill and the environment one has action masks and the other has none"
        )
    ahead = look_ahead(data, n_step)
    rows = np.flatnonzero(ahead.known & data.is_chosen)
    if not len(rows):
        raise DataError(f"{about.name}: of no decision is it known what it led to")
    following, length = ahead.next[rows], ahead.length[rows]
    steps = np.arange(n_step)
    places = np.minimum(rows[:, None] + steps, len(data) - 1)
    action = data.action[rows]
    finals = data.finals
    columns: dict[str, Any] = {
        "observation": data.observation[rows],
        "next_observation": _of(
            data.observation, None if finals is None else finals.observation, following
        ),
        "action": action_space.from_environment(action) if taken.continuous else action,
        "reward": np.where(steps < length[:, None], data.reward[places], 0).astype(np.float32),
        "length": length,
        "terminated": ahead.terminated[rows],
    }
    if data.action_mask is not None:
        columns["action_mask"] = data.action_mask[rows]
        masks = None if finals is None else finals.action_mask
        columns["next_action_mask"] = _of(data.action_mask, masks, following)
    return columns, about


def _of(array: np.ndarray, finals: np.ndarray | None, rows: np.ndarray) -> np.ndarray:
    """What stands in rows, those of finals behind all others."""
    within = rows < len(array)
    found = array[np.where(within, rows, 0)]
    if finals is not None:
        found[~within] = finals[rows[~within] - len(array)]
    return found
