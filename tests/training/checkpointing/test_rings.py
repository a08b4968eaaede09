"""Incremental state: a save writes the rows added since the last, a load puts the ring together."""

import pytest
import torch

from poke.training.checkpointing import CheckpointError, CheckpointManager, CheckpointMetadata


class Replay:
    """A replay buffer as an algorithm would keep it."""

    def __init__(self, capacity):
        self.columns = {
            "observation": torch.zeros(capacity, 50),
            "action": torch.zeros(capacity, dtype=torch.int64),
        }
        self.num_appended = 0
        self.generation = 0

    def append(self, count):
        for _ in range(count):
            row = self.num_appended % len(self.columns["action"])
            self.columns["observation"][row] = self.num_appended + 0.5
            self.columns["action"][row] = self.num_appended
            self.num_appended += 1

    def get_state(self):
        ring = {
            "ring_columns": self.columns,
            "num_appended": self.num_appended,
            "generation": self.generation,
        }
        return {"steps": ring, "temperature": 0.5}

    def set_state(self, state):
        ring = state["steps"]
        self.columns = {name: column.clone() for name, column in ring["ring_columns"].items()}
        self.num_appended = ring["num_appended"]
        self.generation = ring["generation"]


def save(manager, replay, step):
    path = manager.save({"source": replay}, CheckpointMetadata(0, step))
    manager.wait()
    return path


def assert_same(left, right):
    assert left.num_appended == right.num_appended
    for name, column in left.columns.items():
        assert torch.equal(column, right.columns[name])


def restored(directory, capacity, path=None):
    manager, replay = CheckpointManager(directory), Replay(capacity)
    manager.restore({"source": replay}, manager.load(path))
    return manager, replay


def segments(directory):
    return sorted(path.name.split("_")[1] for path in (directory / "segments").iterdir())


# Less than the capacity, exactly it, wrapping inside a save, more than the capacity in one save.
@pytest.mark.parametrize("counts", [(3, 4), (10, 0), (7, 6, 9), (4, 35, 1), (0, 5), (10, 10, 10)])
def test_every_checkpoint_restores_the_ring_as_it_was(tmp_path, counts):
    replay, copies = Replay(10), []
    with CheckpointManager(tmp_path, max_to_keep=None) as manager:
        for step, count in enumerate(counts):
            replay.append(count)
            path = save(manager, replay, step)
            copies.append((path, Replay(10)))
            copies[-1][1].append(replay.num_appended)
    for path, expected in copies:
        assert_same(restored(tmp_path, 10, path)[1], expected)


def test_large_saves_of_sizes_that_change_hold_their_own_rows_and_no_more(tmp_path):
    """Their buffers are kept from one save to the next, larger than they need be."""
    replay, copies = Replay(2000), []
    with CheckpointManager(tmp_path, max_to_keep=None) as manager:
        for step, count in enumerate([500, 490, 510, 600, 400, 1900, 450, 499]):
            replay.append(count)
            copies.append((save(manager, replay, step), Replay(2000)))
            copies[-1][1].append(replay.num_appended)
            newest = max(
                (tmp_path / "segments").iterdir(),
                key=lambda path: int(path.name.split("_")[1].split("-")[1]),
            )
            assert newest.stat().st_size < count * (50 * 4 + 8) + 10_000
    for path, expected in copies:
        assert_same(restored(tmp_path, 2000, path)[1], expected)


def test_a_save_writes_only_what_was_added(tmp_path):
    replay = Replay(1000)
    with CheckpointManager(tmp_path, max_to_keep=3) as manager:
        replay.append(900)
        save(manager, replay, 1)
        replay.append(10)
        path = save(manager, replay, 2)
    assert segments(tmp_path) == ["0-900", "900-910"]
    newest = next((tmp_path / "segments").glob("rows_900-*"))
    assert newest.stat().st_size + path.stat().st_size < 30_000


def test_a_resumed_run_goes_on_adding(tmp_path):
    replay = Replay(1000)
    replay.append(900)
    with CheckpointManager(tmp_path) as manager:
        save(manager, replay, 1)
    manager, again = restored(tmp_path, 1000)
    again.append(200)
    save(manager, again, 2)
    manager.close()
    assert segments(tmp_path) == ["0-900", "900-1100"]
    assert_same(restored(tmp_path, 1000)[1], again)


