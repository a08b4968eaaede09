"""Run a sweep from the command line: one at a time in a directory, through whichever sweeper and launcher."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import FileLock, Timeout
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra.core.plugins import Plugins
from hydra.core.utils import configure_log
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, open_dict, read_write

from poke.config import composing
from poke.config.composing import Primary
from poke.config.extras import need
from poke.config.knobs import ConfigError
from poke.run.directory import LOCK_NAME, LOCK_SECONDS, RunDirectoryError, create_run_directory
from poke.run.files import read_json
from poke.run.signals import stopping_signals
from poke.sweep.axes import read_axes
from poke.sweep.checking import check_axes
from poke.sweep.job import JobFailed, SweepJob
from poke.sweep.table import JobRow, SweepTable
from poke.sweep.ticket import TICKET_FILE, Ticket, issued

log = logging.getLogger("poke.sweep")

# Poke's own sweeper and launcher that are named after the library that they need.
BY_LIBRARY = {"hydra/sweeper": "optuna", "hydra/launcher": "ray"}


def run_sweep(primary: Primary, overrides: Sequence[str], command: Sequence[str]) -> int:
    """Bring every job of a sweep to its end and return the exit status.

    Args:
        primary: what all jobs are composed from.
        overrides: Hydra overrides, those of the axes and of Hydra itself included.
        command: the command line, for run.json.

    Returns:
        0 when all jobs are finished, 1 when some are not, 128 + N after signal N.

    Raises:
        ConfigError: a mistake on any axis, a launcher that is not installed, a sweep in another process's hands,
            results of another config.
    """
    with primary.hydra() as hydra, ExitStack() as stack:
        first, overrides = _first_job(primary, hydra, overrides)
        options = first.sweep
        for group, option in BY_LIBRARY.items():
            if first.hydra.runtime.choices[group] == option:
                need(f"{group}={option}", option, "sweep")
        sweep_dir = _placed(first, options.name)
        stack.enter_context(_shown())
        stack.enter_context(_held(sweep_dir, wait=options.on_busy == "wait"))
        outlive = first.hydra.launcher["_target_"].endswith(".SlurmLauncher")
        ticket = stack.enter_context(issued(sweep_dir, jobs_outlive_sweep=outlive))
        stop = stack.enter_context(_StopOnSignal(ticket))
        rows = _swept(first, hydra, SweepJob(ticket, tuple(command)), overrides)
        if not _are_rows(rows):  # the sweeper is not one of poke's own
            table = SweepTable(sweep_dir)
            table.refresh()
            rows = list(table.rows.values())
        return _report(rows, stop)


def _first_job(
    primary: Primary, hydra: Hydra, overrides: Sequence[str]
) -> tuple[DictConfig, list[str]]:
    """Check all jobs, and return the first one's config with Hydra's own part, and all overrides of the sweep.

    It is what the sweep itself goes by: a sweep's own config, with the axes left out as Hydra has it, would lack what
    their options bring, and so what other overrides need.
    """
    given = list(overrides)
    first = check_axes(read_axes(given, hydra.config_loader), primary)
    sweeper = first.hydra.sweeper
    is_ours = str(sweeper._target_).startswith("hydra_plugins.poke_sweepers.")
    if is_ours and sweeper.get("params"):  # a preset or a primary config may name axes too
        given = [*(f"{key}={value}" for key, value in sweeper.params.items()), *given]
        first = check_axes(read_axes(given, hydra.config_loader), primary)
    if first.sweep.get("max_parallel") and not is_ours:
        raise ConfigError("sweep.max_parallel is for hydra/sweeper=grid and hydra/sweeper=optuna")
    return first, given


def _placed(first: DictConfig, name: str | None) -> Path:
    """Make the sweep's directory, tell the jobs of it, and return it."""
    try:
        path = composing.named_directory(first, "sweep")
        if path is None:
            path = Path("multirun", name) if name else create_run_directory(Path("multirun"))
        path.mkdir(parents=True, exist_ok=True)
    except RunDirectoryError as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be made: {error.strerror}") from error
    with read_write(first.hydra), open_dict(first.hydra):
        first.hydra.sweep.dir = str(path)
        # what jobs are composed from
        where = f"hydra.sweep.dir={composing.quoted(path)}"
        first.hydra.overrides.hydra += [where, "hydra.mode=MULTIRUN"]
        first.hydra.mode = RunMode.MULTIRUN
    return path


