"""What the index does not know is the user's: it stays, whatever is saved, deleted or gone back to."""

import json
import os
import shutil

import pytest
import torch

from poke.checkpoints import main
from poke.training.checkpointing import CheckpointError, CheckpointManager, CheckpointMetadata
from poke.training.checkpointing.index import _checksum


class Values:
    def __init__(self, state):
        self.state = state

    def get_state(self):
        return self.state

    def set_state(self, state):
        self.state = state


class Replay:
    """A replay buffer of one column."""

    def __init__(self):
        self.values = torch.zeros(100)
        self.count = 0

    def append(self, *values):
        for value in values:
            self.values[self.count] = value
            self.count += 1

    def get_state(self):
        columns = {"value": self.values}
        return {"ring_columns": columns, "num_appended": self.count, "generation": 0}


def save(manager, *steps, text=""):
    for step in steps:
        metadata = CheckpointMetadata(0, step, {"val/loss": 1 / (1 + step)})
        path = manager.save({"a": Values({"text": f"{text}{step}"})}, metadata)
    manager.wait()
    return path


def steps(manager):
    return [metadata.step for metadata in manager.list_checkpoints()]


def name(step):
    return f"checkpoint_epoch0_step{step}.pt"


def text_in(path):
    return torch.load(path, weights_only=True)["components"]["a"]["text"]


@pytest.fixture
def copied_back(tmp_path):
    """A directory whose step 3 was superseded by a rewind and then copied back, beside another .pt."""
    with CheckpointManager(tmp_path) as manager:
        save(manager, 1, 2, 3)
        manager.rewind(manager.load(tmp_path / name(2)))
    shutil.copy(tmp_path / "superseded" / "1" / name(3), tmp_path / name(3))
    torch.save({"mine": 1}, tmp_path / "mine.pt")
    return tmp_path


def test_a_file_copied_back_is_not_listed_and_not_resumed_from_unasked(copied_back):
    manager = CheckpointManager(copied_back)
    assert steps(manager) == [1, 2]
    assert manager.load().metadata.step == 2
    assert manager.load(load_best=True).metadata.step == 2
    assert text_in(copied_back / name(3)) == "3"


def test_no_deletion_takes_foreign_files(copied_back):
    before = {file: (copied_back / file).read_bytes() for file in (name(3), "mine.pt")}
    with CheckpointManager(copied_back, max_to_keep=1, keep_best=False, keep_every=10) as manager:
        save(manager, *range(4, 15))
        assert steps(manager) == [10, 14]
    assert main(["prune", str(copied_back), "--max-to-keep", "1"]) == 0
    assert main(["prune", str(copied_back), "--keep-every", "1000", "--leftovers"]) == 0
    assert {file: (copied_back / file).read_bytes() for file in before} == before
    assert sorted(path.name for path in copied_back.glob("checkpoint_*")) == [name(14), name(3)]


def test_a_pruned_file_that_is_put_back_stays(tmp_path):
    with CheckpointManager(tmp_path, max_to_keep=1, keep_best=False) as manager:
        shutil.copy(save(manager, 1), tmp_path.parent / "backup.pt")
        save(manager, 2)
    shutil.copy(tmp_path.parent / "backup.pt", tmp_path / name(1))
    for _ in range(2):
        with CheckpointManager(tmp_path, max_to_keep=1, keep_best=False) as manager:
            assert steps(manager)[0] >= 2
            save(manager, steps(manager)[-1] + 1)
    assert (tmp_path / name(1)).exists()


def test_a_save_that_takes_its_name_moves_it_out_of_the_way(copied_back, caplog):
    with CheckpointManager(copied_back) as manager:
        save(manager, 3, text="new ")
        assert steps(manager) == [1, 2, 3]
    assert text_in(copied_back / name(3)) == "new 3"
    assert text_in(copied_back / "superseded" / "2" / name(3)) == "3"
    said = [record.getMessage() for record in caplog.records if "none of this" in record.msg]
    assert len(said) == 1
    assert said[0].endswith("superseded/2")


