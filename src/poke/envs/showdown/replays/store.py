"""What is imported, on its way into one file: in parts beside it, so that memory holds a few hundred battles."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from poke.data import trajectories
from poke.data.trajectories import DataError, Trajectories
from poke.envs.showdown.decoding import check_ranges
from poke.envs.showdown.pipes.records import unpack_masks

_BATTLES_A_PART = 200
_NO_ACTION = 255


@dataclass(frozen=True)
class ImportedSide:
    """One player's decisions of a battle.

    Args:
        player: 0 where it is p1, 1 where p2.
        rows: of `poke.envs.showdown.replays.importer.ROW`.
        outcome: 1 won, 0 drawn, -1 lost.
        name: the player's.
        rating: the player's, None where the log does not say.
    """

    player: int
    rows: npt.NDArray[np.void]
    outcome: int
    name: str
    rating: int | None


@dataclass(frozen=True)
class ImportedBattle:
    """A battle, by either player or both."""

    sides: list[ImportedSide]


class Store:
    """Collects battles and writes them: a context manager that leaves nothing but the file.

    Args:
        out: the file.
        setup: its metadata.
    """

    def __init__(self, out: Path, setup: dict[str, Any]) -> None:
        self._out, self._setup = out, setup
        self._buffer: list[ImportedBattle] = []
        self._parts: list[Path] = []
        self._players: list[list[dict[str, Any]]] = []
        self._counts = {"battles": 0, "decisions": 0, "unknown": 0}

    def __enter__(self) -> Store:
        self._out.parent.mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(
            prefix=f".{self._out.name}.", dir=self._out.parent
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._folder.cleanup()

    def add(self, battle: ImportedBattle, *, keep_names: bool) -> None:
        """Take a battle.

        Args:
            battle: with a side that decided something.
            keep_names: the file says who played it.
        """
        for side in battle.sides:
            check_ranges(side.rows["observation"], self._setup["layout"])
            self._counts["decisions"] += len(side.rows)
            self._counts["unknown"] += int((side.rows["action"] == _NO_ACTION).sum())
        self._counts["battles"] += 1
        self._buffer.append(battle)
        if keep_names:
            told = [{"player": s.player, "name": s.name, "rating": s.rating} for s in battle.sides]
            self._players.append(told)
        if len(self._buffer) == _BATTLES_A_PART:
            self._flush()

    def finish(self, about: dict[str, Any]) -> None:
        """Write the file.

        Args:
            about: what else the metadata says.

        Raises:
            DataError: there are no battles.
        """
        self._flush()
        if not self._parts:
            raise DataError("no file holds a battle that can be taken: nothing is written")
        metadata = {**self._setup, "imported": {**self._counts, **about}}
        if self._players:
            metadata["players"] = self._players
        trajectories.join(
            self._out,
            self._parts,
            metadata,
            compression_level=15,
            episodes_a_group=_BATTLES_A_PART,
        )

    def _flush(self) -> None:
        if not self._buffer:
            return
        part = Path(self._folder.name) / f"part-{len(self._parts):08d}.parquet"
        trajectories.write(part, _to_trajectories(self._buffer, self._setup), compression_level=1)
        self._parts.append(part)
        self._buffer = []


def _to_trajectories(battles: list[ImportedBattle], metadata: dict[str, Any]) -> Trajectories:
    sides = [(episode, side) for episode, battle in enumerate(battles) for side in battle.sides]
    rows = np.concatenate([side.rows for _, side in sides])
    lengths = [len(side.rows) for _, side in sides]
    action = rows["action"].astype(np.int64)
    num_actions = metadata["action"]["num_actions"]
    result = np.repeat(np.array([side.outcome for _, side in sides], np.int8), lengths)
    terminated = np.zeros(len(rows), bool)
    terminated[np.cumsum(lengths) - 1] = True
    return Trajectories(
        observation=np.ascontiguousarray(rows["observation"]),
        action=np.where(action == _NO_ACTION, trajectories.UNKNOWN_ACTION, action),
        action_mask=unpack_masks(rows["mask"], num_actions),
        reward=np.where(terminated, result, 0).astype(np.float32),
        terminated=terminated,
        truncated=np.zeros(len(rows), bool),
        episode=np.repeat(np.array([episode for episode, _ in sides], np.int64), lengths),
        player=np.repeat(np.array([side.player for _, side in sides], np.int8), lengths),
        timestep=np.concatenate([np.arange(n, dtype=np.int32) for n in lengths]),
        outcome=result,
        metadata=metadata,
        marks=_marks(rows, num_actions),
    )


def _marks(rows: npt.NDArray[np.void], num_actions: int) -> npt.NDArray[np.uint8]:
    """Return `[rows, bytes]`: known, filled, and both of the mask's bits."""
    packed = [rows["known"], rows["filled"]]
    for name in ("mask_known", "mask_filled"):
        bits = unpack_masks(rows[name], num_actions)
        packed.append(np.packbits(bits, axis=1, bitorder="little"))
    return np.concatenate(packed, axis=1)
