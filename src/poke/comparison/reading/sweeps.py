"""Sweeps and their jobs, those that have not begun included: ``sweep.csv`` and the jobs' own run directories."""

from __future__ import annotations

import csv
import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from poke.comparison.reading.files import read_text
from poke.comparison.reading.run import Run

TABLE_FILE = "sweep.csv"
PENDING = "pending"


@dataclass(slots=True)
class Job:
    """One job of a sweep.

    Args:
        name: its directory's.
        status: its run's, or what the sweep's table says where it has none.
        run: None before it began.
    """

    name: str
    status: str
    run: Run | None


@dataclass(slots=True)
class Sweep:
    """A sweep.

    Args:
        directory: where its jobs are.
        jobs: in the order of its table.
        problem: why the table cannot be read, in one line.
    """

    directory: str
    jobs: list[Job] = field(default_factory=list)
    problem: str | None = None

    def with_status(self, *statuses: str) -> list[Job]:
        """Return the jobs of some statuses."""
        return [job for job in self.jobs if job.status in statuses]


def read_sweeps(roots: Sequence[str], runs: Sequence[Run]) -> list[Sweep]:
    """Return the sweeps at or up to two folders below some roots, the last to change first.

    Args:
        roots: the folders.
        runs: those that were found there.
    """
    by_path = {os.path.abspath(run.name): run for run in runs}
    tables: dict[str, float] = {}
    for path in _tables(roots):
        try:
            tables[path] = os.stat(path).st_mtime
        except OSError:  # gone since it was listed
            continue
    newest_first = sorted(tables, key=lambda path: (-tables[path], path))
    return [_read_sweep(path, by_path) for path in newest_first]


def _tables(roots: Sequence[str]) -> Iterator[str]:
    for root in roots:
        for below in ("", "*", os.path.join("*", "*")):
            yield from glob.iglob(os.path.join(glob.escape(root), below, TABLE_FILE))


def _read_sweep(path: str, runs: dict[str, Run]) -> Sweep:
    sweep = Sweep(os.path.dirname(path))
    try:
        for row in csv.DictReader(read_text(path).splitlines(keepends=True)):
            name = row.get("job") or ""
            # the run itself knows better: the sweep may be dead
            run = runs.get(os.path.abspath(os.path.join(sweep.directory, name)))
            status = run.status if run else row.get("status") or PENDING
            if name:
                sweep.jobs.append(Job(name, status, run))
    except (OSError, ValueError, csv.Error) as error:
        sweep.problem = f"{path} cannot be read ({' '.join(str(error).split())})"
    return sweep
