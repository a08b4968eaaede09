"""The life of a run in one process: how it begins, goes on or branches off, and every way out of it.

Whatever happens ends in a status in run.json, one line on the terminal and no temporary file. A directory is not
touched before it is known to be free or ours, and what a resume puts away it puts away when everything was restored.
Imports torch only when a run is about to be built.
"""

from __future__ import annotations

import contextlib
import math
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.errors import InstantiationException
from omegaconf import DictConfig

from poke.config.knobs import ConfigError
from poke.config.saved import UNRESOLVED, SavedConfig
from poke.config.validation import run_out_schedule
from poke.distributed.places import place_given
from poke.distributed.ranks import ALONE, RankLostError, Ranks
from poke.run.directory import RunDirectory, RunDirectoryError
from poke.run.signals import Interrupted, Signals
from poke.run.starts import Beginning, Fork, Resumption, Start, Task
from poke.run.telling.alert import Alert
from poke.run.telling.causes import cause_of
from poke.run.telling.following_up import is_first, next_commands, resuming
from poke.run.telling.messages import log, messages, one_line, shown
from poke.run.telling.provenance import packages, user_code
from poke.training.writers import LogFileHandler

if TYPE_CHECKING:
    from poke.distributed.launching import Launched
    from poke.run.experiment import Experiment
    from poke.run.mirror import Mirror


@dataclass(frozen=True)
class Outcome:
    """How a process's work on a run ended.

    Args:
        status: finished, failed or interrupted.
        exit_status: for the process: 0, 1, 2 for a mistake in what was asked for, 128 + N after signal N.
        objective: the best value of `checkpoint.monitor`, for sweepers; None where there was none.
        error: one line; None unless failed.
    """

    status: str
    exit_status: int
    objective: float | None
    error: str | None


def begin(
    config: Mapping[str, Any],
    directory: RunDirectory,
    task: Task,
    *,
    unresolved: DictConfig | None = None,
) -> Outcome:
    """Begin a run.

    Args:
        config: resolved and validated.
        directory: where; free of runs, or an earlier attempt's leftovers that no account speaks of.
        task: what this process was asked to do.
        unresolved: the config with its interpolations, to be kept if Hydra was told not to.

    Raises:
        RunDirectoryError: the directory is in use or cannot be written.
    """
    if (directory.path / UNRESOLVED).is_file():
        unresolved = None
    return _Life(Beginning(config, unresolved, task), directory, task).live()


def resume(saved: SavedConfig, directory: RunDirectory, file: Path | None, task: Task) -> Outcome:
    """Go on with a run, in place.

    Args:
        saved: its config, validated, changes included.
        directory: the run's.
        file: the checkpoint to go on from; the newest good one by default.
        task: what this process was asked to do.

    Raises:
        RunDirectoryError: the directory is in use or cannot be written.
        ConfigError: the run cannot go on like this; its directory is as it was.
    """
    return _Life(Resumption(saved, file, task), directory, task).live()


def fork(
    saved: SavedConfig, parent: Path, file: Path | None, directory: RunDirectory, task: Task
) -> Outcome:
    """Begin a run in a directory of its own with the whole state of another.

    Args:
        saved: the other's config, validated, changes included.
        parent: the other's directory.
        file: its checkpoint to start from; the newest good one by default.
        directory: the new run's; free.
        task: what this process was asked to do.

    Raises:
        RunDirectoryError: the directory is in use or cannot be written.
    """
    return _Life(Fork(saved, parent, file, task), directory, task).live()


def leave_with(exit_status: int) -> None:
    """Note what the process is about to end with, for when a sink's library will not let it end."""
    exits = sys.modules.get("poke.training.logging.exits")  # no run was logged without it
    if exits is not None:
        exits.leave_with(exit_status)


