"""The comparison as one HTML file: table, learning curves, parallel coordinates. It needs no network."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from poke.comparison.reading.collection import read_histories
from poke.comparison.reading.rows.history import History
from poke.comparison.reading.run import Run
from poke.comparison.showing.export import to_json
from poke.comparison.showing.layout import footnotes, headline
from poke.comparison.statistics.grouping import format_value
from poke.comparison.statistics.table import Comparison

PAGE = Path(__file__).parent / "page"
SCRIPTS = ("elements.js", "table.js", "curves.js", "parallel.js", "page.js")
MAX_POINTS = 200
SIGNIFICANT_DIGITS = 5


def render_report(
    comparison: Comparison, output: str | os.PathLike[str], *, cache: bool = True
) -> str:
    """Return the page.

    Args:
        comparison: what it shows.
        output: where it will lie, which links to run directories start from.
        cache: see ``read_histories``.
    """
    folder = os.path.dirname(os.path.abspath(output))
    curves = read_curves(
        [row.group.runs for row in comparison.rows], comparison.metric, cache=cache
    )
    return assemble(report_data(comparison, curves, lambda run: _link(run, folder)))


def read_curves(
    groups: Sequence[Sequence[Run]], metric: str, *, cache: bool = True
) -> list[dict[str, Any]]:
    """Return the learning curve of each group of runs, see ``group_curve``."""
    runs = [run for group in groups for run in group]
    histories = dict(
        zip((run.name for run in runs), read_histories(runs, cache=cache), strict=True)
    )
    return [group_curve([histories[run.name] for run in group], metric) for group in groups]


def report_data(
    comparison: Comparison, curves: Sequence[dict[str, Any]], link: Callable[[Run], str]
) -> dict[str, Any]:
    """Return what the page shows, in JSON's terms.

    Args:
        comparison: the table.
        curves: of each of its rows.
        link: returns where a run is found.
    """
    data = to_json(comparison) | {
        "headline": headline(comparison),
        "footnotes": footnotes(comparison),
        "equal": [[key, format_value(value)] for key, value in comparison.equal.items()],
        "not_averaged": asides(comparison, link),
        "running": [],
    }
    for group, row, curve in zip(data["groups"], comparison.rows, curves, strict=True):
        group["runs"] = [
            {"name": run.name, "href": link(run), "seed": run.seed, "value": value}
            for run, value in zip(row.group.runs, group["values"], strict=True)
        ]
        group["settings"] = {key: format_value(value) for key, value in row.group.settings.items()}
        group["curve"] = _without_repetition(curve)
        del group["values"], group["seeds"]
    return rounded(data)


def asides(comparison: Comparison, link: Callable[[Run], str]) -> list[dict[str, Any]]:
    """Return the runs that are not averaged, as the page shows them."""
    return rounded(
        [
            {
                "name": run.name,
                "href": link(run),
                "why": why,
                "step": run.summary.step,
                "value": run.summary.last(comparison.metric)[0],
                "error": run.record.get("error"),
            }
            for run, why in comparison.aside
        ]
    )


def running_curve(run: Run, history: History, metric: str) -> dict[str, Any]:
    """Return a run that is not averaged yet as the page draws it among the groups."""
    curve = _without_repetition(group_curve([history], metric))
    return rounded({"label": run.name, "n": 1, "curve": curve})


def group_curve(histories: Sequence[History], metric: str) -> dict[str, list[float]]:
    """Return a group's learning curve: its mean, and the lowest and highest run around it.

    Args:
        histories: rows of its runs.
        metric: what the curve shows.

    Returns:
        Lists of equal length, at most ``MAX_POINTS``: ``steps``, ``seconds`` since a run's first row (NaN where the
        files tell no time), ``mean``, ``low``, ``high`` and ``n``, the number of runs that reached that step. A run
        counts from its first to its last finite value and is interpolated between them.
    """
    curves = [_curve(history, metric) for history in histories]
    curves = [curve for curve in curves if curve.size]
    if not curves:
        return {name: [] for name in ("steps", "seconds", "mean", "low", "high", "n")}
    grid = np.unique(np.concatenate([curve[0] for curve in curves]))
    if grid.size > MAX_POINTS:
        grid = np.linspace(grid[0], grid[-1], MAX_POINTS)
        curves = [_thinned(curve, grid) for curve in curves]
    values = np.array([_at(grid, curve[0], curve[2]) for curve in curves])
    seconds = np.array([_at(grid, curve[0], curve[1]) for curve in curves])
    reached = np.isfinite(values)
    some = reached.any(axis=0)
    count = reached.sum(axis=0)
    known = np.isfinite(seconds)
    elapsed = np.where(known, seconds, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    columns = {
        "steps": grid,
        "seconds": np.where(known.any(axis=0), elapsed, np.nan),
        "mean": np.where(reached, values, 0.0).sum(axis=0) / np.maximum(count, 1),
        "low": np.where(reached, values, np.inf).min(axis=0),
        "high": np.where(reached, values, -np.inf).max(axis=0),
        "n": count,
    }
    return {name: column[some].tolist() for name, column in columns.items()}


def _without_repetition(curve: dict[str, list[float]]) -> dict[str, Any]:
    """Return the curve with null for a bound that is the mean, which saves half of a single run's."""
    bounds = {name: None for name in ("low", "high") if curve[name] == curve["mean"]}
    return curve | bounds


