"""One run: what it did, with which settings, and how it went."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from poke.comparison.reading.configs import Value
from poke.comparison.reading.discovery import Fingerprint, RunFiles
from poke.comparison.reading.incremental import Position
from poke.comparison.reading.summary import Summary

SILENT_SECONDS = 3600.0  # a run on another machine that wrote nothing for this long counts as stale
COMPLETE = (
    "finished",
    "unknown",
)  # statuses whose runs may be averaged; unknown: another program's run
CLOCK_SLACK_SECONDS = 5.0


@dataclass(slots=True, eq=False)
class Run:
    """A run directory, read.

    Args:
        files: the directory and its files.
        record: what ``run.json`` says, packages apart; empty for a run of another program.
        config: flat settings, empty where the run has no config.
        summary: last and best values of its metrics.
        position: where reading its metrics file ended.
        problems: what could not be read, one line each.
        fingerprint: identity of the files that were read.
    """

    files: RunFiles
    record: dict[str, Any]
    config: dict[str, Value]
    summary: Summary
    position: Position
    problems: list[str]
    fingerprint: Fingerprint
    status: str = field(init=False)

    def __post_init__(self) -> None:
        self.status = _status(self)

    @property
    def name(self) -> str:
        """The run directory, as it was reached."""
        return self.files.directory

    @property
    def modified_seconds(self) -> float:
        """When the run's files were last written, seconds since 1970."""
        return self.fingerprint.modified / 1e9

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


def _status(run: Run) -> str:
    """Return the status; ``unknown`` without a record, ``stale`` for a running one whose process is gone."""
    status = str(run.record.get("status", "unknown"))
    if status != "running":
        return status
    if run.record.get("host") == _host():
        return "running" if _is_alive(run) else "stale"
    return "running" if time.time() - run.modified_seconds < SILENT_SECONDS else "stale"


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
