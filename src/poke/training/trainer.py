"""The loop and its clock, nothing else."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from poke.protocols import Algorithm, Evaluator, Source
from poke.training.checkpointing.manager import CheckpointManager, CheckpointMetadata
from poke.training.logging.logger import MetricsLogger
from poke.training.logging.timing import StepTimer

# Told of an evaluation's metrics and its step; answers with a reason to end the run early, or None.
Report = Callable[[Mapping[str, float], int], str | None]


class Trainer:
    """Runs training steps, and evaluates and saves when a multiple of their frequency was crossed.

    Args:
        algorithm: is updated.
        source: gives it experience.
        evaluator: measures it; None for no evaluation.
        logger: is told of every step.
        checkpoints: keeps the state.
        timer: learns where the time goes.
        max_steps: train until the clock shows at least this.
        eval_every: steps between evaluations; 0: only at the end.
        save_every: steps between checkpoints; 0: only at the beginning and end.
        save_every_seconds: seconds between checkpoints, besides; 0: never by the clock.
        config: the resolved config, put into every checkpoint.
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
        config: Mapping[str, Any] | None = None,
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
        self.config = config
        self.step = 0
        self.stop_reason: str | None = None
        self.report: Report | None = None
        self.end_reason: str | None = None
        self._update_metrics: Mapping[str, Any] = {}
        self.last_evaluation: Mapping[str, float] = {}
        self._evaluated_at = -1
        self._saved_at = -1
        self._saved_when = time.monotonic()
        self._epoch = -1

    @property
    def components(self) -> dict[str, Any]:
        """Everything a checkpoint holds, by name."""
        parts = {
            "algorithm": self.algorithm,
            "source": self.source,
            "evaluator": self.evaluator,
            "trainer": self,
            "logger": self.logger,
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
        finished = self.stop_reason is None
        if finished and self._evaluated_at != self.step:
            self.evaluate()
        if self._saved_at != self.step:
            self._save()
        return finished

    def metrics(self) -> dict[str, float]:
        """Return the last update's metrics, and those of an evaluation if it was made at this very step."""
        metrics = {f"train/{name}": float(value) for name, value in self._update_metrics.items()}
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
        )

    def run_until(self, step: int) -> None:
        """Train until the clock shows at least this step, or until `stop` is called."""
        while self.step < step and not (self.stop_reason or self.end_reason):
            before = self.step
            self._train_step()
            if _crossed(self.eval_every, before, self.step):
                self.evaluate()
            if self._save_is_due(before):
                self._save()
            self.timer.switch("other")

    def stop(self, reason: str) -> None:
        """Ask the loop to end after the current step. Safe to call from a signal handler."""
        self.stop_reason = reason

    def get_state(self) -> dict[str, Any]:
        """Return the clock."""
        return {"step": self.step, "evaluated_at": self._evaluated_at}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Set the clock."""
        self.step = self._saved_at = state["step"]
        self._evaluated_at = state["evaluated_at"]

    def _train_step(self) -> None:
        self.timer.switch("data")
        batch = self.source.sample()
        self.timer.switch("update")
        metrics = self.algorithm.update(batch)
        self.step += batch.num_steps
        self.timer.switch("log")
        self.timer.count(batch.num_steps, batch.num_samples)
        if self.source.epoch != self._epoch:
            self._epoch = self.source.epoch
            self.logger.set_epoch(self._epoch)
        self.logger.log(metrics, self.step)
        self._update_metrics = metrics

    def evaluate(self) -> None:
        """Measure the algorithm now and log it, if there is an evaluator."""
        if self.evaluator is None:
            return
        self.timer.switch("eval")
        category = self.evaluator.category
        metrics = self.evaluator.evaluate(self.algorithm)
        self.timer.switch("log")
        self.logger.log(metrics, self.step, category=category)
        self.last_evaluation = {f"{category}/{name}": value for name, value in metrics.items()}
        film = getattr(self.evaluator, "film", None)
        if film is not None:
            self.logger.log_video("episode", film, self.step, category, frames_per_second=25)
        self._evaluated_at = self.step
        self.checkpoints.check_monitor(self.metrics())
        if self.report is not None:
            self.end_reason = self.report(self.last_evaluation, self.step)

    def _save_is_due(self, before: int) -> bool:
        if _crossed(self.save_every, before, self.step):
            return True
        if time.monotonic() - self._saved_when >= self.save_every_seconds:
            return True
        has_new_best = self._evaluated_at == self.step and self.checkpoints.keep_best
        return has_new_best and self.checkpoints.is_best(self.metrics())

    def _save(self) -> None:
        self.timer.switch("checkpoint")
        self.checkpoints.save(self.components, self.metadata())
        self._saved_at = self.step
        self._saved_when = time.monotonic()


def _crossed(every: int, before: int, now: int) -> bool:
    """Whether a multiple of `every` lies in (before, now]; never if `every` is 0."""
    return every > 0 and now // every > before // every
