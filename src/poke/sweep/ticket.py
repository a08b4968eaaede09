"""A job's leave to run, which the sweep withdraws when it is stopped."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from poke.run.directory import is_held
from poke.run.files import read_json, write_json

TICKET_FILE = ".sweep.json"


@dataclass(frozen=True)
class Ticket:
    """A file in the sweep's directory that says which process runs the sweep; every job looks at it once a while.

    A file reaches every worker, whoever started it and on whichever machine that shares the directory.

    Args:
        sweep_dir: the sweep's directory, absolute.
        token: tells this start of the sweep from an earlier one.
        host: where the sweep's process runs.
        pid: its id.
        jobs_outlive_sweep: true where jobs are the cluster's own and go on without the process that asked for them.
    """

    sweep_dir: str
    token: str
    host: str
    pid: int
    jobs_outlive_sweep: bool = False

    @classmethod
    def issue(cls, sweep_dir: Path, *, jobs_outlive_sweep: bool) -> Ticket:
        """Write a ticket of this process; those of earlier starts are void from now on."""
        ticket = cls(
            sweep_dir=str(sweep_dir.absolute()),
            token=secrets.token_hex(8),
            host=socket.gethostname(),
            pid=os.getpid(),
            jobs_outlive_sweep=jobs_outlive_sweep,
        )
        write_json(ticket.path, asdict(ticket))
        return ticket

    @property
    def path(self) -> Path:
        """The ticket's file."""
        return Path(self.sweep_dir, TICKET_FILE)

    def withdraw(self) -> None:
        """Ask all jobs to save and stop, and none to start."""
        if self._is_current():
            self.path.unlink(missing_ok=True)

    def why_stop(self) -> str | None:
        """Return why jobs must stop, or None while they may go on."""
        if not self._is_current():
            return "the sweep was stopped"
        if not self.jobs_outlive_sweep and not is_held(Path(self.sweep_dir)):
            return "the sweep's process is gone"
        return None

    def is_own_process(self) -> bool:
        """Whether the asking process is the sweep's own."""
        return self.pid == os.getpid() and self.host == socket.gethostname()

    def _is_current(self) -> bool:
        return (read_json(self.path) or {}).get("token") == self.token


@contextmanager
def issued(sweep_dir: Path, *, jobs_outlive_sweep: bool) -> Iterator[Ticket]:
    """Hold a ticket while the sweep runs."""
    ticket = Ticket.issue(sweep_dir, jobs_outlive_sweep=jobs_outlive_sweep)
    try:
        yield ticket
    finally:
        ticket.withdraw()
