"""Tensors that processes share, saved through torch: whole, or not there; and nothing of them is read unverified."""

import os
import pickle
import random
import shutil
from collections import OrderedDict

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

from poke.training.checkpointing import CheckpointError, CheckpointManager, CheckpointMetadata
from poke.training.checkpointing import writer as writing
from poke.training.checkpointing.files import hash_file
from poke.training.checkpointing.shards import Shards, read_shards

from .test_faults import Payload, Values, flipped

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def shards():
    return Shards(0, dist.group.WORLD, dist.group.WORLD)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(writing, "RETRY_SECONDS", ())
    monkeypatch.setattr(writing, "LAST_RETRY_SECONDS", ())


def component(mesh, step):
    """A state as of a policy and its optimizer: shared tensors among values of all kinds."""
    network = OrderedDict(
        weight=distribute_tensor(torch.arange(12.0).reshape(6, 2) + step, mesh, [Shard(0)]),
        bias=distribute_tensor(torch.full((3,), float(step)), mesh, [Replicate()]),
    )
    network._metadata = {"": {"version": 1}}
    moments = {0: {"step": torch.tensor(float(step)), "exp_avg": network["weight"] * 2}}
    return Values({"network": network, "optimizer": {"state": moments, "lr": [0.5, None, "x"]}})


def save(manager, mesh, step):
    return manager.save(
        {"a": component(mesh, step)}, CheckpointMetadata(0, step, {"val/loss": step})
    )


def expected(step):
    weight = torch.arange(12.0).reshape(6, 2) + step
    return weight, torch.full((3,), float(step)), weight * 2


def assert_is(checkpoint, step):
    state = checkpoint.components["a"]
    found = (
        *state["network"].values(),
        state["optimizer"]["state"][0]["exp_avg"],
    )
    for ours, theirs in zip(found, expected(step), strict=True):
        assert not isinstance(ours, DTensor)
        assert torch.equal(ours, theirs)
    assert state["network"]._metadata == {"": {"version": 1}}
    assert state["optimizer"]["lr"] == [0.5, None, "x"]
    assert float(state["optimizer"]["state"][0]["step"]) == step


def files(directory):
    return sorted(str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file())


def shard_files(directory, step):
    return sorted((directory / "segments").glob(f"shards_epoch0_step{step}_*/*"))


@pytest.fixture
def two(tmp_path, mesh, shards):
    """A directory with checkpoints of the steps 1 and 2."""
    with CheckpointManager(tmp_path / "good", shards=shards) as manager:
        save(manager, mesh, 1)
        save(manager, mesh, 2)
    return tmp_path / "good"


def test_what_is_read_is_whole_wherever_it_is_read(two):
    manager = CheckpointManager(two, open_now=False)
    assert_is(manager.load(), 2)
    assert_is(manager.load(two / "checkpoint_epoch0_step1.pt"), 1)
    assert_is(manager.load(two / "best.pt"), 1)
    assert [p.name for p in shard_files(two, 2)] == [".metadata", "__0_0.distcp"]


def test_a_restored_component_gets_plain_tensors(two):
    manager, taker = CheckpointManager(two, open_now=False), Values(None)
    manager.restore({"a": taker}, manager.load())
    assert torch.equal(taker.state["network"]["weight"], expected(2)[0])


def test_no_flipped_byte_loads_silently(two, tmp_path):
    generator = random.Random(0)
    for number in range(60):
        directory = tmp_path / "run"
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(two, directory)
        path = shard_files(directory, 2)[number % 2]
        data = path.read_bytes()
        position = generator.randrange(len(data))
        path.write_bytes(flipped(data, position, generator.randrange(8)))
        if number % 3 == 0:
            (directory / "checkpoints.json").unlink()
        manager = CheckpointManager(directory)
        assert_is(manager.load(), 1)
        assert (directory / "checkpoint_epoch0_step2.pt.corrupt").exists()


@pytest.mark.parametrize("number", [0, 1])
def test_a_file_that_is_missing_or_cut_is_found(two, number):
    path = shard_files(two, 2)[number]
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(CheckpointError, match="is damaged"):
        CheckpointManager(two, open_now=False).load(two / "checkpoint_epoch0_step2.pt")
    path.unlink()
    with pytest.raises(CheckpointError, match="does not exist"):
        CheckpointManager(two, open_now=False).load(two / "checkpoint_epoch0_step2.pt")


def recorded(directory, place):
    records = [hash_file(path) for path in place.iterdir()]
    return {
        "directory": place.name,
        "files": [
            {"file": r.name, "size_bytes": r.size_bytes, "digest": r.digest} for r in records
        ],
    }


def test_a_pickle_payload_with_a_right_hash_is_refused_and_never_runs(two, tmp_path):
    place = shard_files(two, 2)[0].parent
    marker = tmp_path / "code_was_run"
    (place / ".metadata").write_bytes(pickle.dumps(Payload(marker)))
    with pytest.raises(CheckpointError, match="pickle payload") as raised:
        read_shards({"a": {"sharded_tensor": "a.b"}}, two, recorded(two, place))
    assert "\n" not in str(raised.value)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["../../secret", "shards_epoch0_step2_ff"])
