"""One run in full, and two runs side by side."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from poke.comparison.errors import ComparisonError
from poke.comparison.reading.checkpoints import read_checkpoints
from poke.comparison.reading.metrics import infer_mode
from poke.comparison.reading.record import Record, last_session
from poke.comparison.reading.run import Run
from poke.comparison.showing.layout import align, format_number, format_seconds, printable
from poke.comparison.showing.lineage import (
    ancestor_lines,
    changes_on_the_way,
    code_of,
    origin_lines,
    packages_of,
    session_lines,
    whole_record,
)
from poke.comparison.statistics.grouping import MISSING, format_value

MAX_CHECKPOINTS = 12


def show(run: Run) -> str:
    """Return what a run was, where it came from, how it went, and the command that repeats it."""
    record = run.record
    lines = [f"{run.name}: {run.status}{_parenthesis(record.get('exit_reason'))}"]
    if record.get("error"):
        lines.append(f"error: {record['error']}")
    whole = whole_record(run.name)
    lines += [_when(run), *origin_lines(whole), *ancestor_lines(run)]
    lines += session_lines(run)
    lines += [f"! {key} changed: {told}" for key, told in changes_on_the_way(whole).items()]
    lines += [f"! {problem}" for problem in run.problems]
    lines += ["", *_metrics(run)]
    lines += ["", *_checkpoints(run)]
    config = [[key, format_value(value)] for key, value in run.config.items()]
    lines += ["", *(align(["setting", "value"], config, 2) if config else ["no config"])]
    return "\n".join(map(printable, lines)) + "\n"


def diff(first: Run, second: Run) -> str:
    """Return in what two runs differ: config, what was changed on the way, metrics, data, code, packages."""
    lines: list[str] = []
    one, two = whole_record(first.name), whole_record(second.name)
    sections: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [
        ("config", first.config, second.config),
        ("changed on the way", changes_on_the_way(one), changes_on_the_way(two)),
        ("metrics", _measures(first), _measures(second)),
        ("data", one.get("data") or {}, two.get("data") or {}),
        ("code", code_of(one), code_of(two)),
        ("packages", _packages(one), _packages(two)),
    ]
    for title, left, right in sections:
        keys = list(dict.fromkeys([*left, *right]))
        rows = [
            [key, _shown(left, key), _shown(right, key)]
            for key in keys
            if _shown(left, key) != _shown(right, key)
        ]
        equal = len(keys) - len(rows)
        header = [title, first.name, second.name]
        rest = f"{equal} equal" if keys else "none known"
        lines += [*(align(header, rows, 3) if rows else [title]), f"  ({rest})", ""]
    return "\n".join(lines).rstrip() + "\n"


def _when(run: Run) -> str:
    started, ended = run.instant("started"), run.instant("ended")
    parts = []
    if started:
        parts.append(f"started {started:%Y-%m-%d %H:%M:%S} UTC")
        until = ended or datetime.fromtimestamp(run.modified_seconds, UTC)
        parts.append(f"took {format_seconds((until - started).total_seconds())}")
    if not math.isnan(run.summary.step):
        parts.append(f"reached step {format_number(run.summary.step)}")
    about = {"host": last_session(run.record).get("host"), "device": run.record.get("device")}
    parts += [f"{key} {value}" for key, value in about.items() if value]
    if run.seed is not None:
        parts.append(f"seed {run.seed}")
    return ", ".join(parts) or "no record of when it ran"


def _metrics(run: Run) -> list[str]:
    modes = dict([run.monitored]) if run.monitored else {}
    rows = []
    for name in run.summary.measured():
        last, last_step = run.summary.last(name)
        mode = modes.get(name) or infer_mode(name)
        best, best_step = run.summary.best(name, mode) if mode else (math.nan, math.nan)
        known = not math.isnan(best)
        rows.append(
            [
                name,
                format_number(last),
                format_number(last_step),
                format_number(best) if known else "",
                format_number(best_step) if known else "",
            ]
        )
    return (
        align(["metric", "last", "at step", "best", "at step"], rows, 1) if rows else ["no metrics"]
    )


def _checkpoints(run: Run) -> list[str]:
    try:
        checkpoints = read_checkpoints(run.name)
    except ComparisonError as error:
        return [f"! {error}"]
    if not checkpoints:
        return ["no checkpoints"]
    metric = run.monitored[0] if run.monitored else None
    rows = []
    for checkpoint in checkpoints[-MAX_CHECKPOINTS:]:
        value = checkpoint.metrics.get(metric, math.nan) if metric else math.nan
        path = os.path.relpath(checkpoint.path, run.name)
        known = "" if math.isnan(value) else format_number(value)
        best = "best" if checkpoint.is_best else ""
        rows.append([path, best, f"{checkpoint.step}", f"{checkpoint.epoch}", known])
    return align(["checkpoint", "", "step", "epoch", metric or ""], rows, 2)


def _measures(run: Run) -> dict[str, str]:
    """Return the last value of each metric, and the best where the metric's name tells which way that is."""
    measures = {}
    for name in run.summary.measured():
        text = format_number(run.summary.last(name)[0])
        mode = infer_mode(name)
        best, step = run.summary.best(name, mode) if mode else (math.nan, math.nan)
        if not math.isnan(best):
            text += f" (best {format_number(best)} at {format_number(step)})"
        measures[name] = text
    return measures


def _packages(record: Record) -> dict[str, Any]:
    session = last_session(record)
    python = {"python": session["python"]} if session.get("python") else {}
    return python | packages_of(session)


def _shown(values: Mapping[str, Any], key: str) -> str:
    return format_value(values[key]) if key in values else MISSING


def _parenthesis(text: object) -> str:
    return f" ({text})" if text else ""
