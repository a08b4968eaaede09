"""Read run directories: what is on disk, nothing remembered."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import numpy as np

from poke.comparison.reading.configs import Value, read_config
from poke.comparison.reading.discovery import RunFiles
from poke.comparison.reading.record import read_record, without_packages
from poke.comparison.reading.rows.history import History
from poke.comparison.reading.rows.incremental import Position, Text, read_lines
from poke.comparison.reading.rows.parsing import parse
from poke.comparison.reading.rows.summary import summarize_history
from poke.comparison.reading.run import Run

SHORT_NAME = 8  # a run's name up to this length may stand in a setting by chance
BATCH_BYTES = 16 << 20  # of text parsed together


def read(found: Sequence[RunFiles], known: Mapping[str, Run]) -> list[Run]:
    """Read run directories; what cannot be read is named in a run's problems.

    Args:
        found: the directories.
        known: earlier readings by directory; a metrics file that merely grew is read from where
            that ended.

    Returns:
        The runs in the same order, without those whose directory is gone.
    """
    runs: list[Run] = []
    for readings in _parsed(_Reading(files, known.get(files.directory)) for files in found):
        uncertain = [reading for reading in readings if not reading.fits()]
        for reading in uncertain:
            reading.read_metrics(None)
        _parse_all(uncertain)
        for reading in readings:
            run = reading.finish()
            # what could not be read may have been deleted while we looked
            if not run.problems or os.path.isdir(run.name):
                runs.append(run)
    return runs


def read_rows(runs: Sequence[Run]) -> Iterator[list[History]]:
    """Read every row of runs' metrics, some runs at a time; a run whose metrics cannot be read has no rows."""
    for readings in _parsed(_Rows(run.files) for run in runs):
        # what was parsed together lies side by side: taken apart, it is stacked and stored much faster
        for reading in readings:
            reading.history.matrix = np.ascontiguousarray(reading.history.matrix)
        yield [reading.history for reading in readings]


class _Reading:
    """One run directory on its way to a run.

    Args:
        files: the directory.
        known: an earlier reading of it.
    """

    def __init__(self, files: RunFiles, known: Run | None) -> None:
        self.files = files
        self._fingerprint = files.fingerprint()
        self._problems: list[str] = []
        self._record: dict[str, Any] = {}
        self._config: dict[str, Value] = {}
        self._position = Position()
        self._before: Run | None = None
        self.text: Text | None = None
        self.history = History()
        if files.record:
            with self.noting(files.record):
                record, odd = read_record(files.path(files.record))
                # only `show` and `diff` look at the packages
                self._record = without_packages(record)
                if odd:
                    self._problems.append(f"{files.record} has no usable {', '.join(odd)}")
        if files.config:
            with self.noting(files.config):
                own = _own_names(files, self._record)
                self._config = read_config(files.path(files.config), own)
        self.read_metrics(known)

    def read_metrics(self, known: Run | None) -> None:
        """Read the metrics' text, from where ``known`` ended if the file is the same one grown."""
        name = self.files.metrics
        self._before, self.text, self.history = None, None, History()
        if not name:
            return
        # a part read by itself would count what cannot be read otherwise than the whole
        same = (
            known
            and known.fingerprint.inode(name) == self._fingerprint.inode(name)
            and not any(problem.startswith(f"{name} ") for problem in known.problems)
        )
        with self.noting(name):
            self.text, self._position, continues = read_lines(
                self.files.path(name), known.position if known and same else None
            )
            self._before = known if continues else None

    def fits(self) -> bool:
        """Tell whether the rows that were read can be added to those of the earlier reading."""
        return not self._before or self.history.names == self._before.summary.names

    def finish(self) -> Run:
        """Return the run."""
        metrics = self.files.metrics or ""
        summary = summarize_history(History())
        with self.noting(metrics):
            summary = summarize_history(self.history)
            self._position.rows += self.history.matrix.shape[1]
            if self._before:
                summary = self._before.summary.extend(summary)
        problems = [f"{metrics} {problem}" for problem in self.history.problems]
        return Run(
            self.files,
            self._record,
            self._config,
            summary,
            self._position,
            self._problems + problems,
            self._fingerprint,
        )

    @contextmanager
    def noting(self, name: str | None) -> Iterator[None]:
        """Note what goes wrong with one of the files: no run, however odd, keeps others from being read."""
        try:
            yield
        except Exception as error:
            self._problems.append(f"{name} {_reason(error)}")


class _Rows:
    """The rows of one run, read up to their text."""

    def __init__(self, files: RunFiles) -> None:
        self.files = files
        self.text: Text | None = None
        self.history = History()
        with self.noting(files.metrics):
            self.text = read_lines(files.path(files.metrics))[0] if files.metrics else None

    def noting(self, name: str | None) -> suppress:
        """Leave out what cannot be read: it is named in the run's problems, or gone since."""
        return suppress(Exception)


T = TypeVar("T", _Reading, _Rows)


def _parsed(readings: Iterable[T]) -> Iterator[Sequence[T]]:
    """Give readings their rows, a batch in another thread while the next one is read."""
    with ThreadPoolExecutor(1) as parser:
        under_way: Future[Sequence[T]] | None = None
        for batch in _batches(readings):
            following = parser.submit(_parse_all, batch)
            if under_way:
                yield under_way.result()
            under_way = following
            if len(batch) == 1:  # a large file: one at a time is in memory
                yield under_way.result()
                under_way = None
        if under_way:
            yield under_way.result()


def _batches(readings: Iterable[T]) -> Iterator[list[T]]:
    """Yield so many readings at a time as are worth parsing together."""
    batch: list[T] = []
    num_bytes = 0
    for reading in readings:
        batch.append(reading)
        num_bytes += len(reading.text.body) if reading.text else 0
        if num_bytes >= BATCH_BYTES:
            yield batch
            batch, num_bytes = [], 0
    if batch:
        yield batch


def _parse_all(readings: Sequence[T]) -> Sequence[T]:
    """Give each reading the rows of its text."""
    with_text = [(reading, reading.text) for reading in readings if reading.text]
    try:
        for (reading, _), history in zip(
            with_text, parse([text for _, text in with_text]), strict=True
        ):
            reading.history = history
    except Exception:  # which of them it was is known when each is parsed by itself
        for reading, text in with_text:
            with reading.noting(reading.files.metrics):
                reading.history = parse([text])[0]
    for reading in readings:
        reading.text = None  # a few of them may be most of the memory
    return readings


def _reason(error: Exception) -> str:
    """Return in one line why a file cannot be read, as the end of a sentence that begins with its name."""
    if isinstance(error, json.JSONDecodeError):
        return f"is not JSON (line {error.lineno}: {error.msg})"
    if isinstance(error, UnicodeDecodeError):
        return "is not UTF-8 text"
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror or error})"
    said = " ".join(str(error).split())[:200]
    if type(error) is ValueError and said:
        return said
    return f"cannot be read ({': '.join(part for part in (type(error).__name__, said) if part)})"


def _own_names(files: RunFiles, record: Mapping[str, Any]) -> list[str]:
    """Return what may name a run's directory in its settings."""
    name = str(record.get("name") or "")
    absolute = (
        files.directory if os.path.isabs(files.directory) else os.path.abspath(files.directory)
    )
    return [absolute, *([name] if len(name) > SHORT_NAME else [])]
