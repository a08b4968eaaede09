"""A manager that was not opened yet reads, and changes nothing; and what `init_from=RUN` picks."""

import os
import shutil

import pytest
import torch

from poke.training.checkpointing import (
    CheckpointError,
    CheckpointManager,
    CheckpointMetadata,
    best_or_newest,
)


class Values:
    def __init__(self, state):
        self.state = state

    def get_state(self):
        return self.state

    def set_state(self, state):
        self.state = state


class Refuses(Values):
    def set_state(self, state):
        raise ValueError("not that one")


def save(manager, step):
    metadata = CheckpointMetadata(0, step, {"val/loss": abs(step - 2)})
    path = manager.save({"a": Values({"step": step})}, metadata)
    manager.wait()
    return path


def name(step):
    return f"checkpoint_epoch0_step{step}.pt"


def shorten(path):
    data = path.read_bytes()
    path.unlink()  # best.pt may be the same file
    path.write_bytes(data[:-9])


def tree(directory):
    """Everything that can be told of a directory's files."""
    return {
        str(path.relative_to(directory)): (
            path.stat().st_mtime_ns,
            path.stat().st_ino,
            None if path.is_dir() else path.read_bytes(),
        )
        for path in (directory, *directory.rglob("*"))
    }


@pytest.fixture
def run(tmp_path):
    """Four checkpoints, the second the best; a rewind lies behind them."""
    with CheckpointManager(tmp_path / "run") as manager:
        for step in (1, 2, 9):
            save(manager, step)
        manager.rewind(manager.load(tmp_path / "run" / name(2)))
        for step in (3, 4):
            save(manager, step)
    return tmp_path / "run"


def nothing(directory):
    pass


def damage_newest(directory):
    shorten(directory / name(4))


def damage_all(directory):
    for path in directory.glob("checkpoint_*"):
        shorten(path)


def lose_index(directory):
    (directory / "checkpoints.json").unlink()


def damage_index(directory):
    (directory / "checkpoints.json").write_text("{")


def lose_index_and_damage_newest(directory):
    lose_index(directory)
    damage_newest(directory)


def leave_temporary_files(directory):
    for where in (directory, directory / "superseded" / "1"):
        (where / ".123-abcd.tmp").write_bytes(b"half")


def remove_newest(directory):
    (directory / name(4)).unlink()


@pytest.mark.parametrize(
    ("spoil", "step"),
    [
        (nothing, 4),
        (damage_newest, 3),
        (damage_all, None),
        (lose_index, 4),
        (damage_index, 4),
        (lose_index_and_damage_newest, 3),
        (leave_temporary_files, 4),
        (remove_newest, 3),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_loading_and_a_refused_restore_touch_nothing(run, spoil, step, caplog):
    spoil(run)
    before = tree(run)
    manager = CheckpointManager(run, max_to_keep=1, keep_best=False, open_now=False)
    if step is None:
        with pytest.raises(CheckpointError, match="no usable checkpoint"):
            manager.load()
    else:
        checkpoint = manager.load()
        assert checkpoint.metadata.step == manager.list_checkpoints()[-1].step == step
        assert manager.best_metadata().step == 2
        with pytest.raises(CheckpointError, match="not that one"):
            manager.restore({"a": Refuses(None)}, checkpoint)
        with pytest.raises(CheckpointError, match="lacks the component b"):
            manager.restore({"a": Values(None), "b": Values(None)}, checkpoint)
        kept = Values(None)
        manager.restore({"a": kept}, checkpoint)
        assert kept.state == {"step": step}
    manager.close()
    assert "set aside" not in caplog.text
    assert tree(run) == before


def test_opening_does_what_was_put_off(run, caplog):
    damage_newest(run)
    leave_temporary_files(run)
    manager = CheckpointManager(run, open_now=False)
    assert manager.load().metadata.step == 3
    assert "trying the one before it" in caplog.text
    manager.open()
    assert f"{name(4)} set aside as {name(4)}.corrupt" in caplog.text
    assert not [path for path in run.rglob("*") if path.name.startswith(".")]
    assert (run / f"{name(4)}.corrupt").exists()
    assert [metadata.step for metadata in CheckpointManager(run).list_checkpoints()] == [1, 2, 3]


@pytest.mark.parametrize("change", ["save", "rewind", "emergency"])
def test_the_first_change_opens_it(run, change):
    leave_temporary_files(run)
    manager = CheckpointManager(run, open_now=False)
    checkpoint = manager.load(run / name(3))
    if change == "save":
        save(manager, 5)
    elif change == "rewind":
        manager.rewind(checkpoint)
    else:
        manager.save_emergency({}, CheckpointMetadata(0, 7))
    manager.close()
    assert not [path for path in run.rglob("*") if path.name.startswith(".")]


def test_what_was_saved_since_it_was_looked_at_is_not_lost(run):
    early = CheckpointManager(run, open_now=False)
    with CheckpointManager(run) as other:
        save(other, 5)
    early.open()
    assert [metadata.step for metadata in early.list_checkpoints()] == [1, 2, 3, 4, 5]


def test_a_directory_that_does_not_exist_is_created_by_opening_only(tmp_path):
    manager = CheckpointManager(tmp_path / "new" / "run", open_now=False)
    assert manager.list_checkpoints() == []
    assert manager.best_metadata() is None
    assert manager.get_best() is None
    assert not (tmp_path / "new").exists()
    manager.open()
    assert (tmp_path / "new" / "run").is_dir()


def copied_as_shuffled_files(run, tmp_path):
    """Copy a run as `cp -r` may: the oldest checkpoint is written last."""
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    for age, step in enumerate((4, 3, 2, 1)):
        os.utime(copy / name(step), (1000 + age, 1000 + age))
    return copy


def test_the_best_by_the_index_is_chosen_not_the_last_written(run, tmp_path):
    copy = copied_as_shuffled_files(run, tmp_path)
    before = tree(copy)
    assert best_or_newest(copy) == copy / name(2)
    assert tree(copy) == before
    (copy / name(2)).unlink()
    assert best_or_newest(str(copy)) == copy / "best.pt"
    (copy / "best.pt").unlink()
    assert best_or_newest(copy) == copy / name(4)


def test_without_a_best_the_newest_is_chosen(tmp_path):
    with CheckpointManager(tmp_path / "run", keep_best=False) as manager:
        for step in (1, 2, 3, 4):
            save(manager, step)
    copy = copied_as_shuffled_files(tmp_path / "run", tmp_path)
    assert best_or_newest(copy) == copy / name(4)
    torch.save({}, copy / name(7))
    assert best_or_newest(copy) == copy / name(4)


@pytest.mark.parametrize("spoil", [lose_index, damage_index])
def test_without_an_index_the_files_say_which(run, tmp_path, spoil):
    copy = copied_as_shuffled_files(run, tmp_path)
    spoil(copy)
    before = tree(copy)
    assert best_or_newest(copy) == copy / "best.pt"
    shorten(copy / "best.pt")
    assert best_or_newest(copy) == copy / name(4)
    damage_newest(copy)
    assert best_or_newest(copy) == copy / name(3)
    assert tree(copy).keys() == before.keys()


def test_where_there_is_no_checkpoint_none_is_chosen(tmp_path):
    assert best_or_newest(tmp_path / "nowhere") is None
    assert best_or_newest(tmp_path) is None
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be read"):
        best_or_newest(tmp_path / "file")
