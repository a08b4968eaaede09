"""Recorded experience in memory.

`poke.data.files.assembling` makes it of arrays, wherever they come from: a Parquet file, an npz archive or a Minari
dataset; what must hold of it is in `poke.data.files.checking`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from poke.data.files.described import action_space
from poke.spaces import ActionSpace, ObservationSpace

UNKNOWN_ACTION = -1  # nobody knows what was chosen: imported replays have such


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
        terminated: `[N] bool`, whether the episode ended here, as Gymnasium defines it.
        truncated: `[N] bool`, whether it was cut off here.
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


def mark_sizes(observation: int, mask: int) -> tuple[int, int, int, int]:
    """Return how many bytes each block of `Trajectories.marks` has: known, filled, and both of the mask.

    Args:
        observation: how many bytes one has.
        mask: how many actions there are.
    """
    seen, legal = (observation + 7) // 8, (mask + 7) // 8
    return seen, seen, legal, legal
