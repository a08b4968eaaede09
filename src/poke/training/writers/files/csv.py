"""metrics.csv: one row a window, whole and with the operating system before the writer returns.

Columns are step, time (ISO 8601, UTC) and one `category/name` each. Rows that the file system
refuses wait in memory, and in the state, until it takes them.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from poke.training.writers.files.csvfile import CsvFile, TakenError

MAX_WAITING_ROWS = 10_000
_FIXED = ("step", "time")
_log = logging.getLogger("poke")

# A row: step, time, category, metrics.
Row = tuple[int, str, str, dict[str, float]]


class CsvWriter:
    """Writes metrics to one csv file.

    Args:
        path: the file; created with the first row, continued where it exists.
        run_dir: the directory of the run that writes it. A file elsewhere that holds rows already is
            another run's, unless a state that is set says otherwise.

    Raises:
        ValueError: by everything but the constructor: the file is another's, and is left alone.
    """

    def __init__(self, path: str | Path, *, run_dir: str | Path | None = None) -> None:
        self.path = Path(path)
        self._is_shared = run_dir is not None and not _lies_in(self.path, Path(run_dir))
        self._must_be_empty = self._is_shared
        self._file = CsvFile(self.path, _FIXED)
        self._columns: list[str] = []  # those that the places are of
        self._places: dict[str, dict[str, int]] = {}  # category -> name -> column
        self._state: dict[str, Any] | None = None  # to which the file has yet to be brought back
        self._waiting: deque[Row] = deque()
        self._num_lost = 0  # the oldest of too many that waited
        self._is_said = False  # that rows wait

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
        if not self._waiting and self._state is None:
            return
        try:
            self._write_waiting()
        except OSError as error:
            self._say_waiting(error)

    def close(self) -> None:
        """Close the file; rows that wait to the very end are in the last state only."""
        try:
            self.flush()
            if self._waiting:
                _log.warning("%s lacks its last %d rows", self.path, len(self._waiting))
            with suppress(OSError):
                self._file.tidy()
        finally:
            self._file.close()

    def get_state(self) -> dict[str, Any]:
        """Return the columns, the number of rows, and the rows that wait."""
        waiting = [list(row) for row in self._waiting]
        if self._state is not None:
            return {**self._state, "waiting": waiting}
        file = self._file
        with suppress(OSError):  # then it is as it was when it was last seen
            self._bring_back()
            file.open()
        return {
            "columns": list(file.columns),
            "num_rows": file.num_rows if file.is_known else None,
            "waiting": waiting,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Cut off the rows and columns that were added after the state."""
        self._must_be_empty = False
        self._state = dict(state)
        self._waiting = deque((*row,) for row in state.get("waiting", []))
        try:
            self._bring_back()
        except OSError as error:
            self._say_waiting(error)

    def claim(self) -> None:
        """Make sure that the file is free for a new run.

        Raises:
            ValueError: it is another run's.
        """
        with suppress(OSError):  # one that cannot be seen now is looked at before it is written
            self._bring_back()

    def begin_again(self) -> None:
        """Drop the rows of an attempt that was stopped before there was a state of it."""
        if not self._is_shared:
            self.set_state({"columns": [], "num_rows": 0})

    def _bring_back(self) -> None:
        """Bring the file back to the state that was set.

        Raises:
            ValueError: its columns are not those of the state, or there is none and another run's rows are there.
        """
        state, file = self._state, self._file
        if self._must_be_empty:
            file.open()
            if file.num_rows:
                raise TakenError(f"{self.path} holds the rows of another run")
            self._must_be_empty = False
        if state is None:
            return
        file.open()
        columns, num_rows = state["columns"], state["num_rows"]
        if num_rows is not None:  # else the file could not be seen when the state was made
            if any(a != b for a, b in zip(file.columns, columns, strict=False)):
                raise ValueError(f"the columns of {self.path} are not those of this run")
            if file.num_rows < num_rows:
                self._say_lost(num_rows - file.num_rows)
            file.cut(columns, min(num_rows, file.num_rows))
        self._state = None

    def _put(self, row: Row) -> None:
        """Append a row to the file."""
        step, when, category, metrics = row
        file = self._file
        file.open()
        if file.num_lost:
            self._say_lost(file.num_lost)
            file.num_lost = 0
        places = self._places_in(category)
        if not file.columns or not places.keys() >= metrics.keys():
            file.widen([f"{category}/{name}" for name in metrics if name not in places])
            places = self._places_in(category)
        fields = [str(step), when, *[""] * (len(self._columns) - len(_FIXED))]
        for name, value in metrics.items():
            fields[places[name]] = repr(value)
        file.append(fields)

    def _places_in(self, category: str) -> dict[str, int]:
        """Where the names of a category stand: looked up once for all rows of the same columns, not once a row."""
        if self._columns is not self._file.columns:
            self._columns, self._places = self._file.columns, {}
            for place, column in enumerate(self._columns):
                of, _, name = column.partition("/")
                if place >= len(_FIXED):
                    self._places.setdefault(of, {})[name] = place
        return self._places.get(category, {})

    def _write_waiting(self) -> None:
        self._bring_back()
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

    def _say_lost(self, number: int) -> None:
        message = "%s lacks %d of this run's rows; it goes on without them"
        _log.warning(message, self.path, number)


def _lies_in(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
