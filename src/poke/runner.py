"""The only reader of the composed config: instantiate, wire, resume, close."""

from __future__ import annotations

import inspect
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import OmegaConf
from threadpoolctl import threadpool_limits

from poke.schema import ConfigError
from poke.signals import Interrupted, Signals
from poke.training.checkpointing import CheckpointManager, load_components
from poke.training.logging import MetricsLogger
from poke.training.rng import seed_everything
from poke.training.rundir import RunDirectory
from poke.training.timing import StepTimer
from poke.training.trainer import Trainer
from poke.training.warmstart import WarmStartError, fit
from poke.training.writers import ConsoleWriter, TerminalHandler

log = logging.getLogger("poke")

# What a constructor named in the config is given when it has a parameter of that name.
PARTS = ("seed", "device", "environment", "source", "network", "make_network", "action_space")


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
) -> Outcome:
    """Run an experiment in a directory of its own.

    Args:
        config: the resolved, validated config.
        path: the run directory; exists.
        overrides: what the user changed, for run.json.
        command: the command line, for run.json.
        should_stop: asked twice a second; answers with a reason to stop, or None.

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

        return _execute(config, directory, start, should_stop)


def resume(
    config: Mapping[str, Any],
    path: Path,
    checkpoint: Path | None,
    *,
    overrides: Sequence[str],
    command: Sequence[str],
    should_stop: Callable[[], str | None] | None = None,
) -> Outcome:
    """Go on with a run, in place.

    Args:
        config: the run's own saved config, overrides of this resume included.
        path: the run directory.
        checkpoint: the file to go on from; the newest good one by default.
        overrides: what the user changed now, for run.json.
        command: the command line, for run.json.
        should_stop: asked twice a second; answers with a reason to stop, or None.

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

        return _execute(config, directory, start, should_stop)


class Experiment:
    """The parts a config names, built and wired.

    Args:
        config: the resolved config.
        path: the run directory, where checkpoints and sinks have their place.
    """

    def __init__(self, config: Mapping[str, Any], path: Path) -> None:
        self.config = config
        self.path = path
        torch.set_num_threads(config["torch_threads"])
        # numpy's threads would wait for each other longer than a small network takes.
        threadpool_limits(config["torch_threads"], user_api="blas")
        seed_everything(config["seed"])
        self.device = _device(config["device"])
        self.seed = config["seed"]
        self.environment = self._build("env") if config.get("env") else None
        self.source = self._build("data")
        self.algorithm = self._build("algo")
        if hasattr(self.source, "attach"):
            self.source.attach(self.algorithm)
        self.evaluator = self._build("eval") if config.get("eval") else None
        self.checkpoints = _checkpoints(config["checkpoint"], path / "checkpoints")
        self.monitor = config["checkpoint"]["monitor"], config["checkpoint"]["mode"]
        self.logger = _logger(config, path)
        self.timer = StepTimer()
        self.logger.add_probe(self.timer)
        self.trainer = Trainer(
            algorithm=self.algorithm,
            source=self.source,
            evaluator=self.evaluator,
            logger=self.logger,
            checkpoints=self.checkpoints,
            timer=self.timer,
            max_steps=config["trainer"]["max_steps"],
            eval_every=config["trainer"]["eval_every"],
            save_every=config["checkpoint"]["save_every"],
            save_every_seconds=config["checkpoint"]["save_every_seconds"],
            config=config,
        )

    @property
    def network(self) -> torch.nn.Module:
        """A network of the configured kind with one output an action."""
        return self.make_network(self.source.num_actions)

    @property
    def action_space(self) -> Any:
        """What the policy chooses among."""
        return self.source.action_space

    def make_network(self, num_outputs: int) -> torch.nn.Module:
        """Make a network of the configured kind for the source's observations."""
        return self._build(
            "network",
            observation_shape=self.source.observation_shape,
            num_outputs=num_outputs,
            layout=self.source.layout,
        )

    def _build(self, group: str, **given: Any) -> Any:
        """Instantiate a group's object, giving it those of the experiment's parts that its constructor names."""
        node = dict(self.config[group])
        parameters = inspect.signature(get_object(node["_target_"])).parameters
        given = {name: part for name, part in given.items() if name in parameters}
        for name in PARTS:
            if name in parameters and name not in node:
                given[name] = getattr(self, name)
        # Given to Hydra, the parts would be copied into a config.
        return instantiate(node, _convert_="all", _partial_=True)(**given)

    def warm_start(self, init_from: Mapping[str, Any]) -> None:
        """Take over the weights of another run's algorithm, if one is named, and say which.

        Raises:
            WarmStartError: they do not fit.
            CheckpointError: they cannot be read.
        """
        if init_from["path"] is None:
            return
        path = _weights_file(Path(init_from["path"]))
        theirs = load_components(path, ["algorithm"])["algorithm"]["network"]
        try:
            match = fit(self.algorithm.get_weights(), theirs, strict=init_from["strict"])
        except WarmStartError as error:
            raise WarmStartError(f"init_from={path}: {error}") from error
        self.algorithm.set_weights({**self.algorithm.get_weights(), **match.taken})
        log.info("starting from %d weights of %s", len(match.taken), path)
        left_out = {
            "not there, left as initialised": match.missing,
            "there, but not used here": match.unused,
            "of another shape, left as initialised": match.misshapen,
        }
        for reason, names in left_out.items():
            if names:
                log.info("  %s: %s", reason, ", ".join(names))

    def restore(self, path: Path | None) -> Path | None:
        """Go back to a checkpoint, by default the newest good one, and return its path.

        A run that was killed before the checkpoint of step 0 begins again, and None is returned.
        """
        folder = self.path / "checkpoints"
        if path is None and not any(folder.glob("*.pt*")):
            log.info("it was stopped before its first step: beginning again")
            return None
        checkpoint = self.checkpoints.load(path)
        # First of all, so that a crash from here on never resumes from what is being abandoned.
        self.checkpoints.rewind(checkpoint)
        metadata = self.checkpoints.restore(self.trainer.components, checkpoint)
        log.info("resuming from %s at step %d", checkpoint.path, metadata.step)
        return checkpoint.path

    def close(self) -> None:
        """Write what is pending: last windows of the logger, the last checkpoint."""
        self.logger.close()
        self.checkpoints.close()


