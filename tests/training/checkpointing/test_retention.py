"""Which checkpoints stay, and which is the best."""

import math
import threading

import pytest
import torch

from poke.training.checkpointing import CheckpointManager, CheckpointMetadata
from poke.training.checkpointing import directory as checkpoint_directory


def save_all(manager, losses, *, name="val/loss"):
    """Save one checkpoint a step, from step 1 on; None stands for a save without an evaluation."""
    for step, loss in enumerate(losses, start=1):
        metrics = {} if loss is None else {name: loss}
        manager.save({}, CheckpointMetadata(0, step, metrics))
    manager.wait()


def steps(manager):
    return [metadata.step for metadata in manager.list_checkpoints()]


def best_step(manager):
    path = manager.get_best()
    return None if path is None else torch.load(path, weights_only=True)["metadata"]["step"]


def files(directory):
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize(
    ("mode", "losses", "best"),
    [
        ("min", [0.5, 0.2, 0.9], 2),
        ("max", [0.5, 0.2, 0.9], 3),
        ("min", [0.5, 0.0, 0.2], 2),
        ("max", [-0.5, 0.0, -0.2], 2),
        ("min", [-1.0, -3.0, 2.0], 2),
        ("max", [-3.0, -1.0, -2.0], 2),
        ("min", [math.nan, 3.0, math.nan], 2),
        ("max", [math.nan, -3.0, math.nan], 2),
        ("min", [math.inf, 5.0, math.inf], 2),
        ("min", [None, 4.0, None], 2),
        ("min", [1.0, 1.0, 1.0], 1),
        ("min", [math.nan, None], None),
    ],
)
def test_the_best_is_chosen_by_value(tmp_path, mode, losses, best):
    with CheckpointManager(tmp_path, mode=mode) as manager:
        save_all(manager, losses)
        assert best_step(manager) == best


def test_the_newest_are_kept_and_the_best_besides(tmp_path):
    with CheckpointManager(tmp_path, max_to_keep=2) as manager:
        save_all(manager, [0.5, 0.1, 0.9, 0.8, 0.7])
        assert steps(manager) == [2, 4, 5]
    assert files(tmp_path) == [
        "best.pt",
        "checkpoint_epoch0_step2.pt",
        "checkpoint_epoch0_step4.pt",
        "checkpoint_epoch0_step5.pt",
        "checkpoints.json",
    ]


def test_a_best_that_is_beaten_goes_with_the_old_ones(tmp_path):
    with CheckpointManager(tmp_path, max_to_keep=1) as manager:
        save_all(manager, [0.1, 0.5, 0.05])
        assert steps(manager) == [3]


def test_without_keep_best_only_the_newest_stay(tmp_path):
    with CheckpointManager(tmp_path, max_to_keep=1, keep_best=False) as manager:
        save_all(manager, [0.1, 0.5])
        assert manager.get_best() is None
    assert files(tmp_path) == ["checkpoint_epoch0_step2.pt", "checkpoints.json"]


def test_the_best_survives_a_restart_and_later_worse_ones(tmp_path):
    with CheckpointManager(tmp_path, max_to_keep=1) as manager:
        save_all(manager, [0.9, 0.1, 0.5])
    with CheckpointManager(tmp_path, max_to_keep=1) as manager:
        assert best_step(manager) == 2
        manager.save({}, CheckpointMetadata(0, 4, {"val/loss": 0.3}))
        assert best_step(manager) == 2
        assert manager.load(load_best=True).metadata.step == 2
        assert manager.best_metadata().step == 2


def test_another_monitor_after_a_restart_chooses_anew(tmp_path):
    with CheckpointManager(tmp_path) as manager:
        for step, (loss, accuracy) in enumerate([(0.1, 0.3), (0.2, 0.9)]):
            metrics = {"val/loss": loss, "val/accuracy": accuracy}
            manager.save({}, CheckpointMetadata(0, step, metrics))
    manager = CheckpointManager(tmp_path, monitor="val/accuracy", mode="max")
    assert best_step(manager) == 1


