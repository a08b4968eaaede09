"""One run: what it did, with which settings, and how it went."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np

from poke.comparison.configs import Value, read_config
from poke.comparison.discovery import RunFiles
from poke.comparison.history import History, Position, read_history
from poke.comparison.summary import Summary, summarize_history

SILENT_SECONDS = 3600.0  # a run on another machine that wrote nothing for this long counts as stale
COMPLETE = (
    "finished",
    "unknown",
)  # statuses whose runs may be averaged; unknown: another program's run
CLOCK_SLACK_SECONDS = 5.0


@dataclass(slots=True)
class Run:
    """A run directory, read.

    Args:
        files: the directory and its files.
        record: what ``run.json`` says, empty for a run of another program.
        config: flat settings, empty where the run has no config.
        summary: last and best values of its metrics.
        position: where reading its metrics file ended.
        problems: what could not be read, one line each.
        fingerprint: identity of the files that were read.
        modified: newest time of those files, seconds since 1970.
    """

    files: RunFiles
    record: dict[str, Any]
    config: dict[str, Value]
    summary: Summary
    position: Position
    problems: list[str]
    fingerprint: str
    modified: float
    status: str = field(init=False)

    def __post_init__(self) -> None:
        self.status = _status(self)

    @property
    def name(self) -> str:
        """The run directory, as it was reached."""
        return self.files.directory

    @property
    def seed(self) -> Value:
        """The run's seed, None where it has none."""
        return self.record.get("seed", self.config.get("seed"))

    @property
    def monitored(self) -> tuple[str, str] | None:
        """The metric that chose this run's best checkpoint, and its mode."""
        best = self.record.get("best")
        if isinstance(best, dict) and best.get("metric") and best.get("mode") in ("min", "max"):
            return str(best["metric"]), str(best["mode"])
        return None

    @property
    def counts(self) -> bool:
        """Whether the run came to its end, so that it may be averaged with others."""
        return self.status in COMPLETE

    def instant(self, key: str) -> datetime | None:
        """Return a time of ``run.json`` (``started``, ``ended``), None where it has none."""
        try:
            stamp = datetime.fromisoformat(str(self.record.get(key)))
        except ValueError:
            return None
        return stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)


def read_run(files: RunFiles, known: Run | None = None) -> Run:
    """Read a run directory; what cannot be read is named in the run's problems.

    Args:
        files: the directory.
        known: an earlier reading of it; a metrics file that merely grew is read from where that ended.

    Raises:
        FileNotFoundError: the directory is gone.
    """
    fingerprint, newest = files.fingerprint()
    problems: list[str] = []
    record: dict[str, Any] = {}
    config: dict[str, Value] = {}
    if files.record:
        try:
            record = _read_record(files.path(files.record))
        except (OSError, ValueError) as error:
            problems.append(f"{files.record} {_reason(error)}")
    if files.config:
        try:
            config = _without_own_path(read_config(files.path(files.config)), files, record)
        except (OSError, ValueError, RecursionError) as error:
            problems.append(f"{files.config} {_reason(error)}")
    summary, position = Summary([], np.empty((6, 0)), float("nan")), Position()
    if files.metrics:
        grown = known is not None and _same_file(known.fingerprint, fingerprint, files.metrics)
        try:
            history, position, continues = read_history(
                files.path(files.metrics), known.position if known and grown else None
            )
            summary = summarize_history(history)
            if known and continues:
                summary = known.summary.extend(summary)
                problems += [line for line in known.problems if line.startswith(files.metrics)]
            problems += [f"{files.metrics} {problem}" for problem in history.problems]
        except (OSError, ValueError) as error:
            problems.append(f"{files.metrics} {_reason(error)}")
    if problems and not os.path.isdir(files.directory):
        raise FileNotFoundError(files.directory)
    return Run(files, record, config, summary, position, problems, fingerprint, newest / 1e9)


def read_run_history(run: Run) -> History:
    """Read every row of a run's metrics; no rows where that fails."""
    try:
        if run.files.metrics:
            return read_history(run.files.path(run.files.metrics))[0]
    except (OSError, ValueError) as error:
        return History([], np.empty((2, 0)), [_reason(error)])
    return History([], np.empty((2, 0)))


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


def _same_file(before: str, after: str, name: str) -> bool:
    """Tell whether two fingerprints hold the same inode for a file."""
    inodes = [
        part.rpartition(" ")[2]
        for fingerprint in (before, after)
        for part in fingerprint.split("|")
        if part.startswith(f"{name} ")
    ]
    return len(inodes) == 2 and inodes[0] == inodes[1]


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


def _status(run: Run) -> str:
    """Return the status; ``unknown`` without a record, ``stale`` for a running one whose process is gone."""
    status = str(run.record.get("status", "unknown"))
    if status != "running":
        return status
    if run.record.get("host") == _host():
        return "running" if _is_alive(run) else "stale"
    return "running" if time.time() - run.modified < SILENT_SECONDS else "stale"


@cache
def _host() -> str:
    return socket.gethostname()


def _is_alive(run: Run) -> bool:
    """Tell whether the run's process lives: a process that began after the run is another one under its number."""
    import psutil

    begun = [
        run.instant("started"),
        *(_instant(resume) for resume in run.record.get("resumes") or []),
    ]
    newest = max((stamp.timestamp() for stamp in begun if stamp), default=float("inf"))
    try:
        return psutil.Process(int(run.record["pid"])).create_time() <= newest + CLOCK_SLACK_SECONDS
    except (KeyError, TypeError, ValueError, psutil.Error):
        return False


def _instant(resume: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(resume["time"])
    except (KeyError, TypeError, ValueError):
        return None