def test_a_listed_file_that_was_replaced_is_moved_out_of_the_way_too(tmp_path):
    with CheckpointManager(tmp_path / "other") as other:
        theirs = save(other, 2, text="their ")
    with CheckpointManager(tmp_path / "run") as manager:
        ours = save(manager, 1, 2)
        shutil.copy(theirs, ours)
        save(manager, 2, text="new ")
    assert text_in(ours) == "new 2"
    assert text_in(tmp_path / "run" / "superseded" / "1" / name(2)) == "their 2"


def test_somebodys_own_best_and_emergency_are_moved_not_overwritten(tmp_path):
    with CheckpointManager(tmp_path / "other") as other:
        theirs = save(other, 9, text="their ")
    run = tmp_path / "run"
    with CheckpointManager(run) as manager:
        save(manager, 1)
        shutil.copy(theirs, run / "theirs")
        os.replace(run / "theirs", run / "best.pt")
        save(manager, 2)
        assert text_in(manager.get_best()) == "2"
        for text in ("first", "second"):
            components = {"a": Values({"text": text})}
            path = manager.save_emergency(components, CheckpointMetadata(0, 5))
    assert text_in(run / "superseded" / "1" / "best.pt") == "their 9"
    assert text_in(run / "superseded" / "2" / path.name) == "first"
    assert text_in(path) == "second"


def test_going_back_to_a_foreign_file_adopts_it(copied_back):
    with CheckpointManager(copied_back) as manager:
        save(manager, 4, 5)
        manager.rewind(manager.load(copied_back / name(3)))
        assert steps(manager) == [1, 2, 3]
        assert manager.best_metadata().step == 3
    manager = CheckpointManager(copied_back)
    assert manager.load().components["a"] == {"text": "3"}
    assert text_in(manager.get_best()) == "3"
    moved = copied_back / "superseded" / "2"
    assert sorted(path.name for path in moved.iterdir()) == [name(4), name(5)]


def test_going_back_to_a_file_put_over_a_listed_one(tmp_path):
    with CheckpointManager(tmp_path) as manager:
        save(manager, 1, 2, 3)
        manager.rewind(manager.load(tmp_path / name(1)))
        save(manager, 2, text="new ")
    shutil.copy(tmp_path / "superseded" / "1" / name(2), tmp_path / name(2))
    with CheckpointManager(tmp_path) as manager:
        manager.rewind(manager.load(tmp_path / name(2)))
        save(manager, 4)
    manager = CheckpointManager(tmp_path)
    assert steps(manager) == [1, 2, 4]
    assert manager.load(tmp_path / name(2)).components["a"] == {"text": "2"}


@pytest.mark.parametrize("kind", ["emergency", "named by hand"])
def test_going_back_to_a_file_of_another_name_lists_what_is_older(tmp_path, kind):
    with CheckpointManager(tmp_path) as manager:
        save(manager, 1, 2)
        path = manager.save_emergency({"a": Values({"text": "3"})}, CheckpointMetadata(0, 3))
        if kind == "named by hand":
            path = path.rename(tmp_path / "mine.pt")
        save(manager, 4, 5)
        manager.rewind(manager.load(path))
        assert steps(manager) == [1, 2]
    assert steps(CheckpointManager(tmp_path)) == [1, 2]
    assert text_in(path) == "3"


def test_going_back_to_a_file_that_changed_since_it_was_read_is_refused(tmp_path):
    with CheckpointManager(tmp_path) as manager:
        save(manager, 1, 2)
        checkpoint = manager.load(tmp_path / name(1))
        checkpoint.path.unlink()
        with pytest.raises(CheckpointError, match="is no checkpoint of"):
            manager.rewind(checkpoint)
        assert steps(manager) == [1, 2]


