from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from poke.protocols import NonFiniteError
from poke.training.checkpointing import CheckpointError, CheckpointManager
from poke.training.logging import MetricsLogger
from poke.training.logging.timing import StepTimer
from poke.training.trainer import Trainer
from poke.training.writers import MemoryWriter


@dataclass
class Part:
    """Algorithm, source and evaluator at once: the least that a Trainer drives."""

    num_steps: int = 1
    category: str = "val"
    updates: int = 0
    evaluations: int = 0
    epoch: int = 0
    losses: dict | None = None

    def sample(self):
        return SimpleNamespace(num_steps=self.num_steps, num_samples=self.num_steps)

    def update(self, batch):
        if self.updates == 7 and self.losses is None:
            raise NonFiniteError("loss", float("nan"))
        self.updates += 1
        return {"loss": 1.0 / self.updates}

    def evaluate(self, algorithm):
        self.evaluations += 1
        losses = self.losses or {}
        return {"loss": losses.get(self.evaluations, 1.0)}

    def get_state(self):
        return {"updates": self.updates, "evaluations": self.evaluations}

    def set_state(self, state):
        self.updates, self.evaluations = state["updates"], state["evaluations"]


def make(tmp_path, part, *, max_steps=20, eval_every=0, save_every=0, **options):
    writer = MemoryWriter()
    trainer = Trainer(
        algorithm=part,
        source=part,
        evaluator=part,
        logger=MetricsLogger(backends=[writer], backend_frequency=1),
        checkpoints=CheckpointManager(tmp_path, max_to_keep=100, **options),
        timer=StepTimer(),
        max_steps=max_steps,
        eval_every=eval_every,
        save_every=save_every,
    )
    return trainer, writer


def saved_steps(trainer):
    return [metadata.step for metadata in trainer.checkpoints.list_checkpoints()]


def evaluated_steps(writer):
    return [step for _, step, category in writer.rows if category == "val"]


def test_due_means_that_a_multiple_was_crossed(tmp_path):
    trainer, writer = make(
        tmp_path, Part(num_steps=3, losses={}), eval_every=5, save_every=10, keep_best=False
    )
    assert trainer.fit()
    assert trainer.step == 21
    assert evaluated_steps(writer) == [6, 12, 15, 21]
    assert saved_steps(trainer) == [0, 12, 21]


def test_zero_means_only_at_the_end(tmp_path):
    trainer, writer = make(tmp_path, Part(losses={}))
    trainer.fit()
    assert evaluated_steps(writer) == [20]
    assert saved_steps(trainer) == [0, 20]


def test_a_new_best_is_saved_when_it_is_found(tmp_path):
    trainer, _ = make(tmp_path, Part(losses={1: 0.9, 2: 0.5, 3: 0.7, 4: 0.6, 5: 0.4}), eval_every=4)
    trainer.fit()
    assert saved_steps(trainer) == [0, 4, 8, 20]
    assert trainer.checkpoints.best_metadata().metrics["val/loss"] == 0.4


def test_a_checkpoint_carries_an_evaluation_only_if_it_was_made_at_its_step(tmp_path):
    trainer, _ = make(tmp_path, Part(losses={}), eval_every=4, save_every=3, keep_best=False)
    trainer.fit()
    with_evaluation = [
        m.step for m in trainer.checkpoints.list_checkpoints() if m.val_loss is not None
    ]
    assert saved_steps(trainer) == [0, 3, 6, 9, 12, 15, 18, 20]
    assert with_evaluation == [12, 20]


def test_every_step_is_logged(tmp_path):
    trainer, writer = make(tmp_path, Part(losses={}))
    trainer.fit()
    trainer.logger.close()
    assert [step for _, step, category in writer.rows if category == "train"] == list(range(1, 21))


def test_stop_ends_the_loop_after_its_step_with_a_checkpoint(tmp_path):
    part = Part(losses={})
    trainer, _ = make(tmp_path, part)
    update = part.update

    def stop_at_five(batch):
        if part.updates == 4:
            trainer.stop("SIGTERM")
        return update(batch)

    part.update = stop_at_five
    assert not trainer.fit()
    assert saved_steps(trainer) == [0, 5]
    assert part.evaluations == 0


def test_a_non_finite_loss_stops_the_run_and_is_not_saved(tmp_path):
    trainer, _ = make(tmp_path, Part())
    with pytest.raises(NonFiniteError):
        trainer.fit()
    assert trainer.step == 7
    assert saved_steps(trainer) == [0]


def test_a_monitor_that_never_comes_is_an_error_at_the_first_evaluation(tmp_path):
    trainer, _ = make(tmp_path, Part(losses={}), eval_every=5, monitor="val/los")
    with pytest.raises(CheckpointError, match="did you mean val/loss"):
        trainer.fit()
    assert trainer.step == 5


def test_without_an_evaluator_it_just_trains(tmp_path):
    trainer, writer = make(tmp_path, Part(losses={}), eval_every=5, monitor="train/loss")
    trainer.evaluator = None
    assert trainer.fit()
    assert evaluated_steps(writer) == []
