"""The ways a process comes to train: a run begins, goes on, or branches off another."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from omegaconf import DictConfig, OmegaConf

from poke.config.identity import bookkeeping, defaults
from poke.config.knobs import ConfigError
from poke.config.saved import RECORDINGS, UNRESOLVED, SavedConfig, from_folders
from poke.run.files import sweep, write_json, write_text
from poke.run.identity import accepted_change
from poke.run.signals import Signals
from poke.run.telling.account import Account
from poke.run.telling.messages import log, shown
from poke.run.telling.provenance import packages, poke_itself, whereabouts

if TYPE_CHECKING:
    from poke.run.experiment import Experiment
    from poke.training.checkpointing import Checkpoint
    from poke.training.trainer import Report


@dataclass(frozen=True)
class Task:
    """What this process was asked to do.

    Args:
        command: the command line.
        overrides: what the user changed by it.
        signals: those it heeds already; by default it begins to now.
        should_stop: asked twice a second; answers with a reason to stop, or None.
        report: told of every evaluation; answers with a reason to end the run early, or None.
        began: when it began, in seconds of `time.monotonic`.
    """

    command: Sequence[str] = ()
    overrides: Sequence[str] = ()
    signals: Signals | None = None
    should_stop: Callable[[], str | None] | None = None
    report: Report | None = None
    began: float = field(default_factory=time.monotonic)


class Start(Protocol):
    """One of the ways a process comes to train."""

    config: dict[str, Any]  # as it is used here
    account: Account
    touches_first: bool  # whether the directory is the process's own from the first moment

    def open(self, run_dir: Path) -> None:
        """Before torch is imported: make sure of the directory."""

    def prepare(self, experiment: Experiment) -> None:
        """Bring the parts into the state to start from; nothing on disk changes."""

    def take_over(self, experiment: Experiment) -> None:
        """Write into config and account that this process goes on; from here on, the directory is its own."""

    def commit(self, experiment: Experiment) -> None:
        """Bring checkpoints and sinks into that state too."""


class Beginning:
    """A new run, in a directory that is its own from the first moment.

    Args:
        config: resolved and validated.
        unresolved: the same with its interpolations; None where Hydra keeps that.
        task: what this process was asked to do.
    """

    touches_first = True

    def __init__(
        self, config: Mapping[str, Any], unresolved: DictConfig | None, task: Task
    ) -> None:
        self.config = dict(config)
        self._unresolved = unresolved
        self._task = task

    def open(self, run_dir: Path) -> None:
        """Write config and account: from here on it is a run, which can be resumed."""
        self.account = Account(run_dir)
        _write_config(run_dir, self.config, self._unresolved)
        self.account.create(
            _session(self._task, packages=packages()),
            seed=self.config["seed"],
            device=self.config["device"],
            overrides=list(self._task.overrides),
            parent=self._parent(),
            **_identity(self.config),
        )

    def _parent(self) -> dict[str, Any] | None:
        path = self.config["init_from"]["path"]
        return path and {"run": path, "file": None, "step": None, "how": "init_from"}

    def prepare(self, experiment: Experiment) -> None:
        """Take the weights over that `init_from` names, where it names any."""
        experiment.warm_start(self.config["init_from"])

    def take_over(self, experiment: Experiment) -> None:
        """It has been this process's from the first moment."""

    def commit(self, experiment: Experiment) -> None:
        """Open checkpoints and sinks, which nobody else may write to.

        Raises:
            ConfigError: another run does.
        """
        experiment.begin()


class Fork(Beginning):
    """A new run that starts from the whole state of another.

    Args:
        saved: the other's config, changes included.
        parent: the other's directory; only read.
        file: its checkpoint; the newest good one by default.
        task: what this process was asked to do.
    """

    def __init__(self, saved: SavedConfig, parent: Path, file: Path | None, task: Task) -> None:
        here = [str(Path.cwd())] if RECORDINGS & saved.changed.keys() else []
        plain = from_folders(saved.plain, [*here, *Account.of(parent).folders])
        super().__init__(plain, saved.unresolved, task)
        self._saved = saved
        self._run = parent
        self._file = file

    def open(self, run_dir: Path) -> None:
        """As a new run; tell what the other's config says in other words today."""
        super().open(run_dir)
        for note in self._saved.notes:
            log.info("%s", note)

    def _parent(self) -> dict[str, Any]:
        return {"run": str(self._run.absolute()), "file": None, "step": None, "how": "fork"}

    def prepare(self, experiment: Experiment) -> None:
        """Restore the whole state of the other's checkpoint.

        Raises:
            ConfigError: it has none, or its data is another now.
        """
        checkpoint = experiment.find(self._run, self._file)
        if checkpoint is None:
            raise ConfigError(f"fork={shown(self._run)}: it has no checkpoint to start from")
        theirs = Account.of(self._run).values
        on_change = self.config["data"].get("on_change", "error")
        recorded = checkpoint.metadata.data or theirs["data"]
        accepted = _accepted(recorded, experiment.data, on_change)
        _restore(experiment, checkpoint, self._saved)
        step = checkpoint.metadata.step
        log.info("starting from the whole state of %s at step %d", checkpoint.path, step)
        self.account.values["parent"] |= {
            "file": f"checkpoints/{checkpoint.path.name}",
            "step": step,
        }
        self.account.values["step"] = step
        changed = {key: list(pair) for key, pair in self._saved.changed.items()}
        self.account.sessions[-1].update(from_step=step, changed=changed, accepted_data=accepted)

    def commit(self, experiment: Experiment) -> None:
        """Open checkpoints and sinks of its own; what the other's hold stays there.

        Raises:
            ConfigError: another run writes to one of them.
        """
        experiment.branch_off()


