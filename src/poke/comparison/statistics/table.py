"""The comparison itself: settings side by side, averaged over seeds, with what stands against the averages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from poke.comparison.errors import ComparisonError
from poke.comparison.reading.collection import read_histories
from poke.comparison.reading.configs import Value
from poke.comparison.reading.metrics import choose_metric, choose_mode
from poke.comparison.reading.record import changes_of, sessions_of
from poke.comparison.reading.run import Run
from poke.comparison.statistics.estimates import (
    Estimate,
    difference_interval,
    estimate,
    holm,
    improvement,
    welch_p,
)
from poke.comparison.statistics.grouping import (
    BOOKKEEPING,
    Group,
    differing_keys,
    group_runs,
    identities,
    is_among,
    is_value,
    list_names,
    repeated_seeds,
    resolve_key,
)
from poke.comparison.statistics.twins import drop_twins


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the runs.

    Args:
        metric: a metric's name or its end; None takes what the runs monitored.
        mode: ``min`` or ``max``; None takes it from the runs or the name.
        at: ``last``, ``best`` or a step: which value of each run is compared.
        by: settings that tell groups apart; None takes all that differ.
        include_failed: average runs in that did not finish.
        baseline: label, or a part of one, of the group to compare the others with.
    """

    metric: str | None = None
    mode: str | None = None
    at: str | int = "last"
    by: Sequence[str] | None = None
    include_failed: bool = False
    baseline: str | None = None


@dataclass(frozen=True, slots=True)
class Contrast:
    """A group against the baseline.

    Args:
        difference: of the means.
        low: lower end of the difference's 95 % interval, NaN below three values on a side.
        high: its upper end.
        p: Welch's p-value after Holm's correction, NaN below two values on a side.
        improvement: probability that a run of the group is better than one of the baseline.
    """

    difference: float
    low: float
    high: float
    p: float
    improvement: float


@dataclass(slots=True)
class Row:
    """One group of the table.

    Args:
        group: the runs.
        values: ``[num_runs] float64``, what is compared.
        chosen: estimate from ``values``.
        last: estimate from the runs' last values.
        best: estimate from the runs' best values.
        contrast: against the baseline, None for the baseline itself and where none is named.
    """

    group: Group
    values: np.ndarray
    chosen: Estimate
    last: Estimate
    best: Estimate
    contrast: Contrast | None = None

    @property
    def strata(self) -> list[np.ndarray]:
        """The compared values, those of runs that differ in nothing but the seed together."""
        return [self.values[positions] for positions in self.group.strata]


@dataclass(slots=True)
class Comparison:
    """A table of groups, best first.

    Args:
        metric: what is compared.
        mode: which way is better.
        mode_source: where the mode comes from, in words.
        at: which value of each run.
        keys: the settings that tell groups apart.
        equal: the settings that are equal in all runs.
        rows: the groups, best first.
        num_groups: how many there are, shown or not.
        num_runs: how many runs were averaged.
        aside: runs that were not averaged, with the reason.
        notes: what a reader must know before believing the table.
        baseline: label of the baseline.
    """

    metric: str
    mode: str
    mode_source: str
    at: str | int
    keys: list[str]
    equal: dict[str, Value]
    rows: list[Row]
    num_groups: int
    num_runs: int
    aside: list[tuple[Run, str]]
    notes: list[str] = field(default_factory=list)
    baseline: str | None = None


def compare(
    runs: Sequence[Run], question: Question, *, top: int | None = None, cache: bool = True
) -> Comparison:
    """Compare runs.

    Args:
        runs: the runs, which must not be empty.
        question: what is asked.
        top: how many groups to keep; None keeps all.
        cache: see ``read_histories``.

    Raises:
        ComparisonError: the question names a metric, setting or baseline that is not there; the message
            is one line.
    """
    metric = choose_metric(runs, question.metric)
    mode, source = choose_mode(runs, metric, question.mode)
    values, aside = _values(runs, question, metric, mode, cache)
    averaged = [run for run in runs if run.name in values]
    settings = identities(averaged)
    differing, equal = differing_keys(settings.values())
    keys = differing if question.by is None else [resolve_key(key, runs) for key in question.by]
    groups = group_runs(averaged, settings, keys, differing)
    twins = drop_twins(groups, metric, cache=cache)
    groups = _rank(groups, values, mode)
    baseline = _find_baseline(groups, question.baseline) if question.baseline else None
    shown = groups[:top]
    if baseline and baseline not in shown:
        shown.append(baseline)
    rows = [_row(group, values, metric, mode) for group in shown]
    if baseline:
        others = [row for row in rows if row.group is not baseline]
        _contrast(others, rows[shown.index(baseline)], mode)
    return Comparison(
        metric=metric,
        mode=mode,
        mode_source=source,
        at=question.at,
        keys=keys,
        equal=equal,
        rows=rows,
        num_groups=len(groups),
        num_runs=sum(len(group.runs) for group in groups),
        aside=aside,
        notes=twins + _notes(groups, values, runs),
        baseline=baseline.label if baseline else None,
    )


