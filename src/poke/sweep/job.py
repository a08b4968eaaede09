"""What a job of a sweep does: nothing where it is finished, go on where it was stopped, else run."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from poke.config import composing
from poke.config.identity import changes
from poke.config.knobs import ConfigError
from poke.config.saved import read_run
from poke.config.validation import validate
from poke.run import life
from poke.run.directory import RunDirectory
from poke.run.files import read_json
from poke.run.identity import change_since
from poke.run.starts import Task
from poke.run.telling.account import Account
from poke.run.telling.causes import OUTSIDE
from poke.sweep import naming, worker
from poke.sweep.ticket import Ticket

LOOK_SECONDS = 0.5

# Here, since a worker process imports this module before it asks for a job's directory.
naming.register_resolver()


class JobFailed(RuntimeError):
    """A job that failed; the message is its error in one line."""


class JobChanged(ConfigError):
    """A job's directory holds results of another config, and `sweep.on_change` is error.

    Args:
        name: the job's directory name.
        changes: as of `changed_keys`, or `changed_data`.
        run: how the job was run otherwise.
    """

    def __init__(self, name: str, changes: Sequence[str], run: str = "with another config") -> None:
        super().__init__(name, changes, run)
        self.name, self.changes, self.run = name, changes, run

    def __str__(self) -> str:
        return (
            f"{self.name} was run {self.run}: {', '.join(self.changes)} "
            "(sweep.on_change=rerun runs it again, sweep.on_change=ignore keeps it)"
        )


@dataclass(frozen=True)
class SweepJob:
    """Hydra's task function for the jobs of a sweep; safe to call twice for the same job.

    Args:
        ticket: the job's leave to run.
        command: the sweep's command line, for run.json.
    """

    ticket: Ticket
    command: tuple[str, ...]

    def __call__(self, composed: DictConfig) -> float | None:
        """Bring the job to its end and return its objective; None where the sweep was stopped.

        Raises:
            JobFailed: the run failed.
            ConfigError: a mistake in the config, or results of another config in the directory.
        """
        plain = composing.to_plain(composed)
        validate(plain)
        about = HydraConfig.get()
        run_dir = Path(about.runtime.output_dir)
        with worker.at_work():
            return self._bring_to_its_end(plain, run_dir, list(about.overrides.task))

    def _bring_to_its_end(
        self, plain: dict[str, Any], run_dir: Path, overrides: list[str]
    ) -> float | None:
        with _free(run_dir, self.ticket) as granted:
            todo = decide(run_dir, plain) if granted else None
            if todo == "run" and (run_dir / "run.json").exists():
                set_aside(run_dir)
        if todo is None:
            return None
        if todo == "nothing":
            return objective(read_json(run_dir / "run.json"), plain)
        if todo == "resume":
            return self._end_of(self._resume(plain, run_dir, overrides), plain)
        return self._end_of(self._begin(plain, run_dir, overrides), plain)

    def _begin(self, plain: dict[str, Any], run_dir: Path, overrides: list[str]) -> life.Outcome:
        task = Task(overrides=overrides, **self._told(plain))
        return life.begin(plain, RunDirectory(run_dir), task)

    def _resume(self, plain: dict[str, Any], run_dir: Path, overrides: list[str]) -> life.Outcome:
        account = Account.of(run_dir)
        had_failed = account.values["status"] == "failed"
        try:
            saved = read_run(run_dir, version=account.config_format)
            validate(saved.plain)
            return life.resume(saved, RunDirectory(run_dir), None, Task(**self._told(plain)))
        except ConfigError as error:
            if not had_failed or _on_failed(plain) != "auto":
                raise
            print(f"{run_dir.name} begins again: {error}")
            with RunDirectory(run_dir).held():
                set_aside(run_dir)
            return self._begin(plain, run_dir, overrides)

    def _told(self, plain: dict[str, Any]) -> dict[str, Any]:
        return {
            "command": self.command,
            "should_stop": self.ticket.why_stop,
            "report": self._reporter(plain),
        }

    def _end_of(self, outcome: life.Outcome, plain: dict[str, Any]) -> float | None:
        if outcome.exit_status > 128 and self.ticket.is_own_process():
            # The run has taken the sweep's signal for itself; its handlers are back by now.
            signal.raise_signal(outcome.exit_status - 128)
        if outcome.status == "failed":
            if plain["sweep"]["fail_fast"]:
                self.ticket.withdraw()
            raise JobFailed(outcome.error)
        return outcome.objective

    def _reporter(self, plain: dict[str, Any]) -> Callable[..., str | None] | None:
        if plain["sweep"]["trial"] is None:
            return None
        from poke.sweep.study import reporter

        pruner = HydraConfig.get().sweeper.pruner
        number = plain["sweep"]["trial"]
        return reporter(Path(self.ticket.sweep_dir), number, pruner, plain["checkpoint"])


def decide(run_dir: Path, plain: Mapping[str, Any]) -> str:
    """Return what is left to do in a job's directory: run, resume or nothing.

    Args:
        run_dir: the job's directory, in nobody's use.
        plain: the job's composed config.

    Raises:
        JobChanged: the directory holds results of another config, and `sweep.on_change` is error.
    """
    account = read_json(run_dir / "run.json")
    if account is None:
        return "run"
    on_change, on_failed = plain["sweep"]["on_change"], _on_failed(plain)
    if account["status"] == "failed":
        if on_failed == "rerun" or not _has_checkpoint(run_dir):
            return "run"
        if on_failed == "auto":
            # Another config may be what mends it; what was the run's own doing, it would do again.
            mended = check_same(run_dir, account, plain)
            return "resume" if account.get("cause") == OUTSIDE and not mended else "run"
    if on_change != "ignore":
        changed = check_same(run_dir, account, plain)
        if changed and on_change == "rerun":
            return "run"
        if changed:
            raise changed
    return "nothing" if account["status"] == "finished" else "resume"


def _on_failed(plain: Mapping[str, Any]) -> str:
    return str(
        plain["sweep"].get("on_failed", "auto")
    )  # a primary config of a user's own may lack it


def _has_checkpoint(run_dir: Path) -> bool:
    """Whether there is a checkpoint to go on from; whether it is good is seen when it is read."""
    return any(run_dir.glob("checkpoints/checkpoint_*.pt"))


def check_same(
    run_dir: Path, account: Mapping[str, Any], plain: Mapping[str, Any]
) -> JobChanged | None:
    """Return the error that says in what a job's config or data differ from those it was run with, if they do."""
    if data := changed_data(account, plain.get("data", {})):
        return JobChanged(run_dir.name, data, "on other data")
    keys = changed_keys(run_dir, account, plain)
    return JobChanged(run_dir.name, keys) if keys else None


