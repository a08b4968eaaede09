import itertools
import time
from contextlib import nullcontext
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from poke.distributed.ranks import ALONE
from poke.protocols import NonFiniteError
from poke.training.checkpointing import CheckpointError, CheckpointManager
from poke.training.logging import MetricsLogger
from poke.training.logging.timing import StepTimer
from poke.training.stopping import EarlyStopping
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

    @property
    def policy(self):
        return self

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
    assert saved_steps(trainer) == [0, 6, 12, 15, 21]  # 10 and 20 were crossed at 12 and 21


def test_zero_means_only_at_the_end(tmp_path):
    trainer, writer = make(tmp_path, Part(losses={}))
    trainer.fit()
    assert evaluated_steps(writer) == [20]
    assert saved_steps(trainer) == [0, 20]


@pytest.mark.parametrize("eval_every", [0, 1, 4, 7, 20, 30])
@pytest.mark.parametrize("save_every", [0, 1, 3, 5, 20])
@pytest.mark.parametrize("num_steps", [1, 3])
def test_what_an_evaluation_found_is_in_a_checkpoint_of_those_very_weights(
    tmp_path, eval_every, save_every, num_steps
):
    """Whatever the cadences are, the last evaluation included, and so is the best of them."""
    losses = {i: abs(6 - i) / 10 for i in range(1, 30)}
    part = Part(num_steps=num_steps, losses=losses)
    trainer, writer = make(tmp_path, part, eval_every=eval_every, save_every=save_every)
    trainer.fit()
    found = {step: row["loss"] for row, step, category in writer.rows if category == "val"}
    saved = {
        m.step: m.val_loss for m in trainer.checkpoints.list_checkpoints() if m.val_loss is not None
    }
    assert saved == found
    assert trainer.step in found
    assert trainer.checkpoints.best_metadata().val_loss == min(found.values())


def test_metrics_of_every_kind_the_logger_takes_pass_through(tmp_path):
    part = Part(losses={})
    kinds = {
        "loss": torch.tensor(0.5), "nested": {"a": 1, "b": {"c": np.float32(2)}}, "text": "skipped",
        "many": torch.ones(3), "flag": True, "none": None,
    }  # fmt: skip
    part.update = lambda batch: kinds
    part.evaluate = lambda algorithm: {**kinds, "loss": 0.25}
    trainer, _ = make(tmp_path, part, max_steps=3)
    assert trainer.fit()
    metrics = trainer.checkpoints.list_checkpoints()[-1].metrics
    one = {"nested/a": 1.0, "nested/b/c": 2.0, "flag": 1.0}
    assert metrics == {
        **{f"train/{name}": value for name, value in {**one, "loss": 0.5}.items()},
        **{f"val/{name}": value for name, value in {**one, "loss": 0.25}.items()},
    }


def test_a_stop_breaks_an_evaluation_off_which_is_made_up_for_on_resume(tmp_path):
    part = Part(losses={})
    trainer, writer = make(tmp_path, part, eval_every=5)
    evaluate = part.evaluate

    def stopped_in_the_middle(algorithm):
        trainer.stop("SIGTERM")
        raise AssertionError("the evaluation went on")

    part.evaluate = stopped_in_the_middle
    assert not trainer.fit()
    assert (trainer.step, saved_steps(trainer), evaluated_steps(writer)) == (5, [0, 5], [])
    trainer.checkpoints.close()

    part.evaluate = evaluate
    again, writer = make(tmp_path, part, eval_every=5)
    again.checkpoints.restore(again.components, again.checkpoints.load())
    assert again.fit()
    assert evaluated_steps(writer) == [5, 10, 15, 20]
    assert [m.step for m in again.checkpoints.list_checkpoints() if m.val_loss] == [5, 10, 15, 20]


def test_a_checkpoint_that_is_asked_for_comes_after_the_step(tmp_path):
    part = Part(losses={})
    trainer, _ = make(tmp_path, part)
    update = part.update

    def asked_at_seven(batch):
        if part.updates == 6:
            trainer.save_soon()
        return update(batch)

    part.update = asked_at_seven
    assert trainer.fit()
    assert saved_steps(trainer) == [0, 7, 20]


