"""Where a run came from and who worked on it: sessions, ancestors, code, data."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

from poke.comparison.reading.discovery import RECORD_FILE
from poke.comparison.reading.record import (
    Record,
    Session,
    changes_of,
    last_session,
    read_record,
    sessions_of,
)
from poke.comparison.reading.run import Run, instant_of
from poke.comparison.showing.layout import format_seconds
from poke.comparison.statistics.grouping import format_value

HASH_DIGITS = 10
MAIN_PACKAGES = ("poke", "torch", "numpy", "hydra-core", "gymnasium", "poke_env")


def whole_record(directory: str) -> Record:
    """Return a run's account with its packages, an empty one where it cannot be read."""
    try:
        return read_record(os.path.join(directory, RECORD_FILE))[0]
    except (OSError, ValueError):
        return {}


def origin_lines(record: Record) -> list[str]:
    """Return the code and the packages of the newest session, and the command that repeats the run."""
    lines = []
    session = last_session(record)
    code = _newest_code(record)
    if code:
        dirty = " and uncommitted changes (git.diff)" if code.get("diff") else ""
        commit = str(code.get("commit"))[:HASH_DIGITS]
        lines.append(f"code: {commit} on {code.get('branch')}{dirty}{_kept(code)}")
    if session.get("packages"):
        packages = packages_of(session)
        main = [f"{name} {packages[name]}" for name in MAIN_PACKAGES if name in packages]
        rest = f"{len(packages) - len(main)} other packages"
        lines.append(f"python {session.get('python')} with {', '.join([*main, rest])}")
    lines += [f"data: {data}" for data in [describe_data(record.get("data"))] if data]
    first = next(iter(sessions_of(record)), {})
    if first.get("command"):
        cwd = first.get("cwd") or session.get("cwd")
        where = f"cd {shlex.quote(str(cwd))} && " if cwd else ""
        lines.append(f"repeat: {where}{shlex.join(map(str, first['command']))}")
    return lines


def session_lines(run: Run) -> list[str]:
    """Return a line for every process that worked on the run."""
    sessions = sessions_of(run.record)
    lines: list[str] = []
    for number, (session, later) in enumerate(zip_longest(sessions, sessions[1:]), 1):
        begun, ended = instant_of(session.get("started")), instant_of(session.get("ended"))
        at_work = later is None and run.status in ("created", "running")
        parts = [f"{begun:%Y-%m-%d %H:%M:%S} UTC" if begun else "begun at a time unknown"]
        if begun and ended:
            parts.append(format_seconds((ended - begun).total_seconds()))
        parts.append(f"step {_step(session, 'from_step')} -> {_step(session, 'to_step')}")
        if session.get("host"):
            parts.append(f"host {session['host']}")
        unknown = "at work" if at_work else "killed" if "ended" in session else ""
        parts.append(str(session.get("exit_reason") or ("" if ended else unknown)))
        if session.get("checkpoint"):
            parts.append(f"from {session['checkpoint']}")
        parts += [f"changed {key} {change}" for key, change in _changes(session).items()]
        if session.get("accepted_data"):
            parts.append(f"accepted data {describe_data(session['accepted_data'])}")
        lines.append(f"session {number}: {', '.join(part for part in parts if part)}")
    return lines


def parent_path(record: Record) -> str | None:
    """Return the path of what a run was forked from or took its weights from, None where it began by itself."""
    parent = record.get("parent")
    if not parent or not parent.get("run"):
        return None
    cwd = next(iter(sessions_of(record)), {}).get("cwd") or last_session(record).get("cwd")
    return os.path.abspath(os.path.join(str(cwd or ""), str(parent["run"])))


def ancestor_lines(run: Run) -> list[str]:
    """Return what the run was forked from or took its weights from, and so on to the first."""
    lines: list[str] = []
    record, met = run.record, {os.path.abspath(run.name)}
    while path := parent_path(record):
        parent = record["parent"]
        what = "weights from" if parent.get("how") == "init_from" else "forked from"
        step = "" if parent.get("step") is None else f" at step {parent['step']}"
        line = f"{what} {parent['run']}{step}"
        if path in met:
            return [*lines, f"{line}, which descends from itself"]
        met.add(path)
        record = whole_record(path)
        lines.append(f"{line} ({record.get('status') or 'no run there now'})")
    return lines


def describe_data(data: Any) -> str:
    """Return a data fingerprint in short; nothing where there is none."""
    if not isinstance(data, dict):
        return ""
    source = data.get("source")
    names = source if isinstance(source, list) else [source]  # of several files each
    parts = [str(part) for part in (*names, data.get("file")) if part]
    parts += [
        f"{data[key]:,} {key}" for key in ("rows", "episodes") if isinstance(data.get(key), int)
    ]
    if data.get("content"):
        parts.append(f"content {str(data['content'])[:HASH_DIGITS]}")
    return ", ".join(parts)


def code_of(record: Record) -> dict[str, Any]:
    """Return what identifies the code of the newest session: of the user's directory, and of poke."""
    session = last_session(record)
    code = _newest_code(record)
    own = {key: code[key] for key in ("commit", "branch", "dirty") if key in code}
    poke = session.get("poke") if isinstance(session.get("poke"), dict) else {}
    return own | {f"poke {key}": value for key, value in (poke or {}).items()}


def packages_of(session: Session) -> dict[str, Any]:
    """Return a session's packages; torch's version is what torch itself says."""
    packages = dict(session.get("packages") or {})
    return packages | ({"torch": session["torch"]} if session.get("torch") else {})


def changes_on_the_way(record: Record) -> dict[str, str]:
    """Return the settings that sessions changed, each with its values and the steps of the changes."""
    changes: dict[str, str] = {}
    for session in sessions_of(record):
        for key, change in _changes(session).items():
            told = f"{change} at step {_step(session, 'from_step')}"
            changes[key] = f"{changes[key]}, {told}" if key in changes else told
    return changes


def _newest_code(record: Record) -> dict[str, Any]:
    codes = (session.get("code") for session in reversed(sessions_of(record)))
    return next((code for code in codes if isinstance(code, dict)), {})


def _changes(session: Session) -> dict[str, str]:
    pairs = changes_of(session).items()
    return {key: f"{format_value(old)} -> {format_value(new)}" for key, (old, new) in pairs}


def _step(session: Session, key: str) -> str:
    return "?" if session.get(key) is None else str(session[key])


def _kept(code: Mapping[str, Any]) -> str:
    untracked = code.get("untracked") or []
    if not untracked:
        return ""
    files = "1 untracked file" if len(untracked) == 1 else f"{len(untracked)} untracked files"
    return f" and {files}" + (f" (kept in {code['kept_in']})" if code.get("kept_in") else "")
