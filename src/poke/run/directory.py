"""The run directory: unique naming, lock, status and provenance. Imports no torch.

``run.json`` is the run's own account of itself. It is written whole, to a temporary file that is synced and
renamed, so that whoever reads it sees either the old account or the new one.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

SCHEMA_VERSION = 1
MAX_DIFF_BYTES = 5_000_000


class RunDirectoryError(RuntimeError):
    """A run directory that cannot be used; the message is one line."""


def create_run_directory(base: Path) -> Path:
    """Create ``BASE/YYYY-MM-DD/HH-MM-SS-xxxx`` and return it.

    The four random hex digits and the exclusive creation give every one of many runs started in one
    second a directory of its own.
    """
    while True:
        now = datetime.now()
        path = base / f"{now:%Y-%m-%d}" / f"{now:%H-%M-%S}-{secrets.token_hex(2)}"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path


def locate_run(where: str) -> tuple[Path, Path | None]:
    """Return the run directory that a run directory or one of its checkpoint files names, and that file.

    Raises:
        RunDirectoryError: nothing is there, or it belongs to no run.
    """
    path = Path(where)
    if path.is_dir():
        return path, None
    if not path.is_file():
        raise RunDirectoryError(f"{where} does not exist")
    run_dir = path.absolute().parent.parent
    if path.suffix != ".pt" or not (run_dir / "config.yaml").is_file():
        raise RunDirectoryError(f"{where} is no checkpoint inside a run directory")
    return run_dir, path


class RunDirectory:
    """One run's directory, held by one process at a time.

    Args:
        path: an existing directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.account: dict[str, Any] = {}
        self._lock = FileLock(path / ".lock")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the directory's lock.

        Raises:
            RunDirectoryError: another process holds it; the message names the holder.
        """
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            holder = read_json(self.path / "run.json") or {}
            who = f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
            raise RunDirectoryError(f"{self.path} is in use by {who}") from None
        try:
            yield
        finally:
            self._lock.release()

    def begin(self, config: Mapping[str, Any], config_yaml: str, **fields: Any) -> None:
        """Write the config and the first account of a new run.

        Args:
            config: the resolved config.
            config_yaml: the same as YAML.
            fields: command, overrides, seed, device, parent, init_from.
        """
        self._write_config(config, config_yaml)
        self.account = {
            "schema_version": SCHEMA_VERSION,
            "name": f"{self.path.absolute().parent.name}/{self.path.absolute().name}",
            "status": "running",
            "started": utc_now(),
            "ended": None,
            **_whereabouts(),
            **self._code(),
            **fields,
            "resumes": [],
            "exact_resume": True,
            "step": 0,
            "epoch": 0,
            "final": {},
            "best": None,
            "error": None,
            "exit_reason": None,
        }
        self._write()

    def begin_again(
        self, config: Mapping[str, Any], config_yaml: str, resume: Mapping[str, Any]
    ) -> None:
        """Note in the account that the run goes on.

        Args:
            config: the resolved config, overrides of this resume included.
            config_yaml: the same as YAML.
            resume: step, checkpoint and overrides of this resume.

        Raises:
            RunDirectoryError: the directory holds no account.
        """
        account = read_json(self.path / "run.json")
        if account is None:
            raise RunDirectoryError(f"{self.path / 'run.json'} is missing or damaged")
        self._write_config(config, config_yaml)
        self.account = account
        resumes = [*account.get("resumes", []), {"time": utc_now(), **resume}]
        self.update(
            status="running",
            ended=None,
            error=None,
            exit_reason=None,
            resumes=resumes,
            **_whereabouts(),
        )

    def update(self, **fields: Any) -> None:
        """Change fields of the account, on disk before the return."""
        self.account.update(fields)
        self._write()

    def end(self, status: str, **fields: Any) -> None:
        """Write how the run ended.

        Args:
            status: finished, failed or interrupted.
            fields: exit_reason, error and whatever else is known by now.
        """
        self.update(status=status, ended=utc_now(), **fields)

    def _write_config(self, config: Mapping[str, Any], config_yaml: str) -> None:
        write_text(self.path / "config.yaml", config_yaml)
        write_json(self.path / "config.json", config)

    def _write(self) -> None:
        write_json(self.path / "run.json", self.account)

    def _code(self) -> dict[str, Any]:
        """Which commit this is, leaving what differs from it in ``git.diff``."""
        status = _git("status", "--porcelain=v2", "--branch", "--untracked-files=no")
        if status is None:
            return {"git": None}
        lines = status.decode(errors="replace").splitlines()
        head = {
            line.split()[1]: line.split(maxsplit=2)[2] for line in lines if line.startswith("# ")
        }
        dirty = any(not line.startswith("#") for line in lines)
        if dirty:
            diff = _git("diff", "HEAD") or b""
            if len(diff) > MAX_DIFF_BYTES:
                diff = diff[:MAX_DIFF_BYTES] + b"\n[cut here: the diff is longer]\n"
            (self.path / "git.diff").write_bytes(diff)
        commit = head.get("branch.oid")
        return {"git": {"commit": commit, "branch": head.get("branch.head"), "dirty": dirty}}


def utc_now() -> str:
    """Return the time as ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat()


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file, or None where there is none that can be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def write_text(path: Path, text: str) -> None:
    """Replace a file's text so that no reader and no crash ever meets half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a JSON file, as `write_text` does."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def _whereabouts() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "cwd": os.getcwd(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "executable": sys.executable,
        "packages": _packages(),
    }


@functools.cache
def _packages() -> dict[str, str]:
    """Name and version of every installed distribution, sorted; by folder names, since reading each takes a second."""
    found: dict[str, str] = {}
    for folder in sys.path:
        for info in Path(folder).glob("*.dist-info"):
            name, _, version = info.name.removesuffix(".dist-info").partition("-")
            found.setdefault(name.replace("_", "-"), version)
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def _git(*arguments: str) -> bytes | None:
    command: Sequence[str] = ("git", *arguments)
    try:
        done = subprocess.run(command, capture_output=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