def test_a_shard_outside_the_directory_is_refused(two, name):
    record = {**recorded(two, shard_files(two, 2)[0].parent), "directory": name}
    with pytest.raises(CheckpointError, match="names the shard"):
        read_shards({}, two, record)


def test_shards_go_with_their_checkpoint(tmp_path, mesh, shards):
    with CheckpointManager(tmp_path, max_to_keep=1, keep_best=False, shards=shards) as manager:
        for step in (1, 2, 3):
            save(manager, mesh, step)
    assert [p.name for p in (tmp_path / "segments").iterdir()] == [
        shard_files(tmp_path, 3)[0].parent.name
    ]
    assert_is(CheckpointManager(tmp_path).load(), 3)


def test_shards_go_with_their_checkpoint_when_the_index_was_lost(two, mesh, shards):
    (two / "checkpoints.json").unlink()
    with CheckpointManager(two, max_to_keep=1, keep_best=False, shards=shards) as manager:
        save(manager, mesh, 3)
    assert shard_files(two, 1) == shard_files(two, 2) == []
    assert len(list((two / "segments").iterdir())) == 1


def test_what_a_copy_of_ones_own_needs_stays(two, mesh, shards):
    shutil.copy(two / "checkpoint_epoch0_step1.pt", two / "mine.pt")
    with CheckpointManager(two, max_to_keep=1, keep_best=False, shards=shards) as manager:
        save(manager, mesh, 3)
    assert shard_files(two, 2) == []
    assert_is(CheckpointManager(two).load(two / "mine.pt"), 1)


def test_a_rewind_keeps_the_branch_that_was_left_whole(two, mesh, shards):
    manager = CheckpointManager(two, shards=shards)
    manager.rewind(manager.load(two / "checkpoint_epoch0_step1.pt"))
    assert shard_files(two, 2) == []
    aside = two / "superseded" / "1"
    assert_is(manager.load(aside / "checkpoint_epoch0_step2.pt"), 2)
    save(manager, mesh, 2)
    manager.close()
    assert_is(CheckpointManager(two).load(), 2)
    assert_is(manager.load(aside / "checkpoint_epoch0_step2.pt"), 2)


class Failing(Shards):
    """Leaves a part behind, and fails."""

    def write(self, directory):
        (directory / "__0_0.distcp").write_bytes(b"half")
        raise OSError(28, "No space left on device")


def test_a_part_that_cannot_be_written_leaves_the_checkpoints_before(two, mesh, caplog):
    before = files(two)
    manager = CheckpointManager(two, shards=Failing(0, dist.group.WORLD, dist.group.WORLD))
    save(manager, mesh, 3)
    with pytest.raises(CheckpointError, match="No space left"):
        manager.close()
    assert files(two) == before
    assert_is(CheckpointManager(two).load(), 2)


def test_what_a_killed_process_left_is_swept_at_the_next_start(two):
    before = files(two)
    half = two / "segments" / ".12-abcd.tmp"
    half.mkdir()
    (half / "__0_0.distcp").write_bytes(b"half")
    CheckpointManager(two)
    assert files(two) == before


def test_a_shard_directory_without_its_checkpoint_is_deleted_at_the_next_start(two, mesh, shards):
    """Killed after the directory got its name, and before the checkpoint's file did."""
    manager = CheckpointManager(two, shards=shards)
    index = (two / "checkpoints.json").read_bytes()
    committed = []

    def keep(directory, index):
        committed.append(original(directory, index) or (two / "checkpoints.json").read_bytes())

    from poke.training.checkpointing import directory as module

    original, module.write_index = module.write_index, keep
    try:
        save(manager, mesh, 3)
        manager.close()
    finally:
        module.write_index = original
    publishing = next(text for text in committed if text != index)
    (two / "checkpoint_epoch0_step3.pt").unlink()
    (two / "checkpoints.json").write_bytes(publishing)
    assert shard_files(two, 3)
    CheckpointManager(two)
    assert shard_files(two, 3) == []
    assert_is(CheckpointManager(two).load(), 2)


def test_an_emergency_checkpoint_would_need_all_and_is_none(two, mesh, shards):
    manager = CheckpointManager(two, shards=shards)
    with pytest.raises(CheckpointError, match="each rank has a part"):
        manager.save_emergency({"a": component(mesh, 9)}, CheckpointMetadata(0, 9))
    assert not list(two.glob("emergency*"))


def test_what_is_saved_is_the_state_of_that_moment(tmp_path, mesh, shards):
    layer = nn.Parameter(distribute_tensor(torch.zeros(4), mesh, [Shard(0)]))
    with CheckpointManager(tmp_path, shards=shards) as manager:
        manager.save({"a": Values({"w": layer})}, CheckpointMetadata(0, 1))
        with torch.no_grad():
            layer.fill_(1.0)
    assert CheckpointManager(tmp_path).load().components["a"]["w"].tolist() == [0.0] * 4


def test_files_are_never_world_writable(tmp_path, mesh, shards):
    before = os.umask(0)
    try:
        with CheckpointManager(tmp_path, shards=shards) as manager:
            save(manager, mesh, 1)
    finally:
        os.umask(before)
    places = [*shard_files(tmp_path, 1), shard_files(tmp_path, 1)[0].parent]
    assert not any(path.stat().st_mode & 0o002 for path in places)
