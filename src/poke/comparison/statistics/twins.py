"""Runs whose metrics are bit for bit the same: one measurement, however often it lies there.

A job that was run again under another name, a copied folder, a seed that nothing reads: averaged as
if they were independent, they make three seeds five, and an interval and a p-value that nothing
stands behind.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from poke.comparison.reading.collection import read_histories
from poke.comparison.reading.rows.history import History
from poke.comparison.reading.run import Run
from poke.comparison.statistics.grouping import Group, list_names

CLOCKS = ("time/", "time_", "system/")  # how names of metrics begin that no repetition repeats
# Runs of other seeds may agree by chance in a few whole numbers, such as wins, not in fractions.
MIN_FRACTIONS = 3


def drop_twins(groups: Sequence[Group], metric: str, *, cache: bool = True) -> list[str]:
    """Leave of runs with equal metrics the first in each group.

    Rows are read of those runs only whose last, lowest and highest values are all equal.

    Args:
        groups: the groups, whose runs and strata are changed.
        metric: one that every run has.
        cache: see ``read_histories``.

    Returns:
        A line for each set of twins.
    """
    alike = [(group, runs) for group in groups for runs in _alike(group.runs, metric)]
    if not alike:
        return []
    suspects = [run for _, runs in alike for run in runs]
    histories = dict(
        zip((run.name for run in suspects), read_histories(suspects, cache=cache), strict=True)
    )
    lines = []
    for group, runs in alike:
        sets: dict[Hashable, list[Run]] = {}
        for run in runs:
            sets.setdefault(_content(run, histories[run.name]), []).append(run)
        for twins in sets.values():
            if len(twins) > 1:
                _keep_first(group, twins)
                names = list_names([run.name for run in twins])
                lines.append(f"bit-identical but for the time, counted once: {names}")
    return lines


def _alike(runs: Sequence[Run], metric: str) -> list[list[Run]]:
    """Return the sets of runs that a summary of their metrics does not tell apart."""
    sets = [list(runs)]
    # the second costs many times the first, which is enough nearly always
    for tell in (lambda run: repr(run.summary.last(metric)), _summary):
        finer: dict[Hashable, list[Run]] = {}
        for place, members in enumerate(sets):
            for run in members:
                finer.setdefault((place, tell(run)), []).append(run)
        sets = [members for members in finer.values() if len(members) > 1]
    return sets


def _summary(run: Run) -> Hashable:
    names, numbers = run.summary.names, run.summary.numbers
    places = sorted((name, place) for place, name in enumerate(names) if _is_measured(name))
    columns = numbers[:, [place for _, place in places]]
    return tuple(name for name, _ in places), columns.tobytes()


def _content(run: Run, history: History) -> Hashable:
    """Return what is equal in twins: the steps and values, and the seed where those may agree by chance."""
    places = sorted((name, place) for place, name in enumerate(history.names) if _is_measured(name))
    values = history.values[[place for _, place in places]]
    # rows that hold times only come and go with the clock
    rows = np.isfinite(values).any(axis=0)
    values, steps = values[:, rows], history.steps[rows]
    fractions = np.unique(values[np.isfinite(values) & (values % 1 != 0)])
    seed = None if fractions.size >= MIN_FRACTIONS else repr(run.seed)
    return seed, tuple(name for name, _ in places), steps.tobytes(), values.tobytes()


def _is_measured(name: str) -> bool:
    return not name.startswith(CLOCKS)


def _keep_first(group: Group, twins: Sequence[Run]) -> None:
    gone = {run.name for run in twins[1:]}
    kept = [place for place, run in enumerate(group.runs) if run.name not in gone]
    moved = {place: new for new, place in enumerate(kept)}
    strata = [[moved[place] for place in stratum if place in moved] for stratum in group.strata]
    group.runs = [group.runs[place] for place in kept]
    group.strata = [stratum for stratum in strata if stratum]
