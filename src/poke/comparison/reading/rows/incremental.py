"""Read a metrics file where an earlier reading ended.

Fast path: a run that is watched is looked at again and again, and its file only grows. What was read in parts must
equal what one reading of the whole gives; a file that was changed otherwise is read anew.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass

from poke.comparison.reading.files import open_regular, read_from
from poke.comparison.reading.rows.dialect import header_end, in_utf8, without_returns

EDGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Text:
    """A metrics file's text, or the part of it that is new.

    Args:
        header: the line that names the columns.
        body: whole lines.
        first_row: number of rows before ``body``; the rows of a file without a step column are
            numbered.
    """

    header: bytes
    body: bytes | memoryview
    first_row: int = 0


@dataclass(slots=True)
class Position:
    """Where reading a file ended, and how to recognise that a longer file is the same one grown.

    Args:
        end: number of bytes read, up to and with the last whole line; 0 in an encoding of which only the
            whole can be read.
        rows: number of rows read.
        header: number of bytes of the line that names the columns, its newline included.
        edges: checksum of the first and the last bytes before ``end``, the header among them.
    """

    end: int = 0
    rows: int = 0
    header: int = 0
    edges: int = 0


def read_lines(path: str, since: Position | None = None) -> tuple[Text, Position, bool]:
    """Read the whole lines of a metrics file; a last line without its end is left for later.

    Args:
        path: a CSV file whose first line names the columns.
        since: where an earlier reading ended; only what follows is read if the file merely grew.

    Returns:
        The lines, where they end, and whether they continue ``since`` (else they are the whole
        file).

    Raises:
        OSError: the file cannot be read.
        ValueError: it is empty.
    """
    file, size = open_regular(path)
    try:
        known = since is not None and 0 < since.end <= size
        head, tail = _read_edges(file, since) if since and known else (b"", b"")
        continues = since is not None and bool(head) and _checksum(head, tail) == since.edges
        if since is None or not continues:
            since, head, tail = Position(), b"", b""
        data = read_from(file, since.end, size - since.end)
    finally:
        os.close(file)
    foreign = None if continues else in_utf8(data)
    data = data if foreign is None else foreign
    data = data[: data.rfind(b"\n") + 1]
    end_of_header = since.header if continues else header_end(data) + 1
    header = (head if continues else data)[: max(0, end_of_header - 1)]
    if not header.strip():
        raise ValueError("is empty")
    body = data if continues else memoryview(data)[end_of_header:]
    if data.find(b"\r", 0 if continues else end_of_header) >= 0:
        body = without_returns(bytes(body))
    position = Position(rows=since.rows)
    if foreign is None:
        edge = _head_bytes(end_of_header)
        position = Position(
            since.end + len(data),
            since.rows,
            end_of_header,
            _checksum((head + data[:edge])[:edge], (tail + data[-EDGE_BYTES:])[-EDGE_BYTES:]),
        )
    return Text(header, body, since.rows), position, continues


def _read_edges(file: int, since: Position) -> tuple[bytes, bytes]:
    """Return the first and last bytes of what was read before."""
    return (
        read_from(file, 0, min(_head_bytes(since.header), since.end)),
        read_from(file, max(0, since.end - EDGE_BYTES), min(EDGE_BYTES, since.end)),
    )


def _head_bytes(header: int) -> int:
    """Return how much of a file's beginning tells it apart: all of its header, which may be widened in place."""
    return max(EDGE_BYTES, header)


def _checksum(head: bytes, tail: bytes) -> int:
    return zlib.crc32(tail, zlib.crc32(head))
