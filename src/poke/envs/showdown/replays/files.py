"""Logs of battles in files: the text itself, JSON that holds it, or a saved page; any of them compressed by gzip."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MAX_BYTES = 1 << 26  # the longest battles have two; what is longer is none
_PAGE = re.compile(
    r'<script\b[^>]*\bclass="[^"]*\bbattle-log-data\b[^"]*"[^>]*>(.*?)</script', re.DOTALL | re.I
)


class LogError(ValueError):
    """A file that holds no log; the message is one line that does not name it."""


@dataclass(frozen=True)
class LogText:
    """A log as it stands in a file.

    Args:
        text: its lines, each a line of the protocol.
        first_line: of the file, that the text begins with; 0 where it has no lines of its own there (JSON).
        rating: of the battle, where the file says so beside the log.
    """

    text: str
    first_line: int
    rating: int | None = None


def find(path: Path) -> list[Path]:
    """Return a file, or the files of a folder and of those in it, in order of their names; hidden ones are passed over.

    Raises:
        FileNotFoundError: there is nothing.
    """
    if path.is_dir():
        inside = (p.relative_to(path).parts for p in path.rglob("*") if p.is_file())
        shown = (parts for parts in inside if not any(part.startswith(".") for part in parts))
        return [path.joinpath(*parts) for parts in sorted(shown)]
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    return [path]


def read(path: Path) -> LogText:
    """Read the log that a file holds.

    Raises:
        LogError: it holds none.
        OSError: it cannot be read.
    """
    text = _text(path)
    start = text.lstrip()[:1]
    if start == "{":
        return _from_json(text)
    if start == "<":
        page = _PAGE.search(text)
        if page is None:
            raise LogError("the page holds no log")
        return LogText(page.group(1), 1 + text.count("\n", 0, page.start(1)))
    return LogText(text, 1)


def _text(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if data[:2] == b"\x1f\x8b":
        try:
            with gzip.open(path) as unpacked:
                data = unpacked.read(_MAX_BYTES + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise LogError(f"it cannot be unpacked: {error}") from None
    if len(data) > _MAX_BYTES:
        raise LogError("it is too long for a log")
    return data.decode("utf-8-sig", errors="replace")


def _from_json(text: str) -> LogText:
    try:
        held: Any = json.loads(text)
    except ValueError as error:
        raise LogError(f"it is no JSON: {str(error).splitlines()[0]}") from None
    log = held.get("log")
    if isinstance(log, list):  # as a server saves it
        log = "\n".join(map(str, log))
    if not isinstance(log, str):
        raise LogError("it has no log")
    rating = held.get("rating")
    return LogText(log, 0, rating if type(rating) is int and rating > 0 else None)
