"""Large append-mostly state, saved by what was added since the save before.

A component's state may hold *rings*: dicts with exactly the keys of ``RING_KEYS``.

- ``ring_columns``: name -> tensor ``[capacity, ...]``; row ``i``, counted since the first ever
  appended, stands at ``i % capacity``, and the newest ``capacity`` rows are the ring's contents.
- ``num_appended``: int, how many rows were ever appended.
- ``generation``: int, raised whenever a row changes other than by being overwritten so. It must
  be, or a checkpoint would hold the row as it was first saved.

Fast path: a replay buffer is gigabytes, and between two saves little of it is new. A ring is written as segments, files
of rows that checkpoints share; a load puts it together again, so that ``set_state`` gets the same kind of dict that
``get_state`` gave, with the rows that it would hold had each save written all of them; rows never appended are zero.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from poke.training.checkpointing.files import (
    CheckpointError,
    FileRecord,
    WrittenFile,
    read_payload,
    sync_directory,
    verify_file,
    written_file,
)
from poke.training.checkpointing.index import SEGMENT_NAME
from poke.training.checkpointing.staging import dotted

SEGMENTS_NAME = "segments"
RING_KEYS = {"ring_columns", "num_appended", "generation"}
# Past this many, the rows are written anew as one segment, so that a load never reads crumbs.
MAX_SEGMENTS = 64

_STAGED_KEYS = {"new_rows", "first", "capacity", "num_appended", "generation", "kept"}
_STORED_KEYS = {"segments", "capacity", "num_appended", "generation", "no_rows"}
StatePath = tuple[Any, ...]


@dataclass
class SavedRings:
    """Which segments hold each ring's rows as last saved or restored, by its place in the state."""

    stored: dict[StatePath, Mapping[str, Any]] = field(default_factory=dict)

    def select(self, components: Any) -> Any:
        """Return the state with each ring replaced by views of its unsaved rows.

        Args:
            components: a state with rings in it.

        Raises:
            TypeError: a ring's columns differ in length.
        """

        def select_ring(ring: Mapping[str, Any], path: StatePath) -> dict[str, Any]:
            columns, end = ring["ring_columns"], ring["num_appended"]
            lengths = {len(column) for column in columns.values()}
            if len(lengths) != 1:
                raise TypeError(f"{dotted(path)} has columns of lengths {sorted(lengths)}")
            (capacity,) = lengths
            oldest = max(0, end - capacity)
            kept = self._kept_segments(path, ring["generation"], oldest, end)
            first = kept[-1]["end"] if kept else oldest
            return {
                "new_rows": {name: _rows(column, first, end) for name, column in columns.items()},
                "first": first,
                "capacity": capacity,
                "num_appended": end,
                "generation": ring["generation"],
                "kept": kept,
            }

        return _replace(components, RING_KEYS, select_ring)

    def _kept_segments(
        self, path: StatePath, generation: int, oldest: int, end: int
    ) -> list[dict[str, Any]]:
        stored = self.stored.get(path)
        if stored is None or stored["generation"] != generation or stored["num_appended"] > end:
            return []
        kept = [dict(segment) for segment in stored["segments"] if segment["end"] > oldest]
        return kept if len(kept) < MAX_SEGMENTS else []


@dataclass(frozen=True)
class WrittenSegments:
    """Segments that are written and have no names yet.

    Args:
        components: the state with each ring replaced by references to segments.
        stored: those references by their place.
        files: the new segments, each with the name it is to have.
    """

    components: Any
    stored: Mapping[StatePath, Mapping[str, Any]]
    files: list[tuple[str, WrittenFile]]

    def publish(self) -> None:
        """Give the segments their names.

        Raises:
            OSError: the file system refused.
        """
        for name, file in self.files:
            file.publish(name)


@contextlib.contextmanager
def written_segments(components: Any, directory: Path) -> Iterator[WrittenSegments]:
    """Write the unsaved rows that ``select`` found; what the block does not publish is gone after it.

    Args:
        components: what ``select`` returned, copied.
        directory: the checkpoints' directory.

    Raises:
        OSError: the file system refused.
    """
    stored: dict[StatePath, Mapping[str, Any]] = {}
    files: list[tuple[str, WrittenFile]] = []

    def write_ring(staged: Mapping[str, Any], path: StatePath) -> dict[str, Any]:
        rows, first, end = staged["new_rows"], staged["first"], staged["num_appended"]
        segments = list(staged["kept"])
        if end > first:
            file = stack.enter_context(_written_segment(rows, directory / SEGMENTS_NAME))
            name = f"rows_{first}-{end}_{file.digest}.pt"
            files.append((name, file))
            segments.append(
                {
                    "file": name,
                    "first": first,
                    "end": end,
                    "size_bytes": file.size_bytes,
                    "digest": file.digest,
                }
            )
        reference = {
            "segments": segments,
            "capacity": staged["capacity"],
            "num_appended": end,
            "generation": staged["generation"],
            "no_rows": {name: column[:0].clone() for name, column in rows.items()},
        }
        stored[path] = reference
        return reference

    with contextlib.ExitStack() as stack:
        yield WrittenSegments(_replace(components, _STAGED_KEYS, write_ring), stored, files)


