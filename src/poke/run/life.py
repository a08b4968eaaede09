"""What happens to a run from its first moment to its last: begin, resume, end, and the account of it in run.json."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from omegaconf import OmegaConf

from poke.config.knobs import ConfigError
from poke.run.directory import RunDirectory
from poke.run.experiment import Experiment
from poke.run.signals import Interrupted, Signals
from poke.training.checkpointing import CheckpointManager
from poke.training.trainer import Report
from poke.training.writers import TerminalHandler

log = logging.getLogger("poke")


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Args:
        status: finished, failed or interrupted.
        exit_status: for the process: 0, 1, 2 for a mistake in the config, 128 + N after signal N.
        objective: the best value of `checkpoint.monitor`, for sweepers; None where there was none.
        error: one line; None unless failed.
    """

    status: str
    exit_status: int
    objective: float | None
    error: str | None


def run(
    config: Mapping[str, Any],
    path: Path,
    *,
    overrides: Sequence[str],
    command: Sequence[str],
    should_stop: Callable[[], str | None] | None = None,
    report: Report | None = None,
) -> Outcome:
    """Run an experiment in a directory of its own.

    Args:
        config: the resolved, validated config.
        path: the run directory; exists.
        overrides: what the user changed, for run.json.
        command: the command line, for run.json.
        should_stop: asked twice a second; answers with a reason to stop, or None.
        report: told of every evaluation; answers with a reason to end the run early, or None.

    Raises:
        RunDirectoryError: another process holds the directory.
    """
    directory = RunDirectory(path)
    with directory.held():
        directory.begin(
            config,
            _yaml(config),
            command=list(command),
            overrides=list(overrides),
            seed=config["seed"],
            device=config["device"],
            parent=None,
            init_from=config["init_from"]["path"],
        )

        def start(experiment: Experiment) -> None:
            experiment.warm_start(config["init_from"])

        return _execute(config, directory, start, should_stop, report)


def resume(
    config: Mapping[str, Any],
    path: Path,
    checkpoint: Path | None,
    *,
    overrides: Sequence[str],
    command: Sequence[str],
    should_stop: Callable[[], str | None] | None = None,
    report: Report | None = None,
) -> Outcome:
    """Go on with a run, in place.

    Args:
        config: the run's own saved config, overrides of this resume included.
        path: the run directory.
        checkpoint: the file to go on from; the newest good one by default.
        overrides: what the user changed now, for run.json.
        command: the command line, for run.json.
        should_stop: asked twice a second; answers with a reason to stop, or None.
        report: told of every evaluation; answers with a reason to end the run early, or None.

    Raises:
        RunDirectoryError: another process holds the directory.
    """
    directory = RunDirectory(path)
    with directory.held():

        def start(experiment: Experiment) -> None:
            found = experiment.restore(checkpoint)
            if found is None:
                experiment.warm_start(config["init_from"])
            note = {
                "step": experiment.trainer.step,
                "checkpoint": f"checkpoints/{found.name}" if found else None,
                "overrides": list(overrides),
                "command": list(command),
            }
            directory.begin_again(config, _yaml(config), note)

        return _execute(config, directory, start, should_stop, report)


def _execute(
    config: Mapping[str, Any],
    directory: RunDirectory,
    start: Callable[[Experiment], None],
    should_stop: Callable[[], str | None] | None,
    report: Report | None,
) -> Outcome:
    """Build, start, train, close, and write into the account how it went."""
    experiment = None
    with _messages(directory.path), Signals(should_stop) as signals:
        try:
            with signals.interrupting():
                experiment = Experiment(config, directory.path)
                start(experiment)
            if not getattr(experiment.source, "exact_resume", True):
                directory.update(exact_resume=False)
            log.info("run directory %s", _shown(directory.path))
            experiment.logger.log_config(config)
            experiment.trainer.report = report
            signals.deliver_to(experiment.trainer.stop)
            finished = experiment.trainer.fit()
            experiment.close()
        except (Exception, Interrupted) as error:
            return _broken_off(directory, experiment, signals, error)
        return _completed(directory, experiment, signals, finished)


