"""What a service has been given, kept on disk, since it cannot be told to forget: a resumed run repeats nothing."""

from __future__ import annotations

import json
import logging
import os
import zlib
from collections import defaultdict, deque
from collections.abc import Mapping
from pathlib import Path

TIMED = ("time", "system")  # categories whose values are other ones each time
_log = logging.getLogger("poke")


class Journal:
    """The rows and pictures that a service has taken of one run, by category and step, one line each.

    A line is written once the service has taken the row. What a killed process had delivered after its last
    checkpoint is thus known when the resumed one comes to it, and left out; a process killed between the two may
    deliver that one row again. What this process adds is never left out, however often it comes.

    Args:
        path: the file; created with the first line.
        service: its name, in messages.
    """

    def __init__(self, path: Path, service: str) -> None:
        self._path = path
        self._service = service
        self._known: defaultdict[tuple[str, int], deque[int]] = defaultdict(deque)
        self._is_said = False
        if path.exists():
            for line in path.read_bytes().splitlines():
                self._read(line)

    def holds(self, kind: str, step: int, values: Mapping[str, float] | None = None) -> bool:
        """Whether an earlier process delivered this already; asked once a delivery.

        Args:
            kind: the row's category, or a picture's full name.
            step: its step.
            values: of a row.
        """
        known = self._known.get((kind, step))
        if not known:
            return False
        differs = known.popleft() != _checksum(values) and kind not in TIMED
        if differs and not self._is_said:
            self._is_said = True
            message = "%s keeps what it was given before the resume: it has other values of %s from step %d on"
            _log.warning(message, self._service, kind, step)
        return True

    def add(self, kind: str, step: int, values: Mapping[str, float] | None = None) -> None:
        """Note a delivery."""
        line = json.dumps([kind, step, _checksum(values)]) + "\n"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            size = os.fstat(file).st_size
            torn = size and os.pread(file, 1, size - 1) != b"\n"
            os.write(file, (b"\n" if torn else b"") + line.encode())
        finally:
            os.close(file)

    def _read(self, line: bytes) -> None:
        try:
            kind, step, checksum = json.loads(line)
        except ValueError:  # torn by a kill
            return
        self._known[kind, step].append(checksum)


def write_whole(path: Path, text: str) -> None:
    """Put a small file in place, the old one or the new one at every moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def _checksum(values: Mapping[str, float] | None) -> int:
    return zlib.crc32(repr(sorted((values or {}).items())).encode())
