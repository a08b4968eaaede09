"""``sweep.csv``: what became of every job of a sweep, one row a job, kept current while the sweep runs."""

from __future__ import annotations

import csv
import io
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poke.run.files import read_json, write_text
from poke.sweep import naming

WANTED = (
    "status", "exit_reason", "step", "final", "best", "error", "overrides", "device", "data", "sessions", "resumes",
)  # fmt: skip
# A tenth of one core at most, however many jobs there are.
LOOK_SECONDS, LOOK_SHARE = 2.0, 10


@dataclass
class JobRow:
    """What is known of a job.

    Args:
        directory: the job's run directory, which may not exist yet.
        overrides: what the job changes, by key.
        account: its run.json, without what a table has no use for.
        modified: when run.json was last seen to change, nanoseconds.
        error: one line; what kept the job from having an account.
    """

    directory: Path
    overrides: dict[str, Any]
    account: dict[str, Any] = field(default_factory=dict)
    modified: int = -1
    error: str | None = None

    @property
    def status(self) -> str:
        """Pending before the job began, then as in run.json."""
        known = str(self.account.get("status", "pending"))
        return "failed" if self.error and known not in ("finished", "running") else known

    def look(self) -> bool:
        """Read run.json if it changed, and return whether it did."""
        path = self.directory / "run.json"
        try:
            modified = path.stat().st_mtime_ns
        except OSError:
            modified = -1
        if modified == self.modified:
            return False
        account = read_json(path) or {}
        self.account = {key: account[key] for key in WANTED if key in account}
        self.modified = modified
        return True


class SweepTable:
    """The jobs of a sweep, by the digest of what they change.

    Args:
        sweep_dir: where their directories are, those of earlier starts with other jobs included.
    """

    def __init__(self, sweep_dir: Path) -> None:
        self.sweep_dir = sweep_dir
        self.rows: dict[str, JobRow] = {}
        self._text = ""
        self._by_all_but_device: dict[str, list[str]] = defaultdict(list)
        for path in sorted(sweep_dir.glob("*/run.json")):
            row = JobRow(path.parent, {})
            row.look()
            self._take_in(row)

    def add(self, jobs: Mapping[str, Sequence[str]], axes: Collection[str]) -> list[JobRow]:
        """Take in jobs and return their rows.

        Args:
            jobs: the jobs' overrides by their digest.
            axes: the keys that name the directories of jobs that have none yet.
        """
        for digest, overrides in jobs.items():
            if digest in self.rows:
                continue
            known = self._run_on_that_device(overrides, jobs)
            if known is None:
                directory = self.sweep_dir / naming.job_name(overrides, axes)
                self.rows[digest] = JobRow(directory, naming.identity(overrides))
            else:
                self.rows[digest] = self.rows.pop(known)
        return [self.rows[digest] for digest in jobs]

    def _take_in(self, row: JobRow) -> None:
        """A job of an earlier start, by what it changed: what its directory is called may be older poke's idea."""
        overrides = row.account.get("overrides")
        row.overrides = naming.identity(overrides or [])
        key = naming.digest_of(row.directory.name)
        if overrides is not None:
            key = naming.digest(overrides)
            self._by_all_but_device[naming.digest(_without_device(overrides))].append(key)
        known = self.rows.get(key)
        if known is None or known.status != "finished":
            self.rows[key] = row

    def _run_on_that_device(self, overrides: Sequence[str], wanted: Collection[str]) -> str | None:
        """The job of an earlier start that ran on the device these overrides name, or found it by `auto`."""
        device = naming.identity(overrides).get("device", "auto")
        for key in self._by_all_but_device.get(naming.digest(_without_device(overrides)), []):
            row = self.rows.get(key)
            if row is None or key in wanted:
                continue
            if device == "auto" or device == row.account.get("device"):
                return key
        return None

    def refresh(self) -> None:
        """Look at every job again and write ``sweep.csv`` if that changes it."""
        for row in self.rows.values():
            row.look()
        text = self._csv()
        if text != self._text:
            write_text(self.sweep_dir / "sweep.csv", text)
            self._text = text

    @contextmanager
    def kept_current(self) -> Iterator[None]:
        """Refresh now, every few seconds from a thread, and at the end."""
        over = threading.Event()

        def keep() -> None:
            pause = LOOK_SECONDS
            while not over.wait(pause):
                begun = time.thread_time()
                self.refresh()
                pause = max(LOOK_SECONDS, LOOK_SHARE * (time.thread_time() - begun))

        self.refresh()
        thread = threading.Thread(target=keep, name="sweep.csv", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self.refresh()

    def _csv(self) -> str:
        changed = _keys(row.overrides for row in self.rows.values())
        final = _keys(row.account.get("final") or {} for row in self.rows.values())
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        columns = ["job", "status", "step", *changed]
        writer.writerow(
            [*columns, "best_metric", "best", "best_step", *(f"final/{k}" for k in final), "error"]
        )
        for row in self.rows.values():
            about, best = row.account, row.account.get("best") or {}
            metrics = about.get("final") or {}
            writer.writerow(
                [
                    row.directory.name,
                    row.status,
                    about.get("step"),
                    *(row.overrides.get(key) for key in changed),
                    *(best.get(key) for key in ("metric", "value", "step")),
                    *(metrics.get(key) for key in final),
                    about.get("error") or row.error,
                ]
            )
        return file.getvalue()


def _without_device(overrides: Sequence[str]) -> list[str]:
    return [override for override in overrides if not override.startswith("device=")]


def _keys(mappings: Iterable[dict[str, Any]]) -> list[str]:
    """Every key of the mappings, in the order they are first met."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))
