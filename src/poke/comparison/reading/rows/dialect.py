"""CSV as other programs write it, brought to one form: UTF-8, lines that end in a newline.

What needs no bringing, poke's own files above all, is told by a look at its first bytes and a search
for a carriage return, and stays the bytes that were read.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from poke.comparison.reading.files import encoding_of

SEPARATORS = (",", ";", "\t")
STEP_NAMES = (
    "step",
    "global_step",
    "time/total_timesteps",
    "timesteps_total",
    "iteration",
    "training_iteration",
)
OWN = "step,time,"  # how poke's own files begin
QUOTE = b'"'
NEWLINE = re.compile(rb"\n")  # searches a view of bytes, too


def in_utf8(data: bytes) -> bytes | None:
    """Return a file's text in UTF-8 with newlines; None where it is so already.

    A byte-order mark of UTF-8, carriage returns before newlines and in quotes are not worth a copy:
    the parser bears them.
    """
    mark, encoding = encoding_of(data)
    if encoding == "utf-8":
        if b"\n" in data or b"\r" not in data:
            return None
        return data.replace(b"\r", b"\n")
    text = data[len(mark) :].decode(encoding, "replace")
    text = text.replace("\r\n", "\n")
    return (text if "\n" in text else text.replace("\r", "\n")).encode("utf-8", "replace")


def header_end(data: bytes) -> int:
    """Return where the line that names the columns ends: a name in quotes may hold newlines. -1 if nowhere."""
    end = _row_end(data, 0, 0)
    return (
        data.find(b"\n") if end < 0 else end
    )  # a quote that is never closed is like other characters


def parts(body: bytes | memoryview, num_bytes: int) -> Iterator[bytes]:
    """Yield whole rows, about so many bytes at a time."""
    start = 0
    while start < len(body):
        end = _row_end(body, start, start + num_bytes)
        following = len(body) if end < 0 else end + 1
        yield bytes(body[start:following])
        start = following


def _row_end(data: bytes | memoryview, start: int, least: int) -> int:
    """Return the first newline from ``least`` on that is not in quotes, of rows from ``start`` on; -1 if none."""
    num_quotes, counted = 0, start
    for newline in NEWLINE.finditer(data, least):
        num_quotes += bytes(data[counted : newline.start()]).count(QUOTE)
        if num_quotes % 2 == 0:
            return newline.start()
        counted = newline.start()
    return -1


def without_returns(body: bytes) -> bytes:
    """Return lines without carriage returns, which the parser would take for the ends of lines."""
    return body.replace(b"\r\n", b"\n").replace(b"\r", b" ")


def split_header(header: bytes) -> tuple[list[str], str]:
    """Return the names of the columns and what separates them.

    Of the separators the one counts that makes a column of steps, else the most frequent one. Spaces
    around a name that is not in quotes belong to it only in poke's own files, and where two names
    would be one without.
    """
    text = header.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace").removesuffix("\r")
    splits = {separator: _cells(text, separator) for separator in SEPARATORS}
    separator = max(
        SEPARATORS,
        key=lambda one: (
            not {bare for _, bare in splits[one]}.isdisjoint(STEP_NAMES),
            len(splits[one]),
        ),
    )
    whole, bare = zip(*splits[separator], strict=True)
    as_it_stands = text.startswith(OWN) or len(set(bare)) < len(set(whole))
    return list(whole if as_it_stands else bare), separator


def fill_rows(body: bytes, num_columns: int, separator: str) -> bytes:
    """Return lines in which cells missing at the end are empty: rows older than the last columns have none."""
    mark = separator.encode()
    filled = []
    for line in _rows(body):
        cells = line if QUOTE not in line else re.sub(rb'"[^"]*"', b"", line)
        missing = num_columns - 1 - cells.count(mark)
        filled.append(line + mark * missing if missing > 0 and line.strip() else line)
    return b"\n".join(filled)


def _rows(body: bytes) -> Iterator[bytes]:
    """Yield the rows: a line, or several where a newline stands in quotes."""
    begun = b""
    for line in body.split(b"\n"):
        line = begun + line
        if line.count(QUOTE) % 2:
            begun = line + b"\n"
            continue
        begun = b""
        yield line
    if begun:
        yield begun.rstrip(b"\n")


def _cells(line: str, separator: str) -> list[tuple[str, str]]:
    """Return the cells of a line, each as it stands and without spaces around it.

    Not by the csv module: that has a limit to a cell's length, and refuses a carriage return in one.
    """
    quoted = rf' *"([^"]*(?:""[^"]*)*)" *(?:{separator}|\Z)'
    cell = re.compile(rf"{quoted}|([^{separator}]*)(?:{separator}|\Z)")
    cells: list[tuple[str, str]] = []
    end, more = 0, True
    while more:
        match = cell.match(line, end)
        assert match is not None  # the second alternative takes anything
        whole = match[2] if match[1] is None else match[1].replace('""', '"')
        cells.append((whole, whole.strip(" ") if match[1] is None else whole))
        more = line[end : match.end()].endswith(separator)
        end = match.end()
    return cells
