"""Choose runs: by an expression, by age, by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from poke.comparison.errors import ComparisonError
from poke.comparison.reading.configs import Value
from poke.comparison.reading.run import Run
from poke.comparison.statistics.grouping import (
    RUN_FIELDS,
    format_value,
    is_value,
    resolve_key,
    to_number,
)

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
ORDERINGS: dict[str, Callable[[float, float], bool]] = {
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}


def filter_runs(runs: Sequence[Run], expression: str) -> list[Run]:
    """Return the runs for which an expression holds.

    Args:
        runs: the runs.
        expression: ``KEY OP VALUE``: a config key, a field of the run (run, status, seed, host,
            device, started, step) or a
            metric (its last value); ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=`` or ``~``
            (contains). A run that lacks the key
            only passes ``!=``.

    Raises:
        ComparisonError: it is no such expression, or no run has the key.
    """
    match = re.fullmatch(r"\s*([^\s=!<>~]+)\s*(!=|<=|>=|=|<|>|~)\s*(.*?)\s*", expression)
    if not match:
        raise ComparisonError(
            f"--where {expression!r} is not KEY OP VALUE, with =, !=, <, <=, >, >= or ~ between"
        )
    key, operator, wanted = match.groups()
    metrics = dict.fromkeys(name for run in runs for name in run.summary.names)
    key = resolve_key(key, runs, metrics)
    if operator in ORDERINGS and to_number(wanted) is None:
        raise ComparisonError(
            f"--where {expression!r}: {operator} asks for a number, not {wanted!r}"
        )
    return [run for run in runs if _holds(_value(run, key), operator, wanted)]


def younger_than(runs: Sequence[Run], age: str) -> list[Run]:
    """Return the runs that started within an age such as 90m, 2d or 1w.

    A run without a start counts by its files.

    Raises:
        ComparisonError: it is no age.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", age)
    if not match:
        raise ComparisonError(f"--last {age!r} is not a number and one of s, m, h, d, w, as in 2d")
    try:
        bound = datetime.now(UTC) - timedelta(seconds=float(match[1]) * UNITS[match[2]])
    except OverflowError:
        return list(runs)
    return [
        run
        for run in runs
        if (run.instant("started") or datetime.fromtimestamp(run.modified_seconds, UTC)) >= bound
    ]


def find_run(runs: Sequence[Run], name: str) -> Run:
    """Return the run that a path names, or a unique beginning or end of one.

    Raises:
        ComparisonError: none does, or several do.
    """
    wanted = name.rstrip("/").removeprefix("./")
    for matches in (
        lambda run: run.name == wanted or run.record.get("name") == wanted,
        lambda run: run.name.endswith(f"/{wanted}"),
        lambda run: (
            any(part.startswith(wanted) for part in _beginnings(run)) or run.name.endswith(wanted)
        ),
    ):
        found = [run for run in runs if matches(run)]
        if len(found) == 1:
            return found[0]
        if found:
            some = ", ".join(run.name for run in found[:3])
            raise ComparisonError(
                f"{name} names {len(found)} runs: {some}{', ...' if len(found) > 3 else ''}"
            )
    raise ComparisonError(f"no run is named {name}")


def _beginnings(run: Run) -> list[str]:
    """Return what a prefix may begin: the path, the path below the searched folder, the last part."""
    below = run.name.removeprefix(run.files.root).lstrip("/")
    return [run.name, below, run.name.rpartition("/")[2]]


def _value(run: Run, key: str) -> Value:
    if key in run.config:
        return run.settings[key]
    if key in RUN_FIELDS:
        return RUN_FIELDS[key](run)
    value = run.summary.last(key)[0]
    return value if value == value else None


def _holds(value: Value, operator: str, wanted: str) -> bool:
    if operator in ORDERINGS:
        number, bound = to_number(value), to_number(wanted)
        return number is not None and bound is not None and ORDERINGS[operator](number, bound)
    if operator == "~":
        return value is not None and wanted in format_value(value)
    return is_value(value, wanted) == (operator == "=")