def _curve(history: History, metric: str) -> np.ndarray:
    """Return ``[3, num_points] float64``: steps, seconds since the first row, values, all values finite."""
    if metric not in history.names:
        return np.empty((3, 0))
    steps, times, values = history.column(metric)
    finite = np.isfinite(values) & np.isfinite(steps)
    known = history.times[np.isfinite(history.times)]
    start = known[0] if known.size else math.nan
    return np.stack([steps[finite], times[finite] - start, values[finite]])


def _thinned(curve: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return the curve with the points nearest to one grid step averaged."""
    nearest = np.rint((curve[0] - grid[0]) / (grid[1] - grid[0])).astype(int)
    places, first = np.unique(nearest, return_index=True)
    if np.any(np.diff(nearest) < 0):
        curve = curve[:, np.argsort(nearest, kind="stable")]
        places, first = np.unique(np.sort(nearest), return_index=True)
    counts = np.diff([*first, curve.shape[1]])
    means = np.add.reduceat(curve, first, axis=1) / counts
    means[0] = grid[places]
    return means


def _at(grid: np.ndarray, steps: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.interp(grid, steps, values, left=np.nan, right=np.nan)


def _link(run: Run, folder: str) -> str:
    return f"{quote(os.fsencode(os.path.relpath(os.path.abspath(run.name), folder)))}/"


def rounded(value: Any) -> Any:
    """Return plain values with floats at five digits, and null for what JSON has no number for."""
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return int(value) if isinstance(value, np.integer) else value


def assemble(data: dict[str, Any], *, live: bool = False) -> str:
    """Return the page that shows some data; a live one asks its server for newer."""
    # no character that could end the script element or begin a tag is left in the data
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return _fill(
        _read("page.html"),
        {
            "style": _read("page.css"),
            "script": "\n".join(map(_read, (*SCRIPTS, "live.js") if live else SCRIPTS)),
            "data": text,
            "connect": "; connect-src 'self'" if live else "",
        },
    )


def _fill(template: str, parts: dict[str, str]) -> str:
    """Return the template with each ``{{name}}`` replaced; what is put in is not looked at again."""
    page: Sequence[str] = template.split("{{")
    filled = [page[0]]
    for piece in page[1:]:
        name, _, rest = piece.partition("}}")
        filled += [parts[name], rest]
    return "".join(filled)


def _read(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")
