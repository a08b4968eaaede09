"""Read a metrics file where an earlier reading ended."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from typing import BinaryIO

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
        end: number of bytes read, up to and with the last whole line.
        rows: number of rows read.
        edges: checksum of the first and the last bytes before ``end``.
    """

    end: int = 0
    rows: int = 0
    edges: int = 0


def read_text(path: str, since: Position | None = None) -> tuple[Text, Position, bool]:
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
        header = data[: data.find(b"\n")]
    if not header.strip():
        raise ValueError("is empty")
    body = data if continues else memoryview(data)[len(header) + 1 :]
    return Text(header.rstrip(b"\n"), body, since.rows), position, continues


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
