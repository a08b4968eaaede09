"""One run in full, and two runs side by side."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from poke.comparison.errors import ComparisonError
from poke.comparison.reading.checkpoints import read_checkpoints
from poke.comparison.reading.directories import read_record
from poke.comparison.reading.discovery import RECORD_FILE
from poke.comparison.reading.metrics import infer_mode
from poke.comparison.reading.run import Run
from poke.comparison.showing.layout import align, format_number
from poke.comparison.statistics.grouping import MISSING, format_value

MAX_CHECKPOINTS = 12
HASH_DIGITS = 10
MAIN_PACKAGES = ("poke", "torch", "numpy", "hydra-core", "gymnasium", "poke_env")


def show(run: Run) -> str:
    """Return what a run was, where it came from, how it went, and the command that repeats it."""
    record = run.record
    lines = [f"{run.name}: {run.status}{_parenthesis(record.get('exit_reason'))}"]
    if record.get("error"):
        lines.append(f"error: {record['error']}")
    lines += [_when(run), *_origin(_account(run.name)), *_lineage(run)]
    lines += [f"! {problem}" for problem in run.problems]
    lines += ["", *_metrics(run)]
    lines += ["", *_checkpoints(run)]
    config = [[key, format_value(value)] for key, value in run.config.items()]
    lines += ["", *(align(["setting", "value"], config, 2) if config else ["no config"])]
    return "\n".join(lines) + "\n"


def diff(first: Run, second: Run) -> str:
    """Return in what two runs differ: config, metrics, git and packages."""
    lines: list[str] = []
    sections: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [
        ("config", first.config, second.config),
        ("metrics", _measures(first), _measures(second)),
        ("git", first.record.get("git") or {}, second.record.get("git") or {}),
        ("packages", _environment(first), _environment(second)),
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


def format_seconds(seconds: float) -> str:
    """Return a duration in its two largest units."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    for large, name, small, fine in (
        (days, "d", hours, "h"),
        (hours, "h", minutes, "min"),
        (minutes, "min", rest, "s"),
    ):
        if large:
            return f"{large} {name} {small} {fine}"
    return f"{rest} s"


def _when(run: Run) -> str:
    started, ended = run.instant("started"), run.instant("ended")
    parts = []
    if started:
        parts.append(f"started {started.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")
        until = ended or datetime.fromtimestamp(run.modified_seconds, UTC)
        parts.append(f"took {format_seconds((until - started).total_seconds())}")
    if not math.isnan(run.summary.step):
        parts.append(f"reached step {format_number(run.summary.step)}")
    for key in ("host", "device"):
        if run.record.get(key):
            parts.append(f"{key} {run.record[key]}")
    if run.seed is not None:
        parts.append(f"seed {run.seed}")
    return ", ".join(parts) or "no record of when it ran"


def _origin(record: Mapping[str, Any]) -> list[str]:
    lines = []
    git = record.get("git") or {}
    if git:
        dirty = " and uncommitted changes (git.diff)" if git.get("dirty") else ""
        lines.append(f"code: {str(git.get('commit'))[:HASH_DIGITS]} on {git.get('branch')}{dirty}")
    packages = record.get("packages") or {}
    if packages:
        main = [f"{name} {packages[name]}" for name in MAIN_PACKAGES if name in packages]
        rest = f"{len(packages) - len(main)} other packages"
        lines.append(f"python {record.get('python')} with {', '.join([*main, rest])}")
    if record.get("command"):
        where = f"cd {shlex.quote(str(record['cwd']))} && " if record.get("cwd") else ""
        lines.append(f"repeat: {where}{shlex.join(map(str, record['command']))}")
    return lines


def _lineage(run: Run) -> list[str]:
    lines = [
        f"resumed {resume.get('time', '')} at step {resume.get('step')} from {resume.get('checkpoint')}"
        f"{_parenthesis(' '.join(resume.get('overrides') or []))}"
        for resume in run.record.get("resumes") or []
        if isinstance(resume, dict)
    ]
    if run.record.get("init_from"):
        lines.append(f"weights from {run.record['init_from']}")
    record, met = run.record, {os.path.abspath(run.name)}
    while parent := record.get("parent"):
        path = os.path.join(str(record.get("cwd") or ""), str(parent))
        if os.path.abspath(path) in met:
            lines.append(f"child of {parent}, which descends from itself")
            break
        met.add(os.path.abspath(path))
        record = _account(path)
        lines.append(f"child of {parent}{_parenthesis(record.get('status') or 'not found')}")
    return lines


def _account(directory: str) -> dict[str, Any]:
    """Return a run's whole record, nothing where it cannot be read."""
    try:
        return read_record(os.path.join(directory, RECORD_FILE))
    except (OSError, ValueError):
        return {}


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


def _environment(run: Run) -> dict[str, Any]:
    account = _account(run.name)
    python = {"python": account["python"]} if "python" in account else {}
    return python | (account.get("packages") or {})


def _shown(values: Mapping[str, Any], key: str) -> str:
    return format_value(values[key]) if key in values else MISSING


def _parenthesis(text: object) -> str:
    return f" ({text})" if text else ""
