"""Recorded experience in memory, and what must hold of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from poke.spaces import ActionSpace, ObservationSpace


class DataError(ValueError):
    """Data that cannot be used; the message is one line that names the file and the fault."""


@dataclass(frozen=True)
class Trajectories:
    """Steps of whole episodes, each player's in order.

    Args:
        observation: `[N, *shape]` of the dtype the metadata names.
        action: `[N] int64`, or `[N, A] float32` where actions are continuous.
        action_mask: `[N, num_actions] bool`, True where legal; None where every action always is.
        reward: `[N] float32`.
        terminated, truncated: `[N] bool`, as Gymnasium defines them.
        episode: `[N] int64`, numbered from 0 without gaps.
        player: `[N] int8`, which side of the episode decided.
        timestep: `[N] int32`, from 0 for each player of an episode.
        outcome: `[N] int8`, how the episode ended for this player: 1 won, 0 drawn or none, -1 lost.
        metadata: the file's JSON block; at least `observation` and `action`.
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
        action = self.metadata["action"]
        if "space" in action:
            return ActionSpace.from_dict(action["space"])
        if action["kind"] == "discrete":
            return ActionSpace.discrete(action["num_actions"])
        return ActionSpace.continuous_box(tuple(action["shape"]))

    @property
    def num_episodes(self) -> int:
        """How many episodes there are."""
        return int(self.episode.max()) + 1 if len(self) else 0


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
    shape = tuple(t.metadata["observation"]["shape"])
    if t.observation.shape[1:] != shape:
        raise DataError(
            f"observation has shape {t.observation.shape[1:]}, the metadata says {shape}"
        )
    _refuse("reward is not finite", ~np.isfinite(t.reward))
    if np.issubdtype(t.observation.dtype, np.floating):
        _refuse("observation is not finite", ~np.isfinite(t.observation).reshape(count, -1).all(1))
    kind = t.metadata["action"]
    if kind["kind"] == "continuous":
        if t.action.shape[1:] != tuple(kind["shape"]):
            raise DataError(f"action has shape {t.action.shape[1:]}, not {tuple(kind['shape'])}")
        _refuse("action is not finite", ~np.isfinite(t.action).all(1))
    else:
        _refuse(
            f"action is not one of 0 to {kind['num_actions'] - 1}",
            (t.action < 0) | (t.action >= kind["num_actions"]),
        )
        if t.action_mask is not None:
            _refuse("action is illegal by its own mask", ~t.action_mask[np.arange(count), t.action])
    _refuse("outcome is not -1, 0 or 1", np.abs(t.outcome.astype(np.int16)) > 1)
    _check_order(t)


def _check_order(t: Trajectories) -> None:
    """Check that each player's steps of an episode lie together, in order, and only the last one ends it."""
    new = np.ones(len(t), dtype=bool)
    new[1:] = (t.episode[1:] != t.episode[:-1]) | (t.player[1:] != t.player[:-1])
    expected = np.arange(len(t)) - np.maximum.accumulate(np.where(new, np.arange(len(t)), 0))
    _refuse("timestep does not count up from 0", t.timestep != expected)
    last = np.append(new[1:], True)
    _refuse("an episode goes on after its end", (t.terminated | t.truncated) & ~last)


def _refuse(fault: str, rows: np.ndarray) -> None:
    bad = np.flatnonzero(rows)
    if len(bad):
        raise DataError(
            f"{fault} (row {bad[0]}{f' and {len(bad) - 1} more' if len(bad) > 1 else ''})"
        )
