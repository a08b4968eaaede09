"""One run: what it did, with which settings, and how it went."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from poke.comparison.reading.configs import Value
from poke.comparison.reading.discovery import Fingerprint, RunFiles
from poke.comparison.reading.record import is_held, last_session
from poke.comparison.reading.rows.incremental import Position
from poke.comparison.reading.rows.summary import Summary

ACTIVE = ("created", "running")  # statuses of runs that a process works on, if it lives
COMPLETE = (
    "finished",
    "unknown",
)  # statuses whose runs may be averaged; unknown: another program's run
# How quiet a run on another host may be before it counts as stale: so many rows' time, within bounds.
PATIENCE_ROWS = 5
LEAST_PATIENCE_SECONDS, MOST_PATIENCE_SECONDS = 600.0, 43_200.0


@dataclass(slots=True, eq=False)
class Run:
    """A run directory, read.

    Args:
        files: the directory and its files.
        record: what ``run.json`` says in its newest form, packages apart; empty for a run of another program.
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
        self.ask_status()

    def ask_status(self) -> None:
        """Ask again whether somebody works on the run."""
        self.status = _status(self)

    @property
    def settings(self) -> dict[str, Value]:
        """The config by which runs are told apart: a device that was chosen automatically is the one that was used."""
        device = self.record.get("device")
        auto = device and self.config.get("device") == "auto"
        return self.config | {"device": device} if auto else self.config

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
        return instant_of(self.record.get(key))


def instant_of(text: object) -> datetime | None:
    """Return the time that an account tells, in UTC, None where it tells none."""
    try:
        stamp = datetime.fromisoformat(str(text))
        return (stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # the first and the last year end early elsewhere
        return None


def _status(run: Run) -> str:
    """Return the status; ``unknown`` without a record, ``stale`` where nobody works on an unfinished run.

    Whether somebody does is asked of the lock. One that is free says so of processes on this
    host only; a run elsewhere, and where the file system has no locks, goes by its heartbeat.
    """
    status = str(run.record.get("status") or "unknown")
    if status not in ACTIVE or (held := is_held(run.name)):
        return status
    elsewhere = last_session(run.record).get("host") not in (None, socket.gethostname())
    if held is False and not elsewhere:
        return "stale"
    return "stale" if _quiet_seconds(run) > _patience_seconds(run) else status


def _quiet_seconds(run: Run) -> float:
    """Return how long ago the run gave a sign of life: it touches its account with the rows that it writes."""
    return time.time() - run.modified_seconds


def _patience_seconds(run: Run) -> float:
    """Return how long a run may be quiet, by what passes between its rows."""
    begun = run.instant("started")
    if begun is None or not run.position.rows:
        return LEAST_PATIENCE_SECONDS
    pace = (run.modified_seconds - begun.timestamp()) / run.position.rows
    return min(MOST_PATIENCE_SECONDS, max(LEAST_PATIENCE_SECONDS, PATIENCE_ROWS * pace))