def references(components: Any) -> dict[StatePath, Mapping[str, Any]]:
    """Return what a file's state says of its rings' segments, by the rings' place."""
    stored: dict[StatePath, Mapping[str, Any]] = {}

    def note(reference: Mapping[str, Any], path: StatePath) -> Mapping[str, Any]:
        stored[path] = reference
        return reference

    _replace(components, _STORED_KEYS, note)
    return stored


def read_segments(
    components: Any, directory: Path
) -> tuple[Any, dict[StatePath, Mapping[str, Any]]]:
    """Return the state with its rings put together, and the references they came from.

    Raises:
        CheckpointError: a segment is missing or damaged, or stands elsewhere.
    """
    stored: dict[StatePath, Mapping[str, Any]] = {}

    def read_ring(reference: Mapping[str, Any], path: StatePath) -> dict[str, Any]:
        stored[path] = reference
        capacity, end = reference["capacity"], reference["num_appended"]
        columns = {
            name: torch.zeros((capacity, *column.shape[1:]), dtype=column.dtype)
            for name, column in reference["no_rows"].items()
        }
        for segment in reference["segments"]:
            rows = _read_segment(segment, directory)
            first = max(segment["first"], end - capacity)
            for name, column in columns.items():
                _place(column, rows[name][first - segment["first"] :], first)
        return {
            "ring_columns": columns,
            "num_appended": end,
            "generation": reference["generation"],
        }

    return _replace(components, _STORED_KEYS, read_ring), stored


def segment_names(stored: Mapping[StatePath, Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the names of the segment files behind these references, each once."""
    names = [segment["file"] for reference in stored.values() for segment in reference["segments"]]
    return tuple(dict.fromkeys(names))


def delete_segments(directory: Path, names: Iterable[str]) -> None:
    """Delete segments.

    Raises:
        OSError: the file system refused.
    """
    segments = directory / SEGMENTS_NAME
    doomed = [segments / name for name in names if (segments / name).exists()]
    for path in doomed:
        path.unlink()
    for directory in {path.parent for path in doomed} - {segments}:
        with contextlib.suppress(OSError):  # it holds something else
            directory.rmdir()
    if doomed:
        sync_directory(segments)


def _written_segment(
    rows: Mapping[str, Tensor], directory: Path
) -> contextlib.AbstractContextManager[WrittenFile]:
    directory.mkdir(exist_ok=True)
    num_bytes = sum(column.nbytes for column in rows.values())
    return written_file(directory, {"rows": dict(rows)}, num_bytes=num_bytes)


def _read_segment(segment: Mapping[str, Any], directory: Path) -> Mapping[str, Tensor]:
    name = segment["file"]
    if not SEGMENT_NAME.fullmatch(name):
        raise CheckpointError(f"{directory} has a checkpoint that names the segment {name!r}")
    path = directory / SEGMENTS_NAME / name
    verify_file(path, FileRecord(name, segment["size_bytes"], segment["digest"]))
    return read_payload(path)["rows"]


def _rows(column: Tensor, first: int, end: int) -> Tensor:
    """Return rows ``first`` to ``end`` of a ring, a view unless they wrap around."""
    if first == end:
        return column[:0]
    capacity = len(column)
    start, stop = first % capacity, (end - 1) % capacity + 1
    if start < stop:
        return column[start:stop]
    return torch.cat([column[start:], column[:stop]])


def _place(column: Tensor, rows: Tensor, first: int) -> None:
    """Copy rows into a ring, the first of them being row ``first``."""
    start = first % len(column)
    head = min(len(rows), len(column) - start)
    column[start : start + head] = rows[:head]
    column[: len(rows) - head] = rows[head:]


def _replace(
    state: Any,
    keys: set[str],
    replace: Callable[[Mapping[str, Any], StatePath], Any],
    path: StatePath = (),
) -> Any:
    """Return the state with each dict that has exactly these keys replaced."""
    if type(state) is dict and state.keys() == keys:
        return replace(state, path)
    if isinstance(state, dict):
        parts = list(state.items())
    elif isinstance(state, (list, tuple)):
        parts = list(enumerate(state))
    else:
        return state
    changed = {
        key: replaced
        for key, part in parts
        if isinstance(part, (dict, list, tuple))
        and (replaced := _replace(part, keys, replace, (*path, key))) is not part
    }
    if not changed:
        return state
    if isinstance(state, dict):
        return state | changed
    return type(state)(changed.get(index, part) for index, part in parts)