def test_best_is_the_same_file_not_a_second_copy(tmp_path):
    with CheckpointManager(tmp_path) as manager:
        save_all(manager, [0.5])
    assert (tmp_path / "best.pt").samefile(tmp_path / "checkpoint_epoch0_step1.pt")


def test_best_is_a_copy_where_links_fail(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", no_links)
    with CheckpointManager(tmp_path) as manager:
        save_all(manager, [0.5, 0.6])
        assert manager.load(manager.get_best()).metadata.step == 1
    assert not list(tmp_path.glob(".*"))


def test_milestones_are_never_pruned_though_saves_miss_the_multiples(tmp_path):
    with CheckpointManager(tmp_path, max_to_keep=1, keep_best=False, keep_every=100) as manager:
        for step in (0, 40, 80, 120, 160, 200, 240, 280, 520, 560):
            manager.save({}, CheckpointMetadata(0, step))
        assert steps(manager) == [120, 200, 520, 560]
    with CheckpointManager(tmp_path, max_to_keep=1, keep_best=False, keep_every=100) as manager:
        manager.save({}, CheckpointMetadata(0, 580))
        assert steps(manager) == [120, 200, 520, 580]


def test_none_keeps_all(tmp_path):
    with CheckpointManager(tmp_path, max_to_keep=None) as manager:
        save_all(manager, [None] * 12)
        assert len(steps(manager)) == 12


def test_what_the_caller_says_is_best_goes_before_the_monitor(tmp_path):
    with CheckpointManager(tmp_path) as manager:
        manager.save({}, CheckpointMetadata(0, 1, {"val/loss": 0.9}), is_best=True)
        manager.save({}, CheckpointMetadata(0, 2, {"val/loss": 0.1}))
        assert best_step(manager) == 1
    with CheckpointManager(tmp_path) as manager:
        assert best_step(manager) == 1


def test_what_the_caller_says_is_not_best_is_not(tmp_path):
    with CheckpointManager(tmp_path) as manager:
        manager.save({}, CheckpointMetadata(0, 1, {"val/loss": 0.1}), is_best=False)
        manager.save({}, CheckpointMetadata(0, 2, {"val/loss": 0.9}))
        assert best_step(manager) == 2


def test_the_best_is_known_before_it_is_written(tmp_path, monkeypatch):
    let_write = threading.Event()
    write = checkpoint_directory.written_segments
    monkeypatch.setattr(
        checkpoint_directory,
        "written_segments",
        lambda *arguments: let_write.wait(30) and write(*arguments),
    )
    with CheckpointManager(tmp_path) as manager:
        manager.save({}, CheckpointMetadata(0, 1, {"val/loss": 0.5}))
        assert manager.best_metadata().step == 1
        assert not list(tmp_path.iterdir())
        let_write.set()


def test_the_best_is_remembered_when_its_file_had_to_go(tmp_path):
    with CheckpointManager(tmp_path, max_to_keep=1, keep_best=False) as manager:
        save_all(manager, [0.5, 0.1, 0.9, 0.8])
        assert steps(manager) == [4]
        assert manager.best_metadata().step == 2
    assert CheckpointManager(tmp_path, keep_best=False).best_metadata().step == 4


def test_going_back_makes_the_best_of_what_is_left_the_best(tmp_path):
    with CheckpointManager(tmp_path, max_to_keep=2, keep_best=False) as manager:
        save_all(manager, [0.5, 0.7, 0.6, 0.1])
        manager.rewind(manager.load(tmp_path / "checkpoint_epoch0_step3.pt"))
        assert manager.best_metadata().step == 1
        manager.save({}, CheckpointMetadata(0, 4, {"val/loss": 0.55}))
        assert manager.best_metadata().step == 1
        manager.save({}, CheckpointMetadata(0, 5, {"val/loss": 0.45}))
        assert manager.best_metadata().step == 5


def test_a_step_that_is_saved_again_counts_once(tmp_path):
    with CheckpointManager(tmp_path) as manager:
        save_all(manager, [0.5, 0.1])
        manager.save({}, CheckpointMetadata(0, 2, {"val/loss": 0.9}))
        assert manager.best_metadata().step == 1
        assert best_step(manager) == 1