class Resumption:
    """A run that goes on in its directory, which is left alone until everything is restored.

    Args:
        saved: its config, changes included.
        file: the checkpoint to go on from; the newest good one by default.
        task: what this process was asked to do.
    """

    touches_first = False

    def __init__(self, saved: SavedConfig, file: Path | None, task: Task) -> None:
        self._saved = saved
        self._file = file
        self._task = task
        self._checkpoint: Checkpoint | None = None
        self._accepted: Mapping[str, Any] | None = None

    def open(self, run_dir: Path) -> None:
        """Read the account; write nothing."""
        self._run_dir = run_dir
        self.account = Account.of(run_dir)
        here = [str(Path.cwd())] if RECORDINGS & self._saved.changed.keys() else []
        self.config = from_folders(self._saved.plain, [*here, *self.account.folders])

    def prepare(self, experiment: Experiment) -> None:
        """Restore the checkpoint; without one, begin again.

        Raises:
            ConfigError: the data is another now, or it is a fork without a checkpoint of its own.
        """
        for note in self._saved.notes:
            log.info("%s", note)
        checkpoint = experiment.find(self._run_dir, self._file)
        self._checkpoint = checkpoint
        recorded = self.account.values.get("data")
        if checkpoint is not None:
            recorded = checkpoint.metadata.data or recorded
        on_change = self.config["data"].get("on_change", "error")
        self._accepted = _accepted(recorded, experiment.data, on_change)
        if checkpoint is None:
            parent = self.account.values.get("parent") or {}
            if parent.get("how") == "fork":  # to begin again would be to begin with nothing of it
                raise ConfigError(
                    f"it was stopped before it had a checkpoint of its own: fork={parent['run']} again"
                )
            log.info("it was stopped before its first step: beginning again")
            experiment.warm_start(self.config["init_from"])
            return
        _restore(experiment, checkpoint, self._saved)
        log.info("resuming from %s at step %d", checkpoint.path, checkpoint.metadata.step)

    def take_over(self, experiment: Experiment) -> None:
        """Write the config as it is now and a new session, which says from which checkpoint and with what changes."""
        for folder in (self._run_dir, (self._run_dir / UNRESOLVED).parent):
            sweep(folder)
        _write_config(self._run_dir, self._saved.plain, self._saved.unresolved)
        session = _session(self._task, packages=packages())
        session["changed"] = {key: list(pair) for key, pair in self._saved.changed.items()}
        session["accepted_data"] = self._accepted
        if self._checkpoint is not None:
            session["checkpoint"] = f"checkpoints/{self._checkpoint.path.name}"
        about = _identity(self._saved.plain)
        self.account.go_on(session, experiment.trainer.step, **about)

    def commit(self, experiment: Experiment) -> None:
        """Take back what sinks and checkpoints were told after the checkpoint."""
        if self._checkpoint is None:
            experiment.begin_again()
        else:
            experiment.go_on_from(self._checkpoint)


def _accepted(
    recorded: Mapping[str, Any] | None, now: Mapping[str, Any] | None, on_change: str
) -> Mapping[str, Any] | None:
    """The fingerprint of data that was changed since, if that is accepted, which is said."""
    change = accepted_change(recorded, now, on_change)
    if change is None:
        return None
    log.warning("data.on_change=accept: %s", change)
    return now


def _restore(experiment: Experiment, checkpoint: Checkpoint, saved: SavedConfig) -> None:
    from poke.training.checkpointing import CheckpointError

    try:
        experiment.restore(checkpoint)
    except CheckpointError as error:
        changed = ", ".join(f"{key}={new}" for key, (_, new) in saved.changed.items())
        raise CheckpointError(f"{error} (with {changed})" if changed else str(error)) from error


def _session(task: Task, **fields: Any) -> dict[str, Any]:
    return {
        "command": list(task.command),
        "overrides": list(task.overrides),
        "changed": {},
        "checkpoint": None,
        "accepted_data": None,
        **whereabouts(),
        **fields,
        "poke": poke_itself(),
        "code": None,
    }


def _identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """What one must know to tell whether another run's config means the same."""
    return {"bookkeeping": bookkeeping(config), "defaults": defaults(config)}


def _write_config(run_dir: Path, config: Mapping[str, Any], unresolved: DictConfig | None) -> None:
    write_text(run_dir / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(dict(config))))
    write_json(run_dir / "config.json", config)
    if unresolved is not None:
        (run_dir / UNRESOLVED).parent.mkdir(exist_ok=True)
        write_text(run_dir / UNRESOLVED, OmegaConf.to_yaml(unresolved))
