"""One run: what it did, with which settings, and how it went."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from poke.comparison.reading.configs import Value
from poke.comparison.reading.discovery import Fingerprint, RunFiles
from poke.comparison.reading.record import is_held
from poke.comparison.reading.rows.incremental import Position
from poke.comparison.reading.rows.summary import Summary

ACTIVE = ("created", "running")  # statuses of runs that a process works on, if it lives
COMPLETE = (
    "finished",
    "unknown",
)  # statuses whose runs may be averaged; unknown: another program's run


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
            return (stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):  # the first and the last year end early elsewhere
            return None


def _status(run: Run) -> str:
    """Return the status; ``unknown`` without a record, ``stale`` where nobody works on an unfinished run."""
    status = str(run.record.get("status", "unknown"))
    return "stale" if status in ACTIVE and is_held(run.name) is False else status