def test_ranks_that_share_weights_save_together_once_nothing_is_being_written():
    """The copies that are being written would be overwritten."""
    told = []
    checkpoints = SimpleNamespace(
        join=lambda: told.append("joined"),
        save=lambda components, metadata: told.append(("saved", metadata.step)),
    )

    class Other(type(ALONE)):
        """Another rank than 0, which is led."""

        rank, size = 1, 2

        def led(self, work):
            told.append("led")
            return True

    trainers = [
        Trainer(
            algorithm=Part(),
            source=Part(),
            evaluator=None,
            logger=SimpleNamespace(log=lambda *_, **__: None, set_epoch=lambda epoch: None),
            checkpoints=checkpoints,
            timer=StepTimer(),
            max_steps=2,
            eval_every=0,
            save_every=0,
            ranks=ranks,
            whole=whole,
        )
        for ranks in (ALONE, Other())
        for whole in (nullcontext, None)
    ]
    for trainer in trainers:
        told.append("rank")
        trainer.fit()
    shared, plain, shared_other, other = (
        list(part)
        for begins, part in itertools.groupby(told, lambda it: it == "rank")
        if not begins
    )
    assert shared == ["joined", ("saved", 0), "joined", ("saved", 2)]
    assert plain == [("saved", 0), ("saved", 2)]
    assert shared_other == ["led", ("saved", 0), "led", ("saved", 2)]
    assert other == ["led", "led"]


def test_past_its_deadline_it_stops_and_says_why(tmp_path):
    trainer, _ = make(tmp_path, Part(losses={}))
    trainer.deadline = time.monotonic()
    assert not trainer.fit()
    assert (saved_steps(trainer), trainer.stop_reason) == ([0, 1], "reached trainer.max_seconds")


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


def stopping(tmp_path, losses, *, patience, min_delta=0.0, mode="min", max_steps=20):
    """A trainer that evaluates after every step and finds these losses in turn."""
    part = Part(losses=dict(enumerate(losses, 1)))
    trainer, writer = make(tmp_path, part, max_steps=max_steps, eval_every=1, mode=mode)
    trainer.early_stopping = EarlyStopping("val/loss", mode, patience, min_delta)
    return trainer, writer


@pytest.mark.parametrize(
    ("losses", "options", "ends_at"),
    [
        ([5, 4, 4, 4, 3], {"patience": 2}, 4),
        ([5, 4, 4, 3, 3, 3], {"patience": 2}, 6),
        ([5, 4.9, 4.8, 4.7], {"patience": 3, "min_delta": 0.5}, 4),
        ([1, 2, 3, 2, 1], {"patience": 2, "mode": "max"}, 5),
        ([float("nan")] * 3, {"patience": 3}, 3),
        ([-1, -2, float("nan"), -1], {"patience": 2}, 4),
        ([5] * 20, {"patience": 0}, 20),
    ],
)
def test_a_run_ends_after_so_many_evaluations_without_a_better_one(
    tmp_path, losses, options, ends_at
):
    trainer, writer = stopping(tmp_path, losses, **options)
    assert trainer.fit()
    assert trainer.step == ends_at == evaluated_steps(writer)[-1] == saved_steps(trainer)[-1]
    early = ends_at < 20
    reason = f"no better val/loss in {options['patience']} evaluations" if early else None
    assert trainer.end_reason == reason


def test_what_early_stopping_counts_survives_a_resume_and_more_patience_goes_on(tmp_path):
    losses = [5, 4, 4, 4, 4, 4, 4]
    first, _ = stopping(tmp_path / "a", losses, patience=3, max_steps=3)
    first.fit()
    state, part = first.get_state(), first.algorithm.get_state()
    second, writer = stopping(tmp_path / "b", losses, patience=3)
    second.algorithm.set_state(part)
    second.set_state(state)
    assert second.fit()
    assert evaluated_steps(writer) == [4, 5]
    for patience, ends_at in ((3, 5), (4, 6)):
        third, _ = stopping(tmp_path / f"c{patience}", losses, patience=patience)
        third.algorithm.set_state(second.algorithm.get_state())
        third.set_state(second.get_state())
        assert third.fit()
        assert third.step == ends_at
