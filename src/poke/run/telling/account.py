"""``run.json``: the run's account of itself, from created to finished, one session a process. Imports no torch.

The states and what may follow each::

    created -> running -> finished | failed | interrupted
    running again, from any of them, by a resume

It is written whole, so that whoever reads it sees the old account or the new one, and it can be written on a full disk:
a little space is held in reserve while a process works on the run.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poke.config.migrations import CONFIG_FORMAT
from poke.config.saved import from_folders, read_run
from poke.run.files import read_json, utc_now, write_json

SCHEMA_VERSION = 2
FILE_NAME = "run.json"
RESERVE_NAME = ".reserve"
RESERVE_BYTES = 1 << 16
AFTER: dict[str | None, tuple[str, ...]] = {
    None: ("created",),
    "created": ("running", "failed", "interrupted"),
    "running": ("running", "finished", "failed", "interrupted"),
    "finished": ("running",),
    "failed": ("running",),
    "interrupted": ("running",),
}


class Account:
    """What a run says of itself.

    Args:
        run_dir: the run's directory.
        values: as read from run.json; empty for a run that is yet to be created.
    """

    def __init__(self, run_dir: Path, values: Mapping[str, Any] | None = None) -> None:
        self._run_dir = run_dir
        self.values: dict[str, Any] = dict(values or {})

    @classmethod
    def of(cls, run_dir: Path) -> Account:
        """Read a run's account, in today's form whatever its age; one that is lost or damaged is begun anew."""
        values = read_json(run_dir / FILE_NAME)
        if values is None:
            return cls(run_dir, _blank(run_dir) | {"status": "interrupted"})
        return cls(run_dir, _upgraded(values))

    @property
    def sessions(self) -> list[dict[str, Any]]:
        """One entry a process, oldest first."""
        return self.values["sessions"]

    @property
    def folders(self) -> list[str]:
        """Working directories that relative paths of the config may mean, the likeliest first."""
        known = [session.get("cwd") for session in reversed(self.sessions)]
        return list(dict.fromkeys([*filter(None, known), str(Path.cwd())]))

    @property
    def config_format(self) -> int:
        """Of the run's saved config."""
        return int(self.values.get("config_format", 1))

    def create(self, session: Mapping[str, Any], **fields: Any) -> None:
        """Write the first account of a new run.

        Args:
            session: of this process.
            fields: seed, device, parent, overrides, and of the config the keys that are bookkeeping and the defaults.

        Raises:
            OSError: the file system refused.
        """
        self.values = _blank(self._run_dir) | {"started": utc_now(), **fields}
        self.values["sessions"] = [_opened(session, 0)]
        self._reserve()
        self._enter("created")

    def go_on(self, session: Mapping[str, Any], step: int, **fields: Any) -> None:
        """Note that another process goes on with the run, from a step on.

        Args:
            session: of this process.
            step: where it starts.
            fields: bookkeeping and defaults.

        Raises:
            OSError: the file system refused.
        """
        self.values |= {
            "schema_version": SCHEMA_VERSION,
            "config_format": CONFIG_FORMAT,
            "name": _name(self._run_dir),
            "ended": None,
            "error": None,
            "cause": None,
            "rank": None,
            "exit_reason": None,
        }
        known = next((s["packages"] for s in reversed(self.sessions) if s.get("packages")), None)
        session = _opened(session, step)
        if session["packages"] == known:
            session["packages"] = None
        self.sessions.append(session)
        self._reserve()
        self._enter("running", **fields)

    def run(self, session: Mapping[str, Any], **fields: Any) -> None:
        """Note that training begins, and what is known of session and run by now."""
        self.sessions[-1].update(session)
        self._enter("running", **fields)

    def beat(self) -> None:
        """Touch the file: a sign of life for whoever cannot ask the run's lock."""
        with contextlib.suppress(OSError):
            os.utime(self._run_dir / FILE_NAME)

    def update(self, **fields: Any) -> None:
        """Change fields, on disk before the return.

        Raises:
            OSError: the file system refused; they are as they were.
        """
        values = {**self.values, **fields}
        self._write(values)
        self.values = values

    def end(self, status: str, *, exit_reason: str, step: int | None, **fields: Any) -> None:
        """Write how the run, and this session, ended.

        Args:
            status: finished, failed or interrupted.
            exit_reason: in a few words.
            step: where it is; None if training never began.
            fields: error, final, best and whatever else is known by now.

        Raises:
            OSError: not even the space in reserve helped.
        """
        now = utc_now()
        to_step = self.sessions[-1]["from_step"] if step is None else step
        self.sessions[-1].update(ended=now, to_step=to_step, exit_reason=exit_reason)
        if step is not None:
            fields["step"] = step
        self._enter(status, ended=now, exit_reason=exit_reason, **fields)
        (self._run_dir / RESERVE_NAME).unlink(missing_ok=True)

    def _enter(self, status: str, **fields: Any) -> None:
        before = self.values.get("status")
        assert status in AFTER[before], f"{before} -> {status}"
        self.update(status=status, **fields)

    def _reserve(self) -> None:
        """Hold some space, so that a full disk cannot keep the run from saying how it ended."""
        (self._run_dir / RESERVE_NAME).write_bytes(b"\xff" * RESERVE_BYTES)

    def _write(self, values: Mapping[str, Any]) -> None:
        path = self._run_dir / FILE_NAME
        try:
            write_json(path, values)
        except OSError:
            with contextlib.suppress(OSError):
                (self._run_dir / RESERVE_NAME).unlink(missing_ok=True)
            write_json(path, values)