class _Life:
    """Takes a run from its start to one of its ends.

    Args:
        start: how this process comes to train.
        directory: the run's.
        task: what this process was asked to do.
    """

    def __init__(self, start: Start, directory: RunDirectory, task: Task) -> None:
        self._start = start
        self._directory = directory
        self._path = directory.path
        self._task = task
        self._experiment: Experiment | None = None
        self._mirror: Mirror | None = None
        self._ranks: Launched | None = None
        self._is_ours = False  # whether the directory may be written
        self._first_step = 0

    def live(self) -> Outcome:
        """Run, and return how it ended.

        Raises:
            RunDirectoryError: the directory is in use or cannot be written; it is as it was.
        """
        given = self._task.signals
        heeded = contextlib.nullcontext(given) if given else Signals(self._task.should_stop)
        deferred = not self._start.touches_first
        with (
            heeded as signals,
            self._directory.held(),
            messages(self._path, deferred=deferred) as file,
        ):
            assert signals is not None
            try:
                self._start.open(self._path)
            except OSError as error:
                reason = error.strerror or error
                raise RunDirectoryError(f"{self._path} cannot be written: {reason}") from error
            self._is_ours = self._start.touches_first
            options = self._start.config["logger"].get("alert") or {}
            self._alert = Alert(options.get("command"), self._path)
            try:
                return self._train(signals, file)
            except SystemExit as error:
                # Somebody's code, or a scheduler's handler that takes the machine away, ends the process.
                self._break_off(signals, error)
                raise
            except BaseException as error:
                return self._break_off(signals, error)
            finally:
                if self._ranks is not None:
                    self._ranks.close(sys.exception() or Interrupted())
                if self._mirror is not None:
                    self._mirror.close()

    def _train(self, signals: Signals, file: LogFileHandler) -> Outcome:
        with signals.interrupting():
            config = self._start.config
            after_save = None
            if url := config["checkpoint"].get("mirror"):
                from poke.run.mirror import Mirror

                started = self._start.account.values["started"]
                self._mirror = Mirror(self._path, url, str(started))
                after_save = self._mirror.push_soon
            from poke.run.experiment import Experiment

            limit = config["trainer"].get("max_seconds") or math.inf
            experiment = Experiment(
                config,
                self._path,
                deadline=self._task.began + limit,
                after_save=after_save,
                ranks=self._together(config),
            )
            self._experiment = experiment
            self._start.prepare(experiment)
        # From here on, what was before is put away.
        file.begin_writing()
        self._start.take_over(experiment)
        self._is_ours = True
        self._start.commit(experiment)
        if self._mirror is not None:
            self._mirror.begin()
        account, trainer = self._start.account, experiment.trainer
        self._first_step = trainer.step
        session = {"packages": account.sessions[-1]["packages"] and packages()}
        session["code"] = user_code(self._path, len(account.sessions))
        exact = {
            "exact_resume": bool(getattr(experiment.source, "exact_resume", True)),
            "inexact_reason": getattr(experiment.source, "inexact_reason", None),
        }
        used = {
            "device": str(experiment.device),
            "data": experiment.data,
            "ranks": experiment.ranks.size,
        }
        account.run(session, **exact, **used)
        log.info("run directory %s", shown(self._path))
        if not exact["exact_resume"]:
            why = exact["inexact_reason"] or "its environments cannot be copied"
            log.info("a resume begins the episodes under way anew: %s", why)
        if line := run_out_schedule(config):
            log.warning("%s", line)
        experiment.logger.add_probe(self._look_around)
        experiment.logger.log_config(config)
        trainer.report = self._task.report
        signals.deliver_to(trainer.stop, trainer.save_soon)
        finished = experiment.fit()
        if self._ranks is not None:
            self._ranks.close()
        experiment.close("finished" if finished else "interrupted")
        return self._complete(signals, finished)

    def _together(self, config: Mapping[str, Any]) -> Ranks:
        """The processes that are to train: this one, or those that are started now or were with it."""
        size = config["trainer"].get("devices", 1)
        if size == 1 and place_given() is None:
            return ALONE
        from poke.distributed.launching import Launched
        from poke.run.device import device_of

        told = {"config": config, "run_dir": str(self._path.absolute())}
        timeout = config["trainer"].get("rank_timeout", 300)
        device = device_of(config["device"], 0)
        self._ranks = Launched(size, device, timeout, told)
        assert self._ranks.group is not None
        return self._ranks.group

    def _look_around(self) -> dict[str, Any]:
        """A probe, asked whenever a row of metrics is written: show that the run lives, and tell of a NaN."""
        experiment = self._experiment
        assert experiment is not None
        self._start.account.beat()
        if names := experiment.logger.nonfinite:
            self._alert.nonfinite(names[0], experiment.trainer.step)
        return {}

    def _complete(self, signals: Signals, finished: bool) -> Outcome:
        """The loop ended by itself, by a signal or by the clock, and all is on disk."""
        experiment = self._experiment
        assert experiment is not None
        trainer = experiment.trainer
        facts = self._facts()
        status = "finished" if finished else "interrupted"
        reason = trainer.end_reason or "reached trainer.max_steps"
        if not finished:
            reason = trainer.stop_reason or signals.reason
        self._start.account.end(status, exit_reason=reason, **facts)
        best = self._start.account.values["best"]
        if finished:
            about_best = ""
            if best:
                about_best = f", best {best['metric']} {best['value']:.6g} at step {best['step']}"
            why = f" ({trainer.end_reason})" if trainer.end_reason else ""
            place = shown(self._path)
            log.info("finished at step %d%s%s: %s", trainer.step, why, about_best, place)
            self._follow_up(can_go_on=trainer.end_reason is None)
        else:
            how = resuming(self._path)
            log.info("interrupted at step %d, %s; go on with: %s", trainer.step, reason, how)
        self._alert.ended(self._start.account.values)
        exit_status = 128 + signals.received if not finished and signals.received else 0
        return Outcome(status, exit_status, best["value"] if best else None, None)

    def _follow_up(self, *, can_go_on: bool) -> None:
        """Say what to type next, once: to whoever has seen one run begin and end."""
        if len(self._start.account.sessions) > 1 or not is_first(self._path):
            return
        for number, command in enumerate(
            next_commands(self._path, self._start.config, can_go_on=can_go_on)
        ):
            log.info("%s  %s", "    " if number else "next", command)

    def _break_off(self, signals: Signals, error: BaseException) -> Outcome:
        """Something was raised: say what it was in one line and keep what can be kept, whatever fails on the way."""
        if not self._is_ours:
            return self._leave_as_it_was(signals, error)
        if self._directory.made and self._is_refused(error):
            log.error("poke: %s", one_line(_cause(error)))
            self._directory.take_away()
            return Outcome("failed", 2, None, one_line(_cause(error)))
        outcome, reason = self._explain(signals, error)
        facts: dict[str, Any] = {"step": None}
        try:
            if self._experiment is not None:
                self._save_what_is_left(error)
                facts = self._facts()
        except Exception as second:  # the first error is the one to report
            log.error("while breaking off: %s", one_line(second))
        try:
            if self._experiment is not None:
                self._experiment.close(outcome.status)
        except Exception as second:
            if str(second) != str(error):
                log.error("while closing: %s", one_line(second))
        try:
            if outcome.status == "failed":
                facts["cause"] = cause_of(error)
                facts["rank"] = error.rank if isinstance(error, RankLostError) else 0
            self._start.account.end(
                outcome.status, exit_reason=reason, error=outcome.error, **facts
            )
        except Exception as second:
            log.error("run.json could not be written: %s", one_line(second))
        known = self._start.account.values
        how = {"status": outcome.status, "exit_reason": reason, "error": outcome.error}
        self._alert.ended({**known, **how})
        return outcome

    def _is_refused(self, error: BaseException) -> bool:
        """Whether it is poke that cannot do what was asked for; a user's own code leaves a traceback."""
        cause = _cause(error)
        if self._experiment is not None or not isinstance(cause, ValueError):
            return False
        frames = list(traceback.walk_tb(cause.__traceback__))
        return bool(frames) and frames[-1][0].f_globals.get("__name__", "").startswith("poke.")

    def _explain(self, signals: Signals, error: BaseException) -> tuple[Outcome, str]:
        if isinstance(error, Interrupted):
            log.info("interrupted before training began: %s", shown(self._path))
            return Outcome("interrupted", 128 + signals.received, None, None), signals.reason
        if isinstance(error, SystemExit):
            reason = f"SystemExit: {error.code}"
            log.info("%s; go on with: %s", reason, resuming(self._path))
            return Outcome("interrupted", 1, None, None), reason
        cause = _cause(error)
        # train.log takes debug records, the terminal does not
        log.debug("traceback", exc_info=cause)
        step = self._experiment.trainer.step if self._experiment is not None else 0
        after = f" after step {step}" if step else ""
        place = shown(self._path / "train.log")
        log.error("poke: failed%s: %s (traceback in %s)", after, one_line(cause), place)
        # A value refused while the parts are built is a mistake in what was asked for.
        mistaken = ValueError if self._experiment is None else ConfigError
        status = 2 if isinstance(cause, mistaken) else 1
        return Outcome("failed", status, None, one_line(cause)), type(cause).__name__

    def _leave_as_it_was(self, signals: Signals, error: BaseException) -> Outcome:
        """A resume that could not be: the directory and the account of the run stand as they did.

        Raises:
            ConfigError: what was asked for does not fit the run, or what it needs cannot be read.
        """
        if self._experiment is not None:
            self._experiment.logger.abandon()
            with contextlib.suppress(Exception):
                self._experiment.close_parts()
        if isinstance(error, Interrupted | SystemExit):
            log.info("interrupted before it went on; nothing changed: %s", shown(self._path))
            return Outcome("interrupted", 128 + signals.received, None, None)
        cause = _cause(error)
        if isinstance(cause, ValueError | RuntimeError | OSError):
            line = " ".join(str(cause).split())
            raise ConfigError(f"resume={shown(self._path)}: {line}; nothing changed") from cause
        traceback.print_exception(cause, file=sys.stderr)
        log.error("poke: resume=%s: %s; nothing changed", shown(self._path), one_line(cause))
        return Outcome("failed", 1, None, one_line(cause))

    def _save_what_is_left(self, error: BaseException) -> None:
        """Keep the state that training reached; the batch that broke it is already out of the source."""
        from poke.training.checkpointing import CheckpointError

        assert self._experiment is not None
        trainer = self._experiment.trainer
        nothing_new = trainer.step == self._first_step
        if nothing_new or isinstance(error, CheckpointError | Interrupted | SystemExit):
            return
        try:
            path = self._experiment.checkpoints.save_emergency(
                trainer.components, trainer.metadata()
            )
        except Exception as second:
            log.error("no emergency checkpoint: %s", one_line(second))
        else:
            how = f"resume={shown(self._path)} goes on from the checkpoint before it"
            log.info("what the failing step left is in %s; %s", shown(path), how)

    def _facts(self) -> dict[str, Any]:
        """What run.json tells of the training itself; a session that did nothing leaves what the ones before found."""
        experiment = self._experiment
        assert experiment is not None
        trainer = experiment.trainer
        facts: dict[str, Any] = {
            "step": trainer.step,
            "epoch": experiment.source.epoch,
            "device": str(experiment.device),
        }
        final = {**trainer.last_evaluation, **trainer.metrics()}
        if final:
            facts["final"] = {k: v if math.isfinite(v) else None for k, v in final.items()}
        best = experiment.checkpoints.best_metadata()
        if best is not None:
            name, mode = experiment.monitor
            facts["best"] = {
                "metric": name,
                "mode": mode,
                "value": best.metrics[name],
                "step": best.step,
            }
        return facts


def _cause(error: BaseException) -> BaseException:
    wrapped = isinstance(error, InstantiationException) and error.__cause__ is not None
    cause = error.__cause__ if wrapped else error
    assert cause is not None
    return cause
