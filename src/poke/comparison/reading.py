"""Read run directories: what is on disk, nothing remembered."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from poke.comparison.configs import Value, read_config
from poke.comparison.discovery import RunFiles
from poke.comparison.history import History
from poke.comparison.incremental import Position, Text, read_text
from poke.comparison.parsing import parse
from poke.comparison.run import Run
from poke.comparison.summary import summarize_history

BATCH = 32  # files parsed together


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
    for start in range(0, len(found), BATCH):
        readings = [
            _Reading(files, known.get(files.directory)) for files in found[start : start + BATCH]
        ]
        texts = [reading.text for reading in readings if reading.text]
        histories = iter(parse(texts))
        for reading in readings:
            run = reading.finish(next(histories) if reading.text else None)
            # what could not be read may have been deleted while we looked
            if not run.problems or os.path.isdir(run.name):
                runs.append(run)
    return runs


def read_rows(runs: Sequence[Run]) -> list[History]:
    """Read every row of runs' metrics; a run whose metrics cannot be read has no rows."""
    histories: list[History] = []
    for start in range(0, len(runs), BATCH):
        batch = runs[start : start + BATCH]
        texts: list[Text | None] = []
        for run in batch:
            try:
                path = run.files.path(run.files.metrics) if run.files.metrics else None
                texts.append(read_text(path)[0] if path else None)
            except (OSError, ValueError):  # named in the run's problems, or gone since
                texts.append(None)
        parsed = iter(parse([text for text in texts if text]))
        histories += [next(parsed) if text else History() for text in texts]
    return histories


class _Reading:
    """One run directory, read up to the text of its metrics.

    Args:
        files: the directory.
        known: an earlier reading of it.
    """

    def __init__(self, files: RunFiles, known: Run | None) -> None:
        self._files = files
        self._fingerprint = files.fingerprint()
        self._problems: list[str] = []
        self._record: dict[str, Any] = {}
        self._config: dict[str, Value] = {}
        self._position = Position()
        self._before: Run | None = None
        self.text: Text | None = None
        try:
            name = files.record
            if name:
                self._record = _read_record(files.path(name))
        except (OSError, ValueError, RecursionError) as error:
            self._problems.append(f"{name} {_reason(error)}")
        try:
            name = files.config
            if name:
                self._config = _without_own_path(read_config(files.path(name)), files, self._record)
        except (OSError, ValueError, RecursionError) as error:
            self._problems.append(f"{name} {_reason(error)}")
        try:
            name = files.metrics
            if name:
                grown = known and known.fingerprint.inode(name) == self._fingerprint.inode(name)
                since = known.position if known and grown else None
                self.text, self._position, continues = read_text(files.path(name), since)
                self._before = known if continues else None
        except (OSError, ValueError) as error:
            self._problems.append(f"{name} {_reason(error)}")

    def finish(self, history: History | None) -> Run:
        """Return the run, given the rows of ``text``."""
        summary = summarize_history(history or History())
        problems = (
            [f"{self._files.metrics} {problem}" for problem in history.problems] if history else []
        )
        if history:
            self._position.rows += history.matrix.shape[1]
        if self._before:
            earlier = [
                line for line in self._before.problems if line.startswith(f"{self._files.metrics} ")
            ]
            problems = [*earlier, *(line for line in problems if line not in earlier)]
            summary = self._before.summary.extend(summary)
        return Run(
            self._files,
            self._record,
            self._config,
            summary,
            self._position,
            self._problems + problems,
            self._fingerprint,
        )


def _read_record(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as file:
        record = json.load(file)
    if not isinstance(record, dict):
        raise ValueError("is not a mapping")
    return record


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"is not JSON (line {error.lineno}: {error.msg})"
    if isinstance(error, UnicodeDecodeError):
        return "is not UTF-8 text"
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror or error})"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _without_own_path(
    config: dict[str, Value], files: RunFiles, record: dict[str, Any]
) -> dict[str, Value]:
    """Replace the run's own directory in its settings, which would make every run differ."""
    own = [os.path.abspath(files.directory)]
    if isinstance(record.get("name"), str) and len(record["name"]) > 8:
        own.append(record["name"])
    for key, value in config.items():
        if isinstance(value, str):
            for path in own:
                value = value.replace(path, "<run>")
            config[key] = value
    return config