def _execute(
    config: Mapping[str, Any],
    directory: RunDirectory,
    start: Callable[[Experiment], None],
    should_stop: Callable[[], str | None] | None,
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
    reason = "reached trainer.max_steps" if finished else signals.reason
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
        log.debug(
            "traceback", exc_info=cause
        )  # train.log takes debug records, the terminal does not
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
    finite = {k: v if math.isfinite(v) else None for k, v in trainer.metrics().items()}
    return {
        "step": trainer.step,
        "epoch": experiment.source.epoch,
        "final": {**trainer.last_evaluation, **finite},
        "best": _best(experiment.checkpoints, *experiment.monitor),
        "device": str(experiment.device),
    }


def _best(checkpoints: CheckpointManager, monitor: str, mode: str) -> dict[str, Any] | None:
    best = checkpoints.best_metadata()
    if best is None:
        return None
    return {"metric": monitor, "mode": mode, "value": best.metrics[monitor], "step": best.step}


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(
            f"device={name} asked for, but torch {torch.__version__} finds no CUDA device"
        )
    return torch.device(name)


def _weights_file(path: Path) -> Path:
    """The checkpoint that `init_from` names: a file, or the best of a run, or its newest."""
    if not path.is_dir():
        return path
    best = path / "checkpoints" / "best.pt"
    if best.is_file():
        return best
    newest = max(path.glob("checkpoints/checkpoint_*.pt"), key=os.path.getmtime, default=None)
    if newest is None:
        raise WarmStartError(f"init_from={path}: no checkpoint in there")
    return newest


def _checkpoints(config: Mapping[str, Any], path: Path) -> CheckpointManager:
    when = ("save_every", "save_every_seconds")  # the trainer's
    options = {key: value for key, value in config.items() if key not in when}
    return CheckpointManager(path, **options)


def _logger(config: Mapping[str, Any], path: Path) -> MetricsLogger:
    """Build the logger with every sink that is on; a node with a `_target_` is a sink."""
    options = dict(config["logger"])
    sinks = {k: dict(v) for k, v in options.items() if isinstance(v, Mapping) and "_target_" in v}
    backends = []
    for name, sink in sinks.items():
        del options[name]
        enabled = sink.pop("enabled", True) and sink.get("mode") != "disabled"
        location = path / sink.pop("location", name)
        if enabled:
            backends.append(instantiate(sink, location, _convert_="all"))
    console = ConsoleWriter(path / "train.log", total_steps=config["trainer"]["max_steps"])
    return MetricsLogger(console=console, backends=backends, **options)


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