def _values(
    runs: Sequence[Run], question: Question, metric: str, mode: str, cache: bool
) -> tuple[dict[str, float], list[tuple[Run, str]]]:
    """Return the compared value of each run by name, and the runs without one, with the reason."""
    counted = [run for run in runs if run.counts or question.include_failed]
    aside = [(run, run.status) for run in runs if not run.counts and not question.include_failed]
    aside += [(run, f"no {metric}") for run in counted if metric not in run.summary.measured()]
    measured = [run for run in counted if metric in run.summary.measured()]
    if question.at == "last":
        return {run.name: run.summary.last(metric)[0] for run in measured}, aside
    if question.at == "best":
        return {run.name: run.summary.best(metric, mode)[0] for run in measured}, aside
    values = {}
    for run, history in zip(measured, read_histories(measured, cache=cache), strict=True):
        value, step = history.at(metric, float(question.at))
        if math.isnan(step):
            aside.append((run, f"not at step {question.at} yet"))
        else:
            values[run.name] = value
    return values, aside


def _rank(groups: Sequence[Group], values: dict[str, float], mode: str) -> list[Group]:
    sign = 1.0 if mode == "min" else -1.0

    def order(group: Group) -> tuple[bool, float]:
        mean = sum(values[run.name] for run in group.runs) / len(group.runs)
        return math.isnan(mean), sign * mean if not math.isnan(mean) else 0.0

    return sorted(groups, key=order)


def _row(group: Group, values: dict[str, float], metric: str, mode: str) -> Row:
    def estimated(numbers: Sequence[float]) -> Estimate:
        array = np.array(numbers)
        return estimate([array[positions] for positions in group.strata])

    chosen = np.array([values[run.name] for run in group.runs])
    return Row(
        group,
        chosen,
        estimated(chosen.tolist()),
        estimated([run.summary.last(metric)[0] for run in group.runs]),
        estimated([run.summary.best(metric, mode)[0] for run in group.runs]),
    )


def _contrast(rows: Sequence[Row], baseline: Row, mode: str) -> None:
    p_values = holm([welch_p(row.values, baseline.values) for row in rows])
    for row, p in zip(rows, p_values, strict=True):
        enough = min(len(row.values), len(baseline.values)) >= 3
        finite = bool(np.isfinite(row.values).all() and np.isfinite(baseline.values).all())
        low, high = (
            difference_interval(row.strata, baseline.strata)
            if enough and finite
            else (math.nan, math.nan)
        )
        row.contrast = Contrast(
            row.chosen.mean - baseline.chosen.mean,
            low,
            high,
            p,
            improvement(row.values, baseline.values, mode) if finite else math.nan,
        )


def _find_baseline(groups: Sequence[Group], wanted: str) -> Group:
    """Return the group that a label names: the whole label, or settings of which it must have every one."""
    whole = [group for group in groups if group.label == wanted]
    tails = [group for group in groups if all(_has(group, part) for part in wanted.split())]
    found = whole or tails
    if len(found) == 1:
        return found[0]
    some = "; ".join(group.label for group in (found or groups)[:4])
    what = f"names {len(found)} groups" if found else "names no group"
    raise ComparisonError(f"--baseline {wanted!r} {what} (choose from {some})")


def _has(group: Group, part: str) -> bool:
    """Tell whether a group has the setting that ``KEY=VALUE`` names; 1e-3 and 0.001 are the same value."""
    key, equals, value = part.partition("=")
    return bool(equals) and any(
        (name == key or name.endswith(f".{key}")) and is_value(mine, value)
        for name, mine in group.settings.items()
    )


def _notes(groups: Sequence[Group], values: dict[str, float], runs: Sequence[Run]) -> list[str]:
    notes = []
    for group in groups:
        for seed, repeats in repeated_seeds(group):
            names = list_names([run.name for run in repeats])
            notes.append(f"seed {seed} stands {len(repeats)} times in {group.label}: {names}")
        broken = sum(not math.isfinite(values[run.name]) for run in group.runs)
        if broken:
            notes.append(
                f"{broken} of {len(group.runs)} runs of {group.label} ended in NaN or infinity"
            )
    notes += _changed_on_the_way(groups)
    notes += [f"{run.name}: {problem}" for run in runs for problem in run.problems]
    return notes


def _changed_on_the_way(groups: Sequence[Group]) -> list[str]:
    """Say which settings of averaged runs are not those that they ran with from the beginning."""
    changed: dict[str, list[str]] = {}
    for group in groups:
        for run in group.runs:
            bookkeeping = run.record.get("bookkeeping") or BOOKKEEPING
            keys = {key for session in sessions_of(run.record) for key in changes_of(session)}
            for key in keys:
                if not is_among(key, bookkeeping):
                    changed.setdefault(key, []).append(run.name)
    return [
        f"{key} changed while {'it' if len(names) == 1 else 'they'} ran: {list_names(names)}"
        for key, names in sorted(changed.items())
    ]