def test_segments_that_no_checkpoint_needs_are_deleted(tmp_path):
    replay = Replay(10)
    with CheckpointManager(tmp_path, max_to_keep=1) as manager:
        for step in range(6):
            replay.append(5)
            save(manager, replay, step)
    assert segments(tmp_path) == ["20-25", "25-30"]


def test_rows_changed_in_place_are_written_anew_when_the_generation_rises(tmp_path):
    replay = Replay(10)
    with CheckpointManager(tmp_path) as manager:
        replay.append(8)
        save(manager, replay, 1)
        replay.columns["observation"][2] = -1
        replay.generation += 1
        save(manager, replay, 2)
    assert_same(restored(tmp_path, 10)[1], replay)


def test_a_ring_that_starts_over_is_written_anew(tmp_path):
    with CheckpointManager(tmp_path) as manager:
        replay = Replay(10)
        replay.append(8)
        save(manager, replay, 1)
        replay = Replay(10)
        replay.append(3)
        save(manager, replay, 2)
    assert_same(restored(tmp_path, 10)[1], replay)


def test_the_branch_left_by_a_rewind_is_not_mixed_in(tmp_path):
    replay = Replay(100)
    with CheckpointManager(tmp_path) as manager:
        replay.append(10)
        first = save(manager, replay, 1)
        replay.append(10)
        save(manager, replay, 2)
    manager, other = restored(tmp_path, 100, first)
    manager.rewind(manager.load(first))
    other.append(10)
    other.columns["observation"][10:20] = -7
    save(manager, other, 2)
    manager.close()
    assert_same(restored(tmp_path, 100)[1], other)
    aside = tmp_path / "superseded" / "1" / "checkpoint_epoch0_step2.pt"
    assert_same(restored(tmp_path, 100, aside)[1], replay)


def test_many_small_segments_are_merged(tmp_path, monkeypatch):
    monkeypatch.setattr("poke.training.checkpointing.segments.MAX_SEGMENTS", 4)
    replay = Replay(1000)
    with CheckpointManager(tmp_path, max_to_keep=1) as manager:
        for step in range(10):
            replay.append(3)
            save(manager, replay, step)
            assert len(segments(tmp_path)) <= 4
    assert_same(restored(tmp_path, 1000)[1], replay)


def test_a_damaged_segment_makes_the_checkpoint_unusable_and_the_older_one_serves(tmp_path):
    replay = Replay(100)
    with CheckpointManager(tmp_path) as manager:
        replay.append(10)
        save(manager, replay, 1)
        older = Replay(100)
        older.append(10)
        replay.append(10)
        save(manager, replay, 2)
    segment = next((tmp_path / "segments").glob("rows_10-20*"))
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    assert_same(restored(tmp_path, 100)[1], older)
    with pytest.raises(CheckpointError, match="does not exist"):
        CheckpointManager(tmp_path).load(tmp_path / "checkpoint_epoch0_step2.pt")


def test_a_segment_outside_the_directory_is_refused(tmp_path):
    replay = Replay(10)
    replay.append(3)
    with CheckpointManager(tmp_path) as manager:
        path = save(manager, replay, 1)
    contents = torch.load(path, weights_only=True)
    contents["components"]["source"]["steps"]["segments"][0]["file"] = "../../secret.pt"
    contents["format_version"] = 1
    outside = tmp_path / "outside.pt"
    torch.save(contents, outside)
    with pytest.raises(CheckpointError, match=r"names the segment '../../secret\.pt'"):
        manager.load(outside)


def test_an_emergency_checkpoint_needs_no_segments(tmp_path):
    replay = Replay(10)
    replay.append(7)
    with CheckpointManager(tmp_path) as manager:
        save(manager, replay, 1)
        path = manager.save_emergency({"source": replay}, CheckpointMetadata(0, 2))
    for segment in (tmp_path / "segments").iterdir():
        segment.unlink()
    assert_same(restored(tmp_path, 10, path)[1], replay)


def test_columns_of_different_lengths_are_refused(tmp_path):
    replay = Replay(10)
    replay.columns["action"] = torch.zeros(9)
    with pytest.raises(TypeError, match=r"source\.steps has columns of lengths \[9, 10\]"):
        CheckpointManager(tmp_path).save({"source": replay}, CheckpointMetadata(0, 1))