def read_config(run_dir: Path) -> dict[str, Any]:
    """Return the config of a run as it is to be used from here: brought up to date, its relative paths found again.

    Raises:
        ConfigError: no config there, or one of a newer poke.
    """
    account = Account.of(run_dir)
    saved = read_run(run_dir, version=account.config_format)
    return from_folders(saved.plain, account.folders)


def _blank(run_dir: Path) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "config_format": CONFIG_FORMAT,
        "name": _name(run_dir),
        "status": None,
        "started": None,
        "ended": None,
        "seed": None,
        "device": None,
        "parent": None,
        "overrides": [],
        "data": None,
        "bookkeeping": None,
        "defaults": None,
        "sessions": [],
        "exact_resume": True,
        "inexact_reason": None,
        "step": 0,
        "epoch": 0,
        "final": {},
        "best": None,
        "error": None,
        "cause": None,
        "ranks": 1,
        "rank": None,  # whose doing it was that it failed
        "exit_reason": None,
    }


def _name(run_dir: Path) -> str:
    return f"{run_dir.absolute().parent.name}/{run_dir.absolute().name}"


def _opened(session: Mapping[str, Any], step: int) -> dict[str, Any]:
    return {
        "started": utc_now(),
        "ended": None,
        "from_step": step,
        "to_step": None,
        **session,
        "exit_reason": None,
    }


_OF_A_PROCESS = ("host", "pid", "cwd", "python", "platform", "executable", "packages")


def _upgraded(values: dict[str, Any]) -> dict[str, Any]:
    """Return an account of schema 1, which kept one process, the latest, at its top, as one of sessions."""
    if "sessions" in values:
        return values
    values = dict(values)
    process = {key: values.pop(key, None) for key in _OF_A_PROCESS}
    git = values.pop("git", None)
    first = {"time": values.get("started"), "step": 0, "command": values.pop("command", [])}
    first["overrides"] = values.get("overrides", [])
    sessions = [
        {
            "started": begun.get("time"),
            "ended": None,
            "from_step": begun.get("step", 0),
            "to_step": None,
            "command": begun.get("command", []),
            "overrides": begun.get("overrides", []),
            "changed": {},
            "checkpoint": begun.get("checkpoint"),
            "accepted_data": None,
            **dict.fromkeys(_OF_A_PROCESS),
            "poke": None,
            "code": None,
            "exit_reason": "not recorded",  # of all but the last
        }
        for begun in [first, *values.pop("resumes", [])]
    ]
    sessions[0]["code"] = git
    sessions[-1] |= process | {
        "ended": values.get("ended"),
        "to_step": values.get("step") if values.get("ended") else None,
        "exit_reason": values.get("exit_reason"),
    }
    warm = values.pop("init_from", None)
    if warm and not values.get("parent"):
        values["parent"] = {"run": warm, "file": None, "step": None, "how": "init_from"}
    values.pop("schema_version", None)
    return {**values, "config_format": 1, "sessions": sessions}
