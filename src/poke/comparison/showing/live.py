"""The report while runs write: what it shows is made anew only where something changed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from poke.comparison.errors import ComparisonError
from poke.comparison.reading.following import Follower
from poke.comparison.reading.run import ACTIVE, Run
from poke.comparison.showing.inspection import show
from poke.comparison.showing.report import (
    asides,
    assemble,
    read_curves,
    report_data,
    running_curve,
)
from poke.comparison.statistics.table import Comparison

# A thirtieth of one core at most, however many runs there are.
PAUSE_SECONDS, PAUSE_SHARE = 2.0, 30
MOST_RUNNING = 20  # curves of runs at work


class LiveReport:
    """A report that follows its runs; looks at them when it is asked, and not too often.

    Args:
        follower: finds and reads the runs.
        choose: leaves of them those that the report is about.
        compare: makes the table of these.

    Raises:
        ComparisonError: the runs that are there cannot be compared.
    """

    def __init__(
        self,
        follower: Follower,
        choose: Callable[[list[Run]], list[Run]],
        compare: Callable[[list[Run]], Comparison],
    ) -> None:
        self._follower = follower
        self._choose = choose
        self._compare = compare
        self._lock = threading.Lock()  # one look at a time, whoever asks
        self._rest_until = 0.0
        self._runs: dict[str, Run] = {}
        self._key: Any = None  # what the table was made of
        self._comparison: Comparison | None = None
        self._averaged: set[str] = set()
        self._table: dict[str, Any] = {}
        self._data: dict[str, Any] = {}
        self._version = 0
        self._look()

    def page(self) -> str:
        """Return the page with what is known now."""
        with self._lock:
            self._look_if_rested()
            return assemble(self._data | {"version": self._version}, live=True)

    def news(self, version: int) -> bytes | None:
        """Return the data in JSON, None where they are still those of a version."""
        with self._lock:
            self._look_if_rested()
            if version == self._version:
                return None
            return json.dumps(self._data | {"version": self._version}, allow_nan=False).encode()

    def run(self, name: str) -> str | None:
        """Return a run in full, None where there is none of that name."""
        with self._lock:
            run = self._runs.get(name)
        return show(run) if run else None

    def _look_if_rested(self) -> None:
        if time.monotonic() >= self._rest_until:
            self._look()

    def _look(self) -> None:
        begun = time.thread_time()
        try:
            data = self._data_of(self._choose(self._follower.look()))
        except ComparisonError:  # the last run that could be compared is gone: show what was
            if not self._data:
                raise
            data = self._data
        if data != self._data:
            self._data = data
            self._version += 1
        cost = time.thread_time() - begun
        self._rest_until = time.monotonic() + max(PAUSE_SECONDS, PAUSE_SHARE * cost)

    def _data_of(self, runs: list[Run]) -> dict[str, Any]:
        self._runs = {run.name: run for run in runs}
        comparison = self._compared(runs)
        comparison.aside = [(self._runs[run.name], why) for run, why in comparison.aside]
        at_work = [run for run in runs if run.status in ACTIVE and run.name not in self._averaged]
        drawn = [
            running_curve(run, self._follower.rows(run), comparison.metric)
            for run in at_work[:MOST_RUNNING]
        ]
        running = [one for one in drawn if one["curve"]["steps"]]
        return self._table | {"not_averaged": asides(comparison, _link), "running": running}

    def _compared(self, runs: list[Run]) -> Comparison:
        """Return the table, made anew where a run it averages changed, or any run's status or names of metrics."""
        key = [
            (
                run.name,
                run.status,
                run.fingerprint.identity
                if run.counts or run.name in self._averaged
                else run.summary.names,
            )
            for run in runs
        ]
        if self._comparison is None or key != self._key:
            comparison = self._compare(runs)
            groups = [row.group.runs for row in comparison.rows]
            curves = read_curves(groups, comparison.metric)
            self._table = report_data(comparison, curves, _link)
            self._averaged = {run.name for group in groups for run in group}
            self._comparison, self._key = comparison, key
        return self._comparison


def _link(run: Run) -> str:
    return f"run?name={quote(run.name.encode('utf-8', 'surrogateescape'), safe='')}"
