"""An agent with all it takes to train it, wired: an experiment."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hydra.utils import get_object, instantiate

from poke.config.knobs import ConfigError
from poke.distributed.ranks import ALONE, Ranks
from poke.run.agent import Agent, complete
from poke.run.identity import fingerprint_of
from poke.run.together import give_out
from poke.run.warmstart import WarmStartError, by_state, check_normalizer, fit
from poke.training.checkpointing import (
    Checkpoint,
    CheckpointError,
    CheckpointManager,
    best_or_newest,
    load_components,
)
from poke.training.checkpointing.shards import Shards
from poke.training.logging import MetricsLogger
from poke.training.logging.timing import StepTimer
from poke.training.stopping import EarlyStopping
from poke.training.trainer import Trainer
from poke.training.writers import ConsoleWriter

log = logging.getLogger("poke")


class Experiment(Agent):
    """An agent with all it takes to train it.

    Args:
        config: the resolved config.
        path: the run directory, where checkpoints and sinks have their place. Nothing there is touched before
            `open`, `go_on_from` or the first step.
        deadline: when training is to stop, in seconds of `time.monotonic`.
        after_save: called in the background when a checkpoint is on disk.
        ranks: the processes that train together, of which this is the first.

    Raises:
        ConfigError: `checkpoint.monitor` is no metric of the evaluator.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        path: Path,
        *,
        deadline: float = math.inf,
        after_save: Callable[[], None] | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        super().__init__(config, ranks)
        try:
            self._wire(config, path, deadline, after_save)
        except BaseException:
            self.close_parts()
            raise

    def _wire(
        self,
        config: Mapping[str, Any],
        path: Path,
        deadline: float,
        after_save: Callable[[], None] | None,
    ) -> None:
        self.data = fingerprint_of(self.source)
        self.path = path
        self.evaluator = self._build("eval") if config.get("eval") else None
        self.shards = self.make_shards()
        self.checkpoints = _checkpoints(
            config["checkpoint"], path / "checkpoints", after_save, self.shards
        )
        self.monitor = config["checkpoint"]["monitor"], config["checkpoint"]["mode"]
        self.logger = _logger(config, path, has_epochs=self.data is not None)
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
            early_stopping=EarlyStopping(
                *self.monitor, **config["trainer"].get("early_stopping", {"patience": 0})
            ),
            deadline=deadline,
            config=config,
            data=self.data,
            ranks=self.ranks,
            whole=self.whole,
        )
        self._check_monitor()

    def warm_start(self, init_from: Mapping[str, Any]) -> None:
        """Take over the weights of another run's algorithm, if one is named, and say which.

        Raises:
            WarmStartError: they do not fit.
            CheckpointError: they cannot be read.
        """
        if init_from["path"] is None:
            return
        path = weights_file(Path(init_from["path"]))
        theirs = load_components(path, ["policy"])["policy"]
        own = self.algorithm.policy.get_state()
        try:
            check_normalizer(own, theirs)
            given = by_state(own["network"], theirs["network"])
            match = fit(own["network"], given, strict=init_from["strict"])
        except WarmStartError as error:
            raise WarmStartError(f"init_from={path}: {error}") from error
        self.algorithm.policy.set_state({**theirs, "network": {**own["network"], **match.taken}})
        if self.shards is not None:
            self.trainer.whole_states = {"policy": {**theirs, "network": match.taken}}
        log.info("starting from %d weights of %s", len(match.taken), path)
        left_out = {
            "not there, left as initialised": match.missing,
            "there, but not used here": match.unused,
            "of another shape, left as initialised": match.misshapen,
        }
        for reason, names in left_out.items():
            if names:
                log.info("  %s: %s", reason, ", ".join(names))

    def find(self, run_dir: Path, file: Path | None) -> Checkpoint | None:
        """Read the checkpoint to go on from, by default the newest good one; None where a run has none yet.

        Raises:
            CheckpointError: it cannot be read, or none can.
        """
        folder = run_dir / "checkpoints"
        if file is None and not any(folder.glob("*.pt*")):
            return None
        if run_dir == self.path:
            return self.checkpoints.load(file)
        return CheckpointManager(folder, open_now=False).load(file)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Put everything in memory into the state of a checkpoint; nothing on disk changes.

        Raises:
            CheckpointError: a part does not take its state.
        """
        self._logger_state = _Kept()
        components = {**self.trainer.components, "logger": self._logger_state}
        self.checkpoints.restore(components, checkpoint)
        if self.shards is not None:
            names = ("policy", "algorithm")
            self.trainer.whole_states = {name: checkpoint.components[name] for name in names}
        self.trainer.recall(checkpoint.metadata.metrics)
        if checkpoint.metadata.data is None and self.data is not None:
            log.info(
                "the checkpoint does not say what data it was trained on: it cannot be compared"
            )

    def begin(self) -> None:
        """Begin a directory of one's own.

        Raises:
            ConfigError: a sink is to write where another run does.
        """
        try:
            self.logger.claim()
        except ValueError as error:
            raise ConfigError(str(error)) from error
        self.checkpoints.open()

    def begin_again(self) -> None:
        """Begin where an attempt was stopped before it had a checkpoint; its rows would stand there twice."""
        self.checkpoints.open()
        self.logger.begin_again()

    def go_on_from(self, checkpoint: Checkpoint) -> None:
        """After `restore`, take the directory back to that checkpoint too: newer ones move aside, sinks are cut."""
        self.checkpoints.open()
        self.checkpoints.rewind(checkpoint)
        self.logger.set_state(self._logger_state.state)

    def branch_off(self) -> None:
        """After `restore` of another run's checkpoint, begin a directory of one's own with it.

        Raises:
            ConfigError: as of `begin`.
        """
        self.begin()
        # The sums of unfinished windows go on; what the other run's sinks hold is its own.
        self.logger.set_state({**self._logger_state.state, "sinks": {}})
        self.trainer.begin_here()

    def fit(self) -> bool:
        """Train to the end, or until told to stop, together with the other ranks; return whether it was the end.

        Raises:
            ConfigError: another rank reads other data.
            RankLostError: one failed, died or hangs.
            CheckpointError: weights are shared out, and the last checkpoint was not written.
        """
        give_out(self.trainer)
        finished = self.trainer.fit()
        if self.shards is not None:  # while the others are there to write their parts
            self.checkpoints.wait()
            self.shards.end()
        return finished

    def close(self, status: str = "finished") -> None:
        """Write what is pending: last windows of the logger, the last checkpoint; everything is closed in any case.

        Args:
            status: how the run ended, for the sinks: finished, failed or interrupted.

        Raises:
            Exception: the first that closing one of them raised.
        """
        first: Exception | None = None
        # Checkpoints first: sinks may be waited for, and are told how the run ended, which a lost checkpoint decides.
        for close in (self.checkpoints.close, self.close_parts):
            try:
                close()
            except Exception as error:
                first = first or error
        try:
            self.logger.close("failed" if first and status == "finished" else status)
        except Exception as error:
            first = first or error
        if first is not None:
            raise first

    def _check_monitor(self) -> None:
        """Refuse a mistyped monitor now, if the evaluator says what it measures; one of training shows later."""
        names = getattr(self.evaluator, "metric_names", None)
        if names is None or self.monitor[0].startswith("train/"):
            return
        assert self.evaluator is not None
        try:
            self.checkpoints.check_monitor(f"{self.evaluator.category}/{name}" for name in names)
        except CheckpointError as error:
            raise ConfigError(str(error)) from error


class _Kept:
    """Takes a component's state in its place, so that it can be handed on when nothing can be refused any more."""

    state: Mapping[str, Any]

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.state = state


