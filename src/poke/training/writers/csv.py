"""metrics.csv: one row a window, whole and with the operating system before the writer returns.

Columns are step, time (ISO 8601, UTC) and one `category/name` each. A row is appended by one write,
so a reader meets whole lines; after a power cut the last may be torn, and is dropped. A new name
writes the file again, wider, beside the old one and renames it. Rows that the file system refuses
wait in memory, and in the state, until it takes them.
"""

from __future__ import annotations

import csv
import io
import logging
import os
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

MAX_WAITING_ROWS = 10_000
_FIXED = ["step", "time"]
_log = logging.getLogger("poke")

# A row: step, time, category, metrics.
Row = tuple[int, str, str, dict[str, float]]


class CsvWriter:
    """Writes metrics to one csv file.

    Args:
        path: the file; created with the first row, continued where it exists.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._temporary = self.path.with_name(f".{self.path.name}.tmp")
        self._columns: list[str] = []
        self._places: dict[str, dict[str, int]] = {}  # category -> name -> column
        self._num_rows = 0
        self._waiting: deque[Row] = deque()
        self._num_lost = 0  # the oldest of too many that waited
        self._is_said = False  # that rows wait
        self._size_bytes = 0
        self._file: int | None = None

    def write(self, metrics: Mapping[str, float], step: int, category: str) -> None:
        """Append one row, after those that wait."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        row = (step, now, category, {name: float(value) for name, value in metrics.items()})
        try:
            self._write_waiting()
            self._put(row)
        except OSError as error:
            self._keep(row, error)

    def flush(self) -> None:
        """Try once more to write the rows that wait; every other one is with the operating system."""
        try:
            self._write_waiting()
        except OSError as error:
            self._say_waiting(error)

    def close(self) -> None:
        """Close the file; rows that wait to the very end are in the last state only."""
        self.flush()
        if self._waiting and self._file is not None:
            _log.warning("%s lacks its last %d rows", self.path, len(self._waiting))
        self._close_file()

    def get_state(self) -> dict[str, Any]:
        """Return the columns, the number of rows, and the rows that wait."""
        if self._file is None:
            self._load()
        waiting = [list(row) for row in self._waiting]
        return {"columns": list(self._columns), "num_rows": self._num_rows, "waiting": waiting}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Cut off the rows and columns that were added after the state.

        Raises:
            ValueError: the file's columns are not those of the state: it is not this run's file.
        """
        columns, rows = _read(self.path)
        kept, num_rows = list(state["columns"]), state["num_rows"]
        if len(rows) < num_rows:
            lost = num_rows - len(rows)
            _log.warning("%s lacks %d of this run's rows; it goes on without them", self.path, lost)
        if columns and columns[: len(kept)] != kept:
            raise ValueError(f"the columns of {self.path} are not those of this run")
        # Rows from before the state got one comma for every column that came after it.
        later = max(0, len(columns) - len(kept))
        self._replace(kept, [row[: len(row) - later] for row in rows[:num_rows]])
        self._waiting = deque((*row,) for row in state.get("waiting", []))

    def _put(self, row: Row) -> None:
        """Append a row to the file."""
        if self._file is None:
            self._load()
        step, when, category, metrics = row
        places = self._places.get(category, {})
        if self._file is None or not places.keys() >= metrics.keys():
            self._widen([f"{category}/{name}" for name in metrics if name not in places])
            places = self._places[category]
        fields = [str(step), when, *[""] * (len(self._columns) - len(_FIXED))]
        for name, value in metrics.items():
            fields[places[name]] = repr(value)
        self._append((",".join(fields) + "\n").encode())
        self._num_rows += 1

    def _write_waiting(self) -> None:
        while self._waiting:
            self._put(self._waiting[0])
            self._waiting.popleft()
        if self._is_said:
            self._is_said = False
            _log.info("%s is written again; %d rows are lost", self.path, self._num_lost)
            self._num_lost = 0

    def _keep(self, row: Row, error: OSError) -> None:
        """Have a row wait that the file system refused."""
        self._waiting.append(row)
        if len(self._waiting) > MAX_WAITING_ROWS:
            self._waiting.popleft()
            self._num_lost += 1
        self._say_waiting(error)

    def _say_waiting(self, error: OSError) -> None:
        if not self._is_said:
            self._is_said = True
            message = "%s cannot be written (%s): its rows are kept in memory until it can be"
            _log.warning(message, self.path, error.strerror or error)

    def _load(self) -> None:
        """Open the file where it exists, without a torn last line."""
        self._temporary.unlink(missing_ok=True)  # a process killed while it wrote one left it
        columns, rows = _read(self.path)
        if columns and columns[: len(_FIXED)] != _FIXED:
            raise ValueError(f"{self.path} does not start with the columns step and time")
        self._index(columns)
        self._num_rows = len(rows)
        if columns:
            self._size_bytes = len(_header(columns)) + sum(len(row) + 1 for row in rows)
            self._file = os.open(self.path, os.O_RDWR)
            os.ftruncate(self._file, self._size_bytes)

    def _widen(self, new: Sequence[str]) -> None:
        _, rows = _read(self.path)
        columns = [*(self._columns or _FIXED), *new]
        self._replace(columns, [row + b"," * len(new) for row in rows])

    def _replace(self, columns: list[str], rows: Sequence[bytes]) -> None:
        """Put a file of these columns and rows into the old one's place, whole at every moment."""
        self._close_file()
        content = b"".join([_header(columns), *(row + b"\n" for row in rows)]) if columns else b""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(self._temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(self._temporary, self.path)
        except BaseException:
            with suppress(OSError):
                self._temporary.unlink(missing_ok=True)
            raise
        self._index(columns)
        self._num_rows = len(rows)
        self._size_bytes = len(content)
        self._file = os.open(self.path, os.O_RDWR)

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _index(self, columns: list[str]) -> None:
        self._columns = columns
        self._places = {}
        for place, column in enumerate(columns[len(_FIXED) :], len(_FIXED)):
            category, _, name = column.partition("/")
            self._places.setdefault(category, {})[name] = place

    def _append(self, line: bytes) -> None:
        """Write a line where the last one ended, so that a retry overwrites what a failure left."""
        assert self._file is not None
        written = 0
        try:
            while written < len(line):
                written += os.pwrite(self._file, line[written:], self._size_bytes + written)
        except OSError:
            os.ftruncate(self._file, self._size_bytes)
            raise
        self._size_bytes += written


def _header(columns: Sequence[str]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerow(columns)  # which has it quote both characters
    return (text.getvalue().removesuffix("\r\n") + "\n").encode()


def _read(path: Path) -> tuple[list[str], list[bytes]]:
    """Return the columns and the whole rows of a file, none where it does not exist.

    Names may hold newlines; rows hold numbers and a time, so that a row is a line.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], []
    lines = content.split(b"\n")[:-1]
    if not lines:
        return [], []
    reader = csv.reader((line + b"\n").decode() for line in lines)
    columns = next(reader)
    return columns, lines[reader.line_num :]
