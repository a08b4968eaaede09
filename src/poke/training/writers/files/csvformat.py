"""How the header and the rows of metrics.csv are written and read.

Names may hold anything; rows hold numbers and a time, so that a row is a line and a comma ends a cell.
"""

from __future__ import annotations

import re

_FIELD = re.compile(rb'(?:"((?:[^"]|"")*)"|([^",\n]*?))(,|\r?\n)')


def padded(rows: bytes, commas: int) -> bytes:
    """Bring rows to so many commas: cells are cut off or added at their ends."""
    lines = rows.split(b"\n")[:-1]
    counts = [line.count(b",") for line in lines]
    if max(counts) > commas:
        lines = [b",".join(line.split(b",")[: commas + 1]) for line in lines]
    padded = [line + b"," * (commas - count) for line, count in zip(lines, counts, strict=True)]
    return b"\n".join(padded) + b"\n"


def field(name: str) -> bytes:
    """A name as a header has it. Python's csv leaves carriage returns bare, at which pandas ends the line."""
    if any(character in name for character in ',"\r\n'):
        name = '"' + name.replace('"', '""') + '"'
    return name.encode()


def columns_of(content: bytes) -> tuple[list[str], int, int]:
    """Return the columns of the header that a file begins with, the number of spare ones, and its length in bytes.

    They are none where it is not whole.
    """
    columns: list[str] = []
    at = 0
    while match := _FIELD.match(content, at):
        quoted, bare, end = match.groups()
        name = bare if quoted is None else quoted.replace(b'""', b'"')
        columns.append(name.decode("utf-8", "replace"))
        at = match.end()
        if end != b",":
            num_columns = len(columns)
            while columns and not columns[-1]:
                columns.pop()
            return columns, num_columns - len(columns), at
    return [], 0, 0