def test_rows_that_a_foreign_file_needs_stay(tmp_path):
    replay = Replay()
    with CheckpointManager(tmp_path) as manager:
        for step in (1, 2):
            replay.append(step)
            manager.save({"replay": replay}, CheckpointMetadata(0, step))
        manager.rewind(manager.load(tmp_path / name(1)))
    shutil.copytree(tmp_path / "superseded" / "1", tmp_path / "copy")
    shutil.copytree(tmp_path / "copy", tmp_path, dirs_exist_ok=True)

    def values(path):
        return manager.load(path).components["replay"]["ring_columns"]["value"][:2].tolist()

    with CheckpointManager(tmp_path, max_to_keep=1) as manager:
        other = Replay()
        for step in (3, 4, 5):
            other.append(-step)
            manager.save({"replay": other}, CheckpointMetadata(0, step))
        manager.wait()
        assert values(tmp_path / name(2)) == [1, 2]
        manager.save({"replay": other}, CheckpointMetadata(0, 2))
        manager.wait()
        assert values(tmp_path / "superseded" / "2" / name(2)) == [1, 2]


def test_going_back_without_restoring_does_not_build_on_rows_that_went(tmp_path):
    replay = Replay()
    with CheckpointManager(tmp_path) as manager:
        for step in (1, 2, 3):
            replay.append(step)
            manager.save({"replay": replay}, CheckpointMetadata(0, step))
        manager.rewind(manager.load(tmp_path / name(1)))
        manager.save({"replay": replay}, CheckpointMetadata(0, 4))
        manager.wait()
        ring = manager.load(tmp_path / name(4)).components["replay"]
    assert ring["ring_columns"]["value"][:3].tolist() == [1, 2, 3]


@pytest.mark.parametrize("kind", ["copy", "link"])
def test_a_users_own_copy_in_superseded_stays(tmp_path, kind):
    with CheckpointManager(tmp_path) as manager:
        path = save(manager, 1, 2)
    mine = tmp_path / "superseded" / "7" / name(2)
    mine.parent.mkdir(parents=True)
    if kind == "copy":
        shutil.copy(path, mine)
    else:
        os.link(path, mine)
    with CheckpointManager(tmp_path) as manager:
        manager.rewind(manager.load(tmp_path / name(1)))
    CheckpointManager(tmp_path)
    assert mine.exists()
    assert (tmp_path / "superseded" / "8" / name(2)).exists()


def test_an_index_of_version_1_is_read_and_what_it_does_not_list_is_foreign(tmp_path):
    with CheckpointManager(tmp_path) as manager:
        for step in (1, 2, 3):
            metadata = CheckpointMetadata(0, step, {"val/loss": step}, config={"lr": 0.1})
            manager.save({}, metadata)
    path = tmp_path / "checkpoints.json"
    contents = json.loads(path.read_text())
    assert contents["index_version"] == 2
    (config,) = contents.pop("configs").values()
    assert config == {"lr": 0.1}
    for key in ("checksum", "publishing", "deleting"):
        del contents[key]
    del contents["checkpoints"][2]
    for entry in contents["checkpoints"]:
        entry["config"] = config
        del entry["data"]
    contents["index_version"] = 1
    contents["checksum"] = _checksum(contents)
    path.write_text(json.dumps(contents))
    manager = CheckpointManager(tmp_path)
    assert [metadata.config for metadata in manager.list_checkpoints()] == [{"lr": 0.1}] * 2
    assert steps(manager) == [1, 2]
    assert (tmp_path / name(3)).exists()


@pytest.mark.parametrize("what", ["lost", "damaged"])
def test_without_an_index_every_whole_file_is_taken_and_none_deleted(copied_back, what):
    index = copied_back / "checkpoints.json"
    if what == "lost":
        index.unlink()
    else:
        index.write_text(index.read_text().replace("step", "stop", 1))
    manager = CheckpointManager(copied_back, max_to_keep=1)
    assert steps(manager) == [1, 2, 3]
    assert (copied_back / "mine.pt").exists()
    save(manager, 4)
    assert steps(manager) == [4]