def changed_keys(run_dir: Path, account: Mapping[str, Any], plain: Mapping[str, Any]) -> list[str]:
    """Return the keys in which a run's stored config differs from another, as ``key: stored -> other``.

    Keys that change no result are left out, and `device=auto` is the device that the run found.
    """
    stored = read_json(run_dir / "config.json")
    if stored is None:
        return []
    return changes(stored, plain, device=account.get("device"))


def changed_data(account: Mapping[str, Any], data: Mapping[str, Any]) -> list[str]:
    """Return the line that says how the data a run was trained on has changed since, if it has and that matters.

    Args:
        account: the run's run.json.
        data: its config's `data` group.
    """
    if data.get("on_change") == "accept":
        return []
    folders = [s["cwd"] for s in reversed(account.get("sessions") or []) if s.get("cwd")]
    change = change_since(account.get("data"), [*folders, str(Path.cwd())])
    return [change] if change else []


def objective(account: Mapping[str, Any] | None, plain: Mapping[str, Any]) -> float | None:
    """Return the best value of `checkpoint.monitor` that an account holds."""
    best = (account or {}).get("best")
    if best and best["metric"] == plain["checkpoint"]["monitor"]:
        return float(best["value"])
    return None


def set_aside(run_dir: Path) -> Path:
    """Move an earlier attempt's files to ``.aside/`` of the sweep, so that nothing is lost, and return where to."""
    folder = run_dir.parent / naming.ASIDE
    folder.mkdir(exist_ok=True)
    attempt = 1 + sum(1 for _ in folder.glob(f"{run_dir.name}.*"))
    kept = folder / f"{run_dir.name}.{attempt}"
    kept.mkdir()
    for item in run_dir.iterdir():
        if item.name == ".hydra":  # written by Hydra for the attempt that begins
            shutil.copytree(item, kept / item.name)
        elif item.name != ".lock":
            os.replace(item, kept / item.name)
    return kept


@contextmanager
def _free(run_dir: Path, ticket: Ticket) -> Iterator[bool]:
    """Hold the run directory, waiting for a worker of a killed sweep to leave it; false once the sweep is stopped."""
    lock = FileLock(run_dir / ".lock")
    said = False
    while ticket.why_stop() is None:
        try:
            lock.acquire(timeout=LOOK_SECONDS)
        except Timeout:
            if not said:
                holder = read_json(run_dir / "run.json") or {}
                print(f"waiting for process {holder.get('pid', '?')} to leave {run_dir.name}")
                said = True
            continue
        try:
            yield True
        finally:
            lock.release()
        return
    yield False
