"""The run directory: its name, who holds it, whether it is free. Imports no torch."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from poke.run.files import read_json

LOCK_NAME = ".lock"
# Whoever only asks whether a run lives holds its lock for some microseconds.
LOCK_SECONDS = 0.5
SIGNS_OF_A_RUN = ("run.json", "metrics.csv", "checkpoints")


class RunDirectoryError(RuntimeError):
    """A run directory that cannot be used; the message is one line."""


def create_run_directory(base: Path) -> Path:
    """Create ``BASE/YYYY-MM-DD/HH-MM-SS-xxxx`` and return it.

    The four random hex digits and the exclusive creation give every one of many runs started in one
    second a directory of its own.

    Raises:
        RunDirectoryError: nothing can be created there.
    """
    while True:
        now = datetime.now()
        path = base / f"{now:%Y-%m-%d}" / f"{now:%H-%M-%S}-{secrets.token_hex(2)}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir()
        except FileExistsError:
            if path.exists():
                continue
            raise RunDirectoryError(f"{path.parent} cannot be made: a file is in its way") from None
        except OSError as error:
            raise RunDirectoryError(f"{path} cannot be made: {error.strerror}") from error
        return path


def locate_run(where: str) -> tuple[Path, Path | None]:
    """Return the run directory that a run directory or one of its checkpoint files names, and that file.

    Raises:
        RunDirectoryError: nothing is there, or it belongs to no run.
    """
    path = Path(where)
    if path.is_dir():
        if not (path / "config.yaml").is_file():
            raise RunDirectoryError(f"{where} is no run directory: it holds no config.yaml")
        return path, None
    if not path.is_file():
        raise RunDirectoryError(f"{where} does not exist")
    run_dir = path.absolute().parent.parent
    if path.suffix != ".pt" or not (run_dir / "config.yaml").is_file():
        raise RunDirectoryError(f"{where} is no checkpoint inside a run directory")
    return run_dir, path


def holds_a_run(path: Path) -> bool:
    """Whether a run was begun in a directory."""
    return any((path / name).exists() for name in SIGNS_OF_A_RUN)


def is_held(path: Path) -> bool:
    """Whether a process holds a directory's lock, which ends with the process, whatever ends it and wherever it runs.

    The lock is only tried, for some microseconds.
    """
    try:
        descriptor = os.open(path / LOCK_NAME, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)  # which gives it back
    return False


class RunDirectory:
    """One run's directory, held by one process at a time.

    Args:
        path: the directory.
        made: whether this process has just made it, so that it may take it away again.
    """

    def __init__(self, path: Path, *, made: bool = False) -> None:
        self.path = path
        self.made = made
        self._lock = FileLock(path / LOCK_NAME)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the directory's lock; may be nested.

        Raises:
            RunDirectoryError: another process holds it (the message names the holder), or it cannot be used.
        """
        try:
            self._lock.acquire(timeout=LOCK_SECONDS, poll_interval=0.02)
        except Timeout:
            raise RunDirectoryError(f"{self.path} is in use by {self._holder()}") from None
        except OSError as error:
            raise RunDirectoryError(
                f"{self._lock.lock_file} cannot be used: {error.strerror}"
            ) from error
        try:
            yield
        finally:
            self._lock.release()

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold the directory for a new run, creating it where it is missing.

        Raises:
            RunDirectoryError: it holds a run, is in use, or cannot be made.
        """
        self._refuse_a_run()
        try:
            self.made = self.made or not self.path.exists()
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunDirectoryError(f"{self.path} cannot be made: {error.strerror}") from error
        with self.held():
            self._refuse_a_run()  # somebody may have been as quick
            yield

    def take_away(self) -> None:
        """Remove a directory that this process made for a run which was refused, and its day's, if it is empty."""
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):
            self.path.parent.rmdir()

    def _refuse_a_run(self) -> None:
        if not holds_a_run(self.path):
            return
        raise RunDirectoryError(
            f"{self.path} holds a run already: resume={self.path} goes on with it"
        )

    def _holder(self) -> str:
        account = read_json(self.path / "run.json") or {}
        who = (account.get("sessions") or [account])[-1]
        return f"process {who.get('pid', '?')} on {who.get('host', '?')}"
