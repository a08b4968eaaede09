"""What is imported, on its way into one file: always the first of the files, in parts beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from poke.data import trajectories
from poke.data.trajectories import DataError, Trajectories
from poke.envs.showdown.decoding import check_ranges
from poke.envs.showdown.pipes.records import unpack_masks
from poke.envs.showdown.replays.found import ImportedBattle, LeftOut, Summary

_BATTLES_A_PART = 200
_NO_ACTION = 255
_COUNTS = ("battles", "decisions", "unknown", "below")


class Store:
    """Takes what the files hold, one after another. A context manager that writes the rest, for the next time.

    Args:
        out: the file.
        folder: where its parts are; what they hold counts as taken.
        setup: metadata of the file.
        options: what else decides what is taken, and `keep_names`: the file says who played.
        paths: all files, in order.

    Raises:
        DataError: the parts are of another import, or of other files.
    """

    def __init__(
        self,
        out: Path,
        folder: Path,
        setup: dict[str, Any],
        options: Mapping[str, Any],
        paths: Sequence[Path],
    ) -> None:
        self.summary = Summary()  # of all that was taken
        self._out, self._folder, self._paths = out, folder, paths
        self._setup, self._options = setup, options
        self._buffer: list[ImportedBattle] = []
        self._parts: list[Path] = []
        self._players: list[list[dict[str, Any]]] = []
        self._left_out: list[int] = []  # places of the files that were left out
        self._written = Summary()  # of what is in parts
        self._names = hashlib.sha256()  # of the files that were taken
        for part in sorted(folder.glob("part-*.parquet")):
            self._resume(part)

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._flush()

    def take(self, found: ImportedBattle | LeftOut, *, below: int = 0) -> None:
        """Take what the next file holds.

        Args:
            found: a battle with a side that decided something, or why there is none.
            below: players of it that were left out because of their rating.

        Raises:
            ObservationError: an observation holds what its layout does not allow, which is a bug.
        """
        summary = self.summary
        self._name(self._paths[summary.files])
        summary.files += 1
        summary.below += below
        if isinstance(found, LeftOut):
            summary.left_out.append(found)
            self._left_out.append(summary.files - 1)
            return
        summary.battles += 1
        for side in found.sides:
            summary.decisions += len(side.rows)
            summary.unknown += int((side.rows["action"] == _NO_ACTION).sum())
        self._buffer.append(found)
        if self._options["keep_names"]:
            told = [{"player": s.player, "name": s.name, "rating": s.rating} for s in found.sides]
            self._players.append(told)
        if len(self._buffer) == _BATTLES_A_PART:
            self._flush()

    def finish(self) -> None:
        """Join the parts into the file, and remove them; it does not show where they were cut.

        Raises:
            DataError: there are no battles.
        """
        self._flush()
        if not self._parts:
            raise DataError("no file holds a battle that can be taken: nothing is written")
        found = self.summary
        about = {
            name: getattr(found, name) for name in ("battles", "decisions", "unknown", "files")
        }
        metadata = {**self._setup, "imported": {**about, "left_out": len(found.left_out)}}
        if self._players:
            metadata["players"] = self._players
        trajectories.join(
            self._out,
            self._parts,
            metadata,
            compression_level=9,
            episodes_a_group=_BATTLES_A_PART,
        )
        for part in self._parts:
            part.unlink()

    def _name(self, path: Path) -> None:
        """Take note of a file, by its name and size."""
        try:
            size = path.stat().st_size
        except OSError:
            size = -1
        self._names.update(f"{path.name}\0{size}\0".encode())

    def _flush(self) -> None:
        if not self._buffer:
            return
        now, before = self.summary, self._written
        held = {
            "files": [before.files, now.files],
            "names": self._names.hexdigest(),
            "counts": {name: getattr(now, name) - getattr(before, name) for name in _COUNTS},
            "left_out": [
                [place, one.line, one.reason]
                for place, one in zip(self._left_out, now.left_out, strict=True)
                if place >= before.files
            ],
            "players": self._players[before.battles :],
        }
        part = self._folder / f"part-{before.files:08d}.parquet"
        rows = _to_trajectories(self._buffer, {**self._setup, **self._options, "part": held})
        check_ranges(rows.observation, self._setup["layout"])
        trajectories.write(part, rows, compression_level=1)
        self._buffer = []
        self._parts.append(part)
        self._written = replace(now)

    def _resume(self, part: Path) -> None:
        metadata = trajectories.read_metadata(part)
        for key, value in {**self._setup, **self._options}.items():
            if metadata.get(key) != value:
                raise DataError(
                    f"{part} is of another import (its {key} differs): choose another out, or remove it"
                )
        held, summary = metadata.get("part", {}), self.summary
        first, stop = held.get("files", (-1, -1))
        for path in self._paths[first:stop]:
            self._name(path)
        if first != summary.files or self._names.hexdigest() != held["names"]:
            raise DataError(f"{part} is of other files: choose another out, or remove it")
        summary.files = stop
        for name in _COUNTS:
            setattr(summary, name, getattr(summary, name) + held["counts"][name])
        for place, line, reason in held["left_out"]:
            summary.left_out.append(LeftOut(self._paths[place], line, reason))
            self._left_out.append(place)
        self._players += held["players"]
        self._parts.append(part)
        self._written = replace(summary)


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
