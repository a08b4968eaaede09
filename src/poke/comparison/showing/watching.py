"""A live table of the jobs that are running, and of the sweeps that they belong to."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from poke.comparison.errors import ComparisonError
from poke.comparison.reading.metrics import choose_metric, choose_mode
from poke.comparison.reading.record import sessions_of
from poke.comparison.reading.rows.history import History
from poke.comparison.reading.run import ACTIVE, Run, instant_of
from poke.comparison.reading.sweeps import PENDING, Job, Sweep
from poke.comparison.showing.layout import align, cut, format_number, format_seconds, printable

RECENT_ROWS = 100  # what a job's present speed is taken from
MOST_SWEEPS = 5
# How many jobs of a sweep are shown of each kind, besides those at work.
SHOWN = {"failed": 5, "interrupted": 5, PENDING: 3, "finished": 3}
CLEAR = "\x1b[H\x1b[2J"
AT_WORK = (*ACTIVE, "stale")
# What a line does without where it is too long for the terminal, first to last.
DISPENSABLE = ("heard", "steps/s", "best", "")
SHORTEST_NAME = 16


def running_table(
    runs: Sequence[Run],
    sweeps: Sequence[Sweep],
    metric: str | None,
    rows_of: Callable[[Run], History],
    *,
    width: int | None = None,
    height: int | None = None,
) -> str:
    """Return one line a running or stale job, and what sweeps have done and have before them.

    Args:
        runs: all runs; those that have ended are counted only.
        sweeps: the sweeps, the newest first; of those that are not over, some jobs of each status
            are shown.
        metric: what to show of each; None takes what the runs monitored.
        rows_of: returns every row of a run.
        width: characters a line may have; None for no limit.
        height: lines that there is room for; None for no limit.

    Raises:
        ComparisonError: no run has the metric that was asked for.
    """
    try:
        name = choose_metric(runs, metric) if runs else None
        mode = choose_mode(runs, name, None)[0] if name else None
    except ComparisonError:
        if metric is not None:
            raise
        name = mode = None  # nothing is measured yet, or nobody says which way is better
    active = [run for run in runs if run.status in AT_WORK]
    left = {run.name: seconds_left(run, rows_of(run)) for run in active}
    jobs = [job for sweep in sweeps for job in _shown(sweep)]
    in_sweeps = {job.run.name for job in jobs if job.run}
    jobs = [Job(run.name, run.status, run) for run in active if run.name not in in_sweeps] + jobs
    header = ["run", "status", "step", "", "steps/s", "left", name or "metric", "best", "heard"]
    rows = [_line(job, rows_of, left, name, mode) for job in jobs]
    stale = sum(run.status == "stale" for run in active)
    lines = [_headline(sweep, left) for sweep in sweeps[:MOST_SWEEPS]]
    lines += [""] if lines else []
    lines += fit(header, rows, width) if rows else ["nothing is running"]
    if height is not None and len(lines) > height - 3:
        kept = max(1, height - 4)
        lines = [*lines[:kept], f"and {len(lines) - kept} more"]
    ended = f"{len(active) - stale} running, {stale} stale, {len(runs) - len(active)} ended"
    return "".join(f"{cut(printable(line), width)}\n" for line in [*lines, "", ended])


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


def seconds_left(run: Run, history: History) -> float:
    """Return how long a run needs still at its present speed, NaN where that is not known."""
    speed = steps_per_second(history)
    return (_goal(run) - run.summary.step) / speed if speed > 0 else math.nan


def sweep_seconds_left(sweep: Sweep, left: dict[str, float]) -> float:
    """Return how long a sweep needs still, NaN where nothing tells.

    Jobs that wait take as long as those that are over took, and as many at once as now.

    Args:
        sweep: the sweep.
        left: of jobs at work, by run name, see ``seconds_left``.
    """
    at_work = [job.run for job in sweep.with_status(*ACTIVE) if job.run]
    waiting = len(sweep.with_status(PENDING))
    if not at_work:
        return math.nan if waiting else 0.0
    took = [_worked_seconds(job.run) for job in sweep.with_status("finished") if job.run]
    if not took:
        took = [_worked_seconds(run) + left.get(run.name, math.nan) for run in at_work]
    took = [seconds for seconds in took if math.isfinite(seconds)]
    usual = sum(took) / len(took) if took else math.nan
    rest = []
    for run in at_work:
        known = left.get(run.name, math.nan)
        rest.append(max(0.0, usual - _worked_seconds(run)) if math.isnan(known) else known)
    work = sum(rest) + (waiting * usual if waiting else 0.0)
    return max(*rest, work / len(at_work), 0.0)


def fit(header: list[str], rows: list[list[str]], width: int | None) -> list[str]:
    """Return aligned lines that fit a terminal: without columns that can be spared, names cut at their beginning."""
    lines = align(header, rows, 2)
    if width is None:
        return lines
    for spared in DISPENSABLE:
        longest = max(map(len, lines))
        name = max(len(row[0]) for row in rows)
        if longest - name + min(name, SHORTEST_NAME) <= width:
            break
        place = header.index(spared)
        header = header[:place] + header[place + 1 :]
        rows = [row[:place] + row[place + 1 :] for row in rows]
        lines = align(header, rows, 2)
    too_long = max(map(len, lines)) - width
    if too_long > 0:
        room = max(SHORTEST_NAME, max(len(row[0]) for row in rows) - too_long)
        rows = [[_end_of(row[0], room), *row[1:]] for row in rows]
        lines = align(header, rows, 2)
    return lines


def _shown(sweep: Sweep) -> list[Job]:
    """Return the jobs at work, and some others unless the sweep is over."""
    jobs = sweep.with_status(*AT_WORK)
    if jobs or sweep.with_status(PENDING):
        for status, most in SHOWN.items():
            some = sweep.with_status(status)
            jobs += some[:most] if status == PENDING else some[-most:]
    return jobs


def _headline(sweep: Sweep, left: dict[str, float]) -> str:
    if sweep.problem:
        return f"! {sweep.problem}"
    counts = Counter(job.status for job in sweep.jobs)
    told = ", ".join(f"{number} {status}" for status, number in counts.most_common())
    seconds = sweep_seconds_left(sweep, left)
    eta = f", about {format_seconds(seconds)} left" if seconds > 0 else ""
    return f"sweep {sweep.directory}: {told or 'no job'}{eta}"


def _line(
    job: Job,
    rows_of: Callable[[Run], History],
    left: dict[str, float],
    metric: str | None,
    mode: str | None,
) -> list[str]:
    run = job.run
    if run is None:
        return [job.name, job.status, *[""] * 7]
    step, share = run.summary.step, run.summary.step / _goal(run)
    at_work = job.status in AT_WORK
    speed = steps_per_second(rows_of(run)) if at_work else math.nan
    rest = left.get(run.name, math.nan) if job.status in ACTIVE else math.nan
    last = run.summary.last(metric)[0] if metric else math.nan
    best = run.summary.best(metric, mode)[0] if metric and mode else math.nan
    return [
        job.name,
        job.status,
        _known(step),
        "" if math.isnan(share) else f"{share:.0%}",
        _known(speed),
        "" if math.isnan(rest) else format_seconds(rest),
        _known(last),
        _known(best),
        f"{format_seconds(max(0.0, time.time() - run.modified_seconds))} ago" if at_work else "",
    ]


def _goal(run: Run) -> float:
    total = run.config.get("trainer.max_steps")
    return float(total) if isinstance(total, int | float) and total > 0 else math.nan


def _worked_seconds(run: Run) -> float:
    """Return how long processes worked on a run, NaN where they do not say."""
    total = 0.0
    for session in sessions_of(run.record):
        begun, ended = instant_of(session.get("started")), instant_of(session.get("ended"))
        if begun:
            total += (ended.timestamp() if ended else run.modified_seconds) - begun.timestamp()
    return total if total > 0 else math.nan


def _known(value: float) -> str:
    return "" if math.isnan(value) else format_number(value)


def _end_of(name: str, width: int) -> str:
    """Return a name's last characters: those tell jobs apart."""
    return name if len(name) <= width else f"...{name[3 - width :]}"
