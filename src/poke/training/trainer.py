"""The loop and its clock, nothing else."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any

from poke.distributed.ranks import ALONE, Ranks
from poke.protocols import Algorithm, Evaluator, Source
from poke.training.checkpointing.manager import CheckpointManager, CheckpointMetadata
from poke.training.logging.logger import MetricsLogger
from poke.training.logging.timing import StepTimer
from poke.training.logging.values import read_numbers
from poke.training.rng import RandomStates
from poke.training.stopping import EarlyStopping

# Told of an evaluation's metrics and its step; answers with a reason to end the run early, or None.
Report = Callable[[Mapping[str, float], int], str | None]


class _Stopped(BaseException):
    """An evaluation that a stop broke off."""


class Trainer:
    """Runs training steps, and evaluates and saves when a multiple of their frequency was crossed.

    Whatever an evaluation found is in a checkpoint of those very weights: a save follows every evaluation, and both are
    due at the last step.

    Of several ranks all take the same steps; rank 0 alone evaluates, logs and saves, the others wait for it as long as
    that takes. A wish to stop or save that one of them hears is all of theirs.

    Args:
        algorithm: is updated.
        source: gives it experience.
        evaluator: measures it; None for no evaluation.
        logger: is told of every step.
        checkpoints: keeps the state.
        timer: learns where the time goes.
        max_steps: train until the clock shows at least this.
        eval_every: steps between evaluations; 0: only at the end.
        save_every: steps between checkpoints; 0: only at the beginning, at the end and after evaluations.
        save_every_seconds: seconds between checkpoints, besides; 0: never by the clock.
        early_stopping: is told of every evaluation, and may end the run; None for no such thing.
        deadline: when to stop, in seconds of `time.monotonic`.
        config: the resolved config, put into every checkpoint.
        data: fingerprint of what is trained on, put into every checkpoint.
        ranks: the processes that train together.
        whole: where weights are shared out among them, a context within which each has them all; None where each
            always has. Then checkpoints are saved by all ranks, each its part.
    """

    def __init__(
        self,
        *,
        algorithm: Algorithm,
        source: Source,
        evaluator: Evaluator | None,
        logger: MetricsLogger,
        checkpoints: CheckpointManager,
        timer: StepTimer,
        max_steps: int,
        eval_every: int,
        save_every: int,
        save_every_seconds: float = 0,
        early_stopping: EarlyStopping | None = None,
        deadline: float = math.inf,
        config: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        ranks: Ranks = ALONE,
        whole: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> None:
        self.algorithm = algorithm
        self.source = source
        self.evaluator = evaluator
        self.logger = logger
        self.checkpoints = checkpoints
        self.timer = timer
        self.max_steps = max_steps
        self.eval_every = eval_every
        self.save_every = save_every
        self.save_every_seconds = save_every_seconds or math.inf
        self.early_stopping = early_stopping
        self.deadline = deadline
        self.config = config
        self.data = data
        self.ranks = ranks
        self._whole = whole
        self.random_states = RandomStates()
        # What is other ranks' own, while a checkpoint is made or taken up.
        self.others: list[Any] = []
        # Of policy and algorithm, as they were begun with, where no rank has them whole any more.
        self.whole_states: Mapping[str, Any] = {}
        self.step = 0
        self.stop_reason: str | None = None
        self.report: Report | None = None
        self.end_reason: str | None = None
        self.last_evaluation: Mapping[str, float] = {}
        self._update_metrics: Mapping[str, Any] = {}
        self._evaluated_at = -1
        self._owes_evaluation = False  # one that a stop broke off
        self._evaluating = False
        self._saved_at = -1
        self._saved_when = time.monotonic()
        self._asked_to_save = False
        self._epoch = -1

    @property
    def shares_weights(self) -> bool:
        """Whether each rank has a part of the weights."""
        return self._whole is not None

    @property
    def components(self) -> dict[str, Any]:
        """Everything a checkpoint holds, by name."""
        parts = {
            "policy": self.algorithm.policy,
            "algorithm": self.algorithm,
            "source": self.source,
            "evaluator": self.evaluator,
            "logger": self.logger,
            "trainer": self,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def fit(self) -> bool:
        """Train until max_steps, or until `stop` is called; leave a checkpoint of where it began and ended.

        The one of the beginning is what a run goes back to that is killed before its next.

        Returns:
            Whether the run reached its end, which `report` may bring forward.
        """
        if self._saved_at < 0:
            self._save()
        self.run_until(self.max_steps)
        at_its_end = self.step >= self.max_steps or self.end_reason is not None
        evaluated = self.evaluator is None or self._evaluated_at == self.step
        (stopped,) = self.ranks.agree(self.stop_reason is not None)
        if at_its_end and not evaluated and not stopped:
            evaluated = self.evaluate()
            self._save()
        if self._saved_at != self.step:
            self._save()
        return at_its_end and evaluated

    def metrics(self) -> dict[str, float]:
        """Return the last update's metrics, and those of an evaluation if it was made at this very step."""
        train = read_numbers(self._update_metrics)
        metrics = {f"train/{name}": value for name, value in train.items()}
        if self._evaluated_at == self.step:
            metrics.update(self.last_evaluation)
        return metrics

    def metadata(self) -> CheckpointMetadata:
        """Return what a checkpoint of this moment says of itself."""
        return CheckpointMetadata(
            epoch=self.source.epoch,
            step=self.step,
            metrics=self.metrics(),
            timestamp=datetime.now(UTC),
            config=self.config,
            data=self.data,
        )

    def run_until(self, step: int) -> None:
        """Train until the clock shows at least this step, or until `stop` is called."""
        if self._owes_evaluation and self.evaluate():
            self._save()
        while self.step < step and not self._is_to_end():
            before = self.step
            self._train_step()
            if _crossed(self.eval_every, before, self.step) or self.step >= self.max_steps:
                self.evaluate()
            if _crossed(self.save_every, before, self.step) or self._evaluated_at == self.step:
                self._save()
            self.timer.switch("other")
            if time.monotonic() >= self.deadline and self.step < step:
                self.stop("reached trainer.max_seconds")

    def stop(self, reason: str) -> None:
        """Ask the loop to end after the current step, an evaluation at once. For signal handlers of the main thread."""
        self.stop_reason = reason
        if self._evaluating:
            self._evaluating = False
            raise _Stopped

    def save_soon(self) -> None:
        """Ask for a checkpoint after the current step. Safe to call from a signal handler."""
        self._asked_to_save = True

    def recall(self, metrics: Mapping[str, float]) -> None:
        """Take what a checkpoint says was measured at its step for one's own, as if it had just been."""
        train = {name: value for name, value in metrics.items() if name.startswith("train/")}
        self._update_metrics = {name.removeprefix("train/"): v for name, v in train.items()}
        self.last_evaluation = {name: v for name, v in metrics.items() if name not in train}

    def begin_here(self) -> None:
        """Take the present step for the first of a run: a checkpoint of it is due."""
        self._saved_at = -1

    @property
    def begins_here(self) -> bool:
        """Whether the present step is the first of a run."""
        return self._saved_at < 0

    def get_state(self) -> dict[str, Any]:
        """Return the clock, what early stopping goes by, and in a checkpoint what is other ranks' own."""
        early = self.early_stopping
        return {
            "step": self.step,
            "evaluated_at": self._evaluated_at,
            "owes_evaluation": self._owes_evaluation,
            "early_stopping": None if early is None else early.get_state(),
            **({"ranks": self.others} if self.others else {}),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Set the clock. A run that was finished early is so again, unless more patience was given since."""
        self.step = self._saved_at = state["step"]
        self._evaluated_at = state["evaluated_at"]
        self._owes_evaluation = state.get("owes_evaluation", False)
        self.others = state.get("ranks", [])
        early = state.get("early_stopping")
        if early is not None and self.early_stopping is not None:
            self.early_stopping.set_state(early)
            self.end_reason = self.early_stopping.reason

    def _train_step(self) -> None:
        self.timer.switch("data")
        batch = self.source.sample()
        self.timer.switch("update")
        with self.ranks.heard():
            found = self.algorithm.update(batch)
        metrics = self.ranks.mean(found, batch.num_samples)
        self.step += batch.num_steps
        self.timer.switch("log")
        self.timer.count(batch.num_steps, batch.num_samples * self.ranks.size)
        if self.source.epoch != self._epoch:
            self._epoch = self.source.epoch
            self.logger.set_epoch(self._epoch)
        self.logger.log(metrics, self.step)
        self._update_metrics = metrics

    def evaluate(self) -> bool:
        """Measure the algorithm now and log it, if there is an evaluator; false if a stop broke it off."""
        if self.evaluator is None:
            return False
        self.timer.switch("eval")
        self._owes_evaluation = True
        with self.ranks.heard(), self._whole() if self._whole else nullcontext():
            evaluated = self.ranks.led(self._evaluate)
        if not evaluated:
            return False
        self._owes_evaluation = False
        self._evaluated_at = self.step
        return True

    def _evaluate(self) -> bool:
        assert self.evaluator is not None
        try:
            # A stop asked for earlier stands; only one that comes now breaks the evaluation off.
            self._evaluating = True
            found = self.evaluator.evaluate(self.algorithm)
            self._evaluating = False
        except _Stopped:
            return False
        finally:
            self._evaluating = False
        self._owes_evaluation = False
        category = self.evaluator.category
        self.timer.switch("log")
        self.logger.log(found, self.step, category=category)
        self.last_evaluation = {f"{category}/{n}": v for n, v in read_numbers(found).items()}
        film = getattr(self.evaluator, "film", None)
        if film is not None:
            self.logger.log_video("episode", film, self.step, category, frames_per_second=25)
        self._evaluated_at = self.step
        self.checkpoints.check_monitor(self.metrics())
        if self.early_stopping is not None:
            self.early_stopping.take(self.metrics())
            self.end_reason = self.early_stopping.reason
        if self.report is not None:
            self.end_reason = self.report(self.last_evaluation, self.step) or self.end_reason
        return True

    def _is_to_end(self) -> bool:
        """Save if somebody asked for that, and return whether the loop ends here; the same on every rank."""
        wished = (
            self._asked_to_save or time.monotonic() - self._saved_when >= self.save_every_seconds
        )
        save, stop, end = self.ranks.agree(
            wished, self.stop_reason is not None, self.end_reason is not None
        )
        if save:
            self._save()
        if stop and self.stop_reason is None:
            self.stop_reason = "another rank was asked to stop"
        if end and self.end_reason is None:
            self.end_reason = "as rank 0 says"
        return stop or end

    def _save(self) -> None:
        self.timer.switch("checkpoint")  # waiting for the save before counts as saving
        self._asked_to_save = False
        self.others = self.ranks.collect(self._own)
        if self._whole is None:
            self.ranks.led(self._write)
        else:
            # For the save before, whose copies are to be overwritten on every rank.
            self.ranks.led(self._wait)
            self._write()
        self.others = []
        self._saved_at = self.step
        self._saved_when = time.monotonic()

    def _own(self) -> dict[str, Any]:
        """What no other rank has."""
        return {"source": self.source.get_state(), "random": self.random_states.get_state()}

    def _wait(self) -> bool:
        self.checkpoints.join()
        return True

    def _write(self) -> bool:
        self.checkpoints.save(self.components, self.metadata())
        return True


def _crossed(every: int, before: int, now: int) -> bool:
    """Whether a multiple of `every` lies in (before, now]; never if `every` is 0."""
    return every > 0 and now // every > before // every