def weights_file(path: Path) -> Path:
    """Return the checkpoint whose weights a path names: a file, or what a run's index calls its best, or its newest.

    Raises:
        WarmStartError: a run without checkpoints.
    """
    if not path.is_dir():
        return path
    found = best_or_newest(path / "checkpoints")
    if found is None:
        raise WarmStartError(f"init_from={path}: no checkpoint in there")
    return found


def _checkpoints(
    config: Mapping[str, Any],
    path: Path,
    after_save: Callable[[], None] | None,
    shards: Shards | None,
) -> CheckpointManager:
    others = ("save_every", "save_every_seconds", "mirror")  # the trainer's, and the run's
    options = {key: value for key, value in config.items() if key not in others}
    return CheckpointManager(path, open_now=False, after_save=after_save, shards=shards, **options)


def _logger(config: Mapping[str, Any], path: Path, *, has_epochs: bool) -> MetricsLogger:
    """Build the logger with every sink that is on; a node with a `_target_` is a sink."""
    options = {key: value for key, value in config["logger"].items() if key != "alert"}
    shown = options.pop("console", {})
    sinks = {k: dict(v) for k, v in options.items() if isinstance(v, Mapping) and "_target_" in v}
    backends = []
    for name, sink in sinks.items():
        del options[name]
        enabled = sink.pop("enabled", True) and sink.get("mode") != "disabled"
        location = path / sink.pop("location", name)
        if enabled:
            if "run_dir" in inspect.signature(get_object(sink["_target_"])).parameters:
                sink["run_dir"] = str(path.absolute())
            writer = instantiate(sink, location, _convert_="all")
            backends.append(complete(writer, "logger", sink["_target_"]))
    console = ConsoleWriter(
        path / "train.log",
        total_steps=config["trainer"]["max_steps"],
        monitor=config["checkpoint"]["monitor"],
        mode=config["checkpoint"]["mode"],
        metrics=shown.get("metrics") or (),
        has_epochs=has_epochs,
    )
    return MetricsLogger(console=console, backends=backends, **options)
