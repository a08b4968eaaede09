"""The rows of one metrics file, and how to go on reading it where an earlier reading ended."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from poke.comparison.parsing import is_empty, parse_rows

EDGE_BYTES = 4096


@dataclass(slots=True)
class History:
    """The rows of one metrics file.

    Args:
        names: names of the metrics, without step and time.
        matrix: ``[2 + num_names, num_rows] float64``: steps, times (seconds since 1970, UTC), then the metrics;
            an empty cell is ``EMPTY``.
        problems: what could not be read, one line each.
    """

    names: list[str]
    matrix: np.ndarray
    problems: list[str] = field(default_factory=list)

    @property
    def steps(self) -> np.ndarray:
        """``[num_rows] float64``."""
        return self.matrix[0]

    @property
    def times(self) -> np.ndarray:
        """``[num_rows] float64``, seconds since 1970, NaN where the file tells no time."""
        return self.matrix[1]

    @property
    def values(self) -> np.ndarray:
        """``[num_names, num_rows] float64``."""
        return self.matrix[2:]

    def column(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return steps, times and values of the rows in which this metric was measured."""
        values = self.values[self.names.index(name)]
        filled = ~is_empty(values)
        return self.steps[filled], self.times[filled], values[filled]

    def at(self, name: str, step: float) -> tuple[float, float]:
        """Return the newest value of a metric at or before ``step`` and its step, NaN where there is none."""
        if name not in self.names:
            return np.nan, np.nan
        steps, _, values = self.column(name)
        reached = np.flatnonzero(steps <= step)
        return (values[reached[-1]], steps[reached[-1]]) if reached.size else (np.nan, np.nan)


@dataclass(slots=True)
class Position:
    """Where reading a file ended, and how to recognise that a longer file is the same one grown.

    Args:
        end: number of bytes read, up to and with the last whole line.
        rows: number of rows read.
        edges: checksum of the first and the last bytes before ``end``.
    """

    end: int = 0
    rows: int = 0
    edges: int = 0


def read_history(path: str, since: Position | None = None) -> tuple[History, Position, bool]:
    """Read the whole lines of a metrics file; a last line without its end is left for later.

    Args:
        path: a CSV file whose first line names the columns.
        since: where an earlier reading ended; only what follows is read if the file merely grew.

    Returns:
        The rows, where they end, and whether they continue ``since`` (else they are the whole file).

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        header, head, tail = _read_edges(file, since) if since and since.end else (b"", b"", b"")
        continues = since is not None and bool(head) and _checksum(head, tail) == since.edges
        if since is None or not continues:
            since, head, tail = Position(), b"", b""
        file.seek(since.end)
        data = file.read()
    data = data[: data.rfind(b"\n") + 1]
    position = Position(
        since.end + len(data),
        since.rows,
        _checksum((head + data)[:EDGE_BYTES], (tail + data)[-EDGE_BYTES:]),
    )
    if not continues:
        header, _, data = data.partition(b"\n")
    if not header:
        return History([], np.empty((2, 0)), ["is empty"]), Position(), False
    names, matrix, problems = parse_rows(header, data, first_row=since.rows)
    position.rows += matrix.shape[1]
    return History(names, matrix, problems), position, continues


def _read_edges(file: BinaryIO, since: Position) -> tuple[bytes, bytes, bytes]:
    """Return the header line and the first and last bytes of what was read before, empty if the file shrank."""
    if os.fstat(file.fileno()).st_size < since.end:
        return b"", b"", b""
    header = file.readline()
    file.seek(0)
    head = file.read(min(EDGE_BYTES, since.end))
    file.seek(max(0, since.end - EDGE_BYTES))
    return header, head, file.read(min(EDGE_BYTES, since.end))


def _checksum(head: bytes, tail: bytes) -> int:
    return zlib.crc32(tail, zlib.crc32(head))