def _completed(
    directory: RunDirectory, experiment: Experiment, signals: Signals, finished: bool
) -> Outcome:
    """The loop ended by itself or by a signal, and all is on disk."""
    facts = _facts(experiment)
    status = "finished" if finished else "interrupted"
    at_its_end = experiment.trainer.end_reason or "reached trainer.max_steps"
    reason = at_its_end if finished else signals.reason
    directory.end(status, exit_reason=reason, **facts)
    best = facts["best"]
    about_best = (
        f", best {best['metric']} {best['value']:.6g} at step {best['step']}" if best else ""
    )
    log.info("%s at step %d%s: %s", status, facts["step"], about_best, _shown(directory.path))
    if not finished:
        log.info("go on with: python -m poke.train resume=%s", _shown(directory.path))
    exit_status = 0 if finished else 128 + signals.received
    return Outcome(status, exit_status, best["value"] if best else None, None)


def _broken_off(
    directory: RunDirectory,
    experiment: Experiment | None,
    signals: Signals,
    error: BaseException,
) -> Outcome:
    """Something was raised: say what it was in one line and keep what can be kept."""
    facts = _facts(experiment) if experiment is not None else {}
    if isinstance(error, Interrupted):
        log.info("interrupted before training began: %s", _shown(directory.path))
        outcome = Outcome("interrupted", 128 + signals.received, None, None)
        reason = signals.reason
    else:
        wrapped = isinstance(error, InstantiationException) and error.__cause__ is not None
        cause = error.__cause__ if wrapped else error
        assert cause is not None
        # train.log takes debug records, the terminal does not
        log.debug("traceback", exc_info=cause)
        after = f" after step {facts['step']}" if facts else ""
        place = _shown(directory.path / "train.log")
        log.error("poke: failed%s: %s (traceback in %s)", after, _one_line(cause), place)
        # A value refused while the parts are built is a mistake in what was asked for.
        mistaken = ValueError if experiment is None else ConfigError
        status = 2 if isinstance(cause, mistaken) else 1
        outcome = Outcome("failed", status, None, _one_line(cause))
        reason = type(cause).__name__
    if experiment is not None:
        _save_what_is_left(experiment)
        for close in (experiment.logger.close, experiment.checkpoints.close):
            try:
                close()
            except Exception as second:  # the first error is the one to report
                log.error("while closing: %s", _one_line(second))
    if directory.account:  # empty when a resume failed: the account of the run before stands
        directory.end(outcome.status, error=outcome.error, exit_reason=reason, **facts)
    return outcome


def _save_what_is_left(experiment: Experiment) -> None:
    """Keep the state that training reached; the batch that broke it is already out of the source."""
    trainer = experiment.trainer
    if trainer.step == 0:
        return
    try:
        path = experiment.checkpoints.save_emergency(trainer.components, trainer.metadata())
    except Exception as error:
        log.error("no emergency checkpoint: %s", _one_line(error))
    else:
        log.info("the state before it is in %s, for init_from", _shown(path))


def _facts(experiment: Experiment) -> dict[str, Any]:
    """What run.json tells of the training itself."""
    trainer = experiment.trainer
    final = {**trainer.last_evaluation, **trainer.metrics()}
    return {
        "step": trainer.step,
        "epoch": experiment.source.epoch,
        "final": {k: v if math.isfinite(v) else None for k, v in final.items()},
        "best": _best(experiment.checkpoints, *experiment.monitor),
        "device": str(experiment.device),
    }


def _best(checkpoints: CheckpointManager, monitor: str, mode: str) -> dict[str, Any] | None:
    best = checkpoints.best_metadata()
    if best is None:
        return None
    return {"metric": monitor, "mode": mode, "value": best.metrics[monitor], "step": best.step}


def _yaml(config: Mapping[str, Any]) -> str:
    return OmegaConf.to_yaml(OmegaConf.create(dict(config)))


def _shown(path: Path) -> str:
    """The path as short as a person would type it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return (
        text
        if isinstance(error, (ConfigError, ValueError)) and text
        else f"{type(error).__name__}: {text}"
    )


@contextmanager
def _messages(path: Path) -> Iterator[None]:
    """Show the messages of the run on the terminal and keep them, with tracebacks, in its train.log."""
    terminal = TerminalHandler()
    terminal.setLevel(logging.INFO)
    terminal.setFormatter(logging.Formatter("%(message)s"))
    file = logging.FileHandler(path / "train.log", encoding="utf-8")
    file.setFormatter(logging.Formatter("%(message)s"))
    before = log.level, log.propagate
    log.setLevel(logging.DEBUG)
    log.propagate = False
    for handler in (terminal, file):
        log.addHandler(handler)
    try:
        yield
    finally:
        for handler in (terminal, file):
            log.removeHandler(handler)
            handler.close()
        log.level, log.propagate = before