def _swept(first: DictConfig, hydra: Hydra, job: SweepJob, overrides: Sequence[str]) -> Any:
    """Hand the sweep to its sweeper, as Hydra would, and return what that makes of it."""
    callbacks = Callbacks(first)
    context = HydraContext(config_loader=hydra.config_loader, callbacks=callbacks)
    name = first.hydra.job.config_name
    configure_log(first.hydra.hydra_logging, first.hydra.verbose)
    tasks = [str(o.input_line) for o in composing.parse(overrides) if not o.is_hydra_override()]
    with read_write(first.hydra):
        first.hydra.overrides.task = tasks
    callbacks.on_multirun_start(config=first, config_name=name)
    try:
        sweeper = Plugins.instance().instantiate_sweeper(
            config=first, hydra_context=context, task_function=job
        )
        rows = sweeper.sweep(arguments=tasks)
    except JobFailed:
        return None
    except HydraException as error:  # a sweeper, a launcher or an axis that is not as it must be
        raise ConfigError(composing.in_short(error)) from error
    callbacks.on_multirun_end(config=first, config_name=name)
    return rows


class _StopOnSignal:
    """SIGINT, SIGTERM and SIGHUP stop the sweep: its jobs save and end; a second one ends all processes at once.

    Args:
        ticket: what the jobs go by.
    """

    def __init__(self, ticket: Ticket) -> None:
        self.received = 0
        self._ticket = ticket
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _StopOnSignal:
        for number in stopping_signals():
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            _kill_children()
            os._exit(128 + number)
        self.received = number
        self._ticket.withdraw()
        log.info("poke: stopping; the jobs save first (again to end them at once)")


def _report(rows: Sequence[JobRow], stop: _StopOnSignal) -> int:
    """Say what is not finished and return the exit status."""
    for row in rows:
        row.look()
    failed = [row for row in rows if row.status == "failed"]
    num_finished = sum(row.status == "finished" for row in rows)
    if failed:
        log.info("%s", failure_table(failed, rows))
    log.info("%d of %d jobs finished, %d failed", num_finished, len(rows), len(failed))
    if stop.received:
        return 128 + stop.received
    return 0 if num_finished == len(rows) else 1


def failure_table(failed: Sequence[JobRow], rows: Sequence[JobRow]) -> str:
    """Return a table of failed jobs: job, overrides, error, log.

    Args:
        failed: at least one.
        rows: all jobs, to show only overrides in which they differ.
    """
    keys = dict.fromkeys(key for row in rows for key in row.overrides)
    shown = [key for key in keys if len({str(row.overrides.get(key)) for row in rows}) > 1]
    lines = [("job", "overrides", "error", "log")]
    for row in failed:
        overrides = " ".join(f"{key}={row.overrides[key]}" for key in shown if key in row.overrides)
        error = row.account.get("error") or row.error or ""
        lines.append((row.directory.name, overrides, error, str(row.directory / "train.log")))
    widths = [max(len(line[i]) for line in lines) for i in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(w) for cell, w in zip(line, widths, strict=False)), line[3]])
        for line in lines
    )


def _are_rows(result: Any) -> bool:
    return isinstance(result, list) and all(isinstance(row, JobRow) for row in result)


@contextmanager
def _held(sweep_dir: Path, *, wait: bool) -> Iterator[None]:
    """Hold the sweep's directory, waiting for another process to leave it, or refusing."""
    lock = FileLock(sweep_dir / LOCK_NAME)
    try:
        lock.acquire(timeout=LOCK_SECONDS)
    except Timeout:
        holder = read_json(sweep_dir / TICKET_FILE) or {}
        who = f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
        if not wait:
            raise ConfigError(
                f"{sweep_dir} is being run by {who} (sweep.on_busy=wait waits)"
            ) from None
        log.info("waiting for %s to leave %s", who, sweep_dir)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _shown() -> Iterator[None]:
    """Show the sweep's own messages on the terminal."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    before = log.level, log.propagate
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.level, log.propagate = before


def _kill_children() -> None:
    import psutil

    for process in psutil.Process().children(recursive=True):
        try:
            process.kill()
        except psutil.Error:
            continue
