"""A live table of the jobs that are running."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from poke.comparison.errors import ComparisonError
from poke.comparison.reading.metrics import choose_metric, choose_mode
from poke.comparison.reading.rows.history import History
from poke.comparison.reading.run import ACTIVE, Run
from poke.comparison.showing.layout import align, format_number, format_seconds

RECENT_ROWS = 100  # what a job's present speed is taken from
CLEAR = "\x1b[H\x1b[2J"


def running_table(
    runs: Sequence[Run], metric: str | None, rows_of: Callable[[Run], History]
) -> str:
    """Return one line a running or stale job: how far, how fast, how long still, and how well.

    Args:
        runs: all runs; those that have ended are counted only.
        metric: what to show of each; None takes what the runs monitored.
        rows_of: returns every row of a run.

    Raises:
        ComparisonError: no run has the metric that was asked for.
    """
    active = [run for run in runs if run.status in (*ACTIVE, "stale")]
    try:
        name = choose_metric(runs, metric) if runs else None
        mode = choose_mode(runs, name, None)[0] if name else None
    except ComparisonError:
        if metric is not None:
            raise
        name = mode = None  # nothing is measured yet, or nobody says which way is better
    rows = [_line(run, rows_of(run), name, mode) for run in active]
    header = ["run", "status", "step", "", "steps/s", "left", name or "metric", "best", "heard"]
    stale = sum(run.status == "stale" for run in active)
    ended = f"{len(active) - stale} running, {stale} stale, {len(runs) - len(active)} ended"
    return (
        "\n".join([*(align(header, rows, 2) if rows else ["nothing is running"]), "", ended]) + "\n"
    )


def watch(look: Callable[[], str], every_seconds: float, write: Callable[[str], object]) -> None:
    """Show what ``look`` returns again and again until interrupted.

    Args:
        look: returns the table as it is now.
        every_seconds: pause between looks.
        write: takes text for a terminal.
    """
    try:
        while True:
            write(CLEAR + look())
            time.sleep(every_seconds)
    except KeyboardInterrupt:
        write("\n")


def steps_per_second(history: History) -> float:
    """Return the speed over the newest rows, NaN where they do not tell."""
    timed = np.flatnonzero(np.isfinite(history.times) & np.isfinite(history.steps))[-RECENT_ROWS:]
    if timed.size < 2:
        return math.nan
    steps, times = history.steps[timed], history.times[timed]
    seconds = times[-1] - times[0]
    return (
        float((steps[-1] - steps[0]) / seconds)
        if seconds > 0 and steps[-1] > steps[0]
        else math.nan
    )


def _line(run: Run, history: History, metric: str | None, mode: str | None) -> list[str]:
    step, total = run.summary.step, run.config.get("trainer.max_steps")
    speed = steps_per_second(history)
    goal = float(total) if isinstance(total, int | float) and total > 0 else math.nan
    left = (goal - step) / speed if speed > 0 else math.nan
    last = run.summary.last(metric)[0] if metric else math.nan
    best = run.summary.best(metric, mode)[0] if metric and mode else math.nan
    return [
        run.name,
        run.status,
        "" if math.isnan(step) else format_number(step),
        "" if math.isnan(step / goal) else f"{step / goal:.0%}",
        "" if math.isnan(speed) else format_number(speed),
        "" if run.status == "stale" or math.isnan(left) else format_seconds(left),
        "" if math.isnan(last) else format_number(last),
        "" if math.isnan(best) else format_number(best),
        f"{format_seconds(max(0.0, time.time() - run.modified_seconds))} ago",
    ]
