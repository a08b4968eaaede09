"""A run's own account of itself, run.json, in one form whichever poke wrote it.

That form is version 2's: ``sessions`` has an entry for every process that worked on the run, ``parent``
says what it was forked from or took its weights from. Version 1 knew the machine and the packages of
the last process only, and its resumes as a list.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from poke.comparison.reading.files import read_text

try:
    import fcntl
except ImportError:  # a system without flock
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = ".lock"
WHEREABOUTS = ("host", "pid", "cwd", "python", "platform", "executable", "packages")

Shape = tuple[type, ...]
NOTHING = type(None)
TEXT, MAPPING, LIST = (str, NOTHING), (dict, NOTHING), (list, NOTHING)
SCALAR = (str, int, float, NOTHING)
# What readers of an account rely on; everything else in it is shown as it is.
SHAPES: dict[str, Shape] = {
    **dict.fromkeys(("status", "name", "started", "ended", "error", "exit_reason", "device"), TEXT),
    **dict.fromkeys(("best", "final", "parent", "data", "defaults"), MAPPING),
    **dict.fromkeys(("sessions", "overrides", "bookkeeping"), LIST),
    "seed": SCALAR,
}
SESSION_SHAPES: dict[str, Shape] = {
    **dict.fromkeys(("started", "ended", "host", "cwd", "exit_reason", "checkpoint"), TEXT),
    **dict.fromkeys(("changed", "packages", "code", "poke"), MAPPING),
    **dict.fromkeys(("command", "overrides"), LIST),
    **dict.fromkeys(("from_step", "to_step"), SCALAR),
}
LISTS_OF_TEXT = ("overrides", "command", "bookkeeping")

Record = dict[str, Any]
Session = Mapping[str, Any]


def read_record(path: str) -> tuple[Record, list[str]]:
    """Read a run's account.

    Returns:
        The account, in which what has another shape than it should have is None, and the names of
        what has.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a mapping in JSON.
    """
    try:
        record = json.loads(read_text(path))
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    if not isinstance(record, dict):
        raise ValueError("is not a mapping")
    if "sessions" not in record:
        record = _from_version_1(record)
    odd = _drop_misshapen(record, SHAPES)
    sessions = record["sessions"] or []
    record["sessions"] = [session for session in sessions if isinstance(session, dict)]
    if len(record["sessions"]) < len(sessions):
        odd.append("sessions")
    packages: Any = None
    for session in record["sessions"]:
        odd += [f"sessions.{name}" for name in _drop_misshapen(session, SESSION_SHAPES)]
        # null where they are the same as in the session before
        packages = session["packages"] = session.get("packages") or packages
    return record, list(dict.fromkeys(odd))


def without_packages(record: Record) -> Record:
    """Return the account without its lists of packages, which are most of it."""
    sessions = [
        {key: value for key, value in session.items() if key != "packages"}
        for session in record["sessions"]
    ]
    return record | {"sessions": sessions}


def sessions_of(record: Record) -> Sequence[Session]:
    """Return the run's sessions, oldest first; none for a run of another program."""
    return record.get("sessions", ())


def last_session(record: Record) -> Session:
    """Return the newest session; an empty one where there is none."""
    sessions = sessions_of(record)
    return sessions[-1] if sessions else {}


def changes_of(session: Session) -> dict[str, tuple[Any, Any]]:
    """Return the settings that a session changed, with the values before and after."""
    changed = session.get("changed")
    if not isinstance(changed, dict):
        return {}
    pairs = {key: pair for key, pair in changed.items() if isinstance(pair, list)}
    return {key: (pair[0], pair[1]) for key, pair in pairs.items() if len(pair) == 2}


def is_held(directory: str) -> bool | None:
    """Tell whether a process holds a run directory's lock; None where the file system cannot say."""
    if fcntl is None:
        return None
    try:
        lock = os.open(os.path.join(directory, LOCK_FILE), os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(lock)  # and with it what it held


def _drop_misshapen(part: Record, shapes: Mapping[str, Shape]) -> list[str]:
    """Put None in the place of values that are not of their shape, and return their names."""
    odd = [name for name, shape in shapes.items() if not isinstance(part.get(name), shape)]
    part.update(dict.fromkeys(odd))
    for name in LISTS_OF_TEXT:
        if part.get(name):
            part[name] = list(map(str, part[name]))
    return odd


def _from_version_1(old: Record) -> Record:
    resumes = old.get("resumes") if isinstance(old.get("resumes"), list) else []
    resumes = [resume for resume in resumes or [] if isinstance(resume, dict)]
    git = old.get("git") if isinstance(old.get("git"), dict) else None
    code = git and {**git, "diff": "git.diff" if git.get("dirty") else None}
    begun: list[Record] = []
    if old.get("started"):
        first = {"started": old["started"], "from_step": 0, "code": code, "packages": None}
        begun.append(first | {key: old.get(key) for key in ("command", "overrides")})
        begun += [
            {
                "started": resume.get("time"),
                "from_step": resume.get("step"),
                "packages": None,
                **{key: resume.get(key) for key in ("command", "overrides", "checkpoint")},
            }
            for resume in resumes
        ]
        begun[-1] |= {key: old.get(key) for key in (*WHEREABOUTS, "ended", "exit_reason")}
        begun[-1]["to_step"] = old.get("step") if old.get("ended") else None
    record = {
        key: value for key, value in old.items() if key not in (*WHEREABOUTS, "resumes", "git")
    }
    parent = old.get("init_from")
    record["parent"] = {"run": parent, "how": "init_from"} if parent else None
    return record | {"sessions": begun}
