"""What a user of CheckpointManager sees: save, load, restore, resume in a fresh process."""

import json
import logging
import math
import random
import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from poke.training.checkpointing import (
    CheckpointError,
    CheckpointManager,
    CheckpointMetadata,
    load_components,
)
from poke.training.checkpointing import directory as checkpoint_directory


class Values:
    """A component whose state is whatever it was given."""

    def __init__(self, state):
        self.state = state

    def get_state(self):
        return self.state

    def set_state(self, state):
        self.state = state


def metadata(step, loss=None, epoch=0):
    return CheckpointMetadata(epoch, step, {} if loss is None else {"val/loss": loss})


def trained_network():
    network = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8))
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        network(torch.randn(16, 4)).square().mean().backward()
        optimizer.step()
    return network, optimizer


def assert_equal_state(left, right):
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right)
    elif isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_equal_state(left[key], right[key])
    elif isinstance(left, (list, tuple)):
        assert len(left) == len(right)
        for a, b in zip(left, right, strict=True):
            assert_equal_state(a, b)
    else:
        assert left == right


@pytest.mark.parametrize("async_save", [True, False])
def test_a_network_and_its_optimizer_come_back_bit_for_bit(tmp_path, async_save):
    network, optimizer = trained_network()
    with CheckpointManager(tmp_path, async_save=async_save) as manager:
        manager.save({"network": network, "optimizer": optimizer}, metadata(3))
    other_network, other_optimizer = trained_network()
    manager = CheckpointManager(tmp_path)
    restored = manager.restore(
        {"network": other_network, "optimizer": other_optimizer}, manager.load()
    )
    assert restored.step == 3
    assert_equal_state(dict(network.state_dict()), dict(other_network.state_dict()))
    assert_equal_state(optimizer.state_dict(), other_optimizer.state_dict())


def test_the_file_is_what_the_design_says(tmp_path):
    with CheckpointManager(tmp_path) as manager:
        path = manager.save({"a": Values({"x": torch.arange(3)})}, metadata(7, 0.5, epoch=2))
    assert path == tmp_path / "checkpoint_epoch2_step7.pt"
    contents = torch.load(path, weights_only=True)
    assert contents.keys() == {"components", "metadata", "random_states", "format_version"}
    assert contents["metadata"]["metrics"] == {"val/loss": 0.5}
    assert torch.equal(contents["components"]["a"]["x"], torch.arange(3))
    assert {"python", "numpy", "torch", "cuda"} <= contents["random_states"].keys()


def test_synchronous_and_background_saves_write_the_same_bytes(tmp_path):
    when = datetime(2026, 1, 2, tzinfo=UTC)
    network, optimizer = trained_network()
    files = []
    for async_save in (True, False):
        with CheckpointManager(tmp_path / str(async_save), async_save=async_save) as manager:
            components = {"network": network, "optimizer": optimizer}
            files.append(manager.save(components, CheckpointMetadata(0, 1, {}, when)))
    assert files[0].read_bytes() == files[1].read_bytes()


def test_metadata_survives_the_round_trip():
    given = CheckpointMetadata(
        2, 120, {"train/loss": 0.25, "val/accuracy": 0.0, "val/loss": -1.5}, config={"seed": 1}
    )
    assert (given.train_loss, given.val_loss, given.val_accuracy) == (0.25, -1.5, 0.0)
    assert given.train_accuracy is None
    assert CheckpointMetadata.from_dict(json.loads(json.dumps(given.to_dict()))) == given
    with pytest.raises(CheckpointError, match="step"):
        CheckpointMetadata.from_dict({"epoch": 1})
    with pytest.raises(ValueError, match=">= 0"):
        CheckpointMetadata(0, -1)


def test_metadata_stands_in_the_file_and_in_the_index_alike(tmp_path):
    given = CheckpointMetadata(
        1, 5, {"val/loss": math.inf, "val/accuracy": math.nan}, config={"algo": {"lr": 0.1}}
    )
    with CheckpointManager(tmp_path) as manager:
        manager.save({"a": Values({})}, given)
    reopened = CheckpointManager(tmp_path)
    for seen in (reopened.list_checkpoints()[0], reopened.load().metadata):
        assert seen.config == {"algo": {"lr": 0.1}}
        assert seen.timestamp == given.timestamp
        assert seen.val_loss == math.inf
        assert math.isnan(seen.val_accuracy)
    text = (tmp_path / "checkpoints.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["checkpoints"][0]["step"] == 5


def test_the_index_holds_each_config_once(tmp_path):
    first, second = {"algo": {"lr": 0.1}}, {"algo": {"lr": 0.2}}
    with CheckpointManager(tmp_path, max_to_keep=None) as manager:
        for step in range(6):
            config = dict(first) if step < 4 else second
            manager.save({}, CheckpointMetadata(0, step, config=config))
        manager.save({}, CheckpointMetadata(0, 6))
    reopened = CheckpointManager(tmp_path)
    expected = [first] * 4 + [second] * 2 + [None]
    assert [seen.config for seen in reopened.list_checkpoints()] == expected
    assert (tmp_path / "checkpoints.json").read_text().count('"lr"') == 2


def test_what_was_trained_on_is_in_the_file_and_in_the_index(tmp_path):
    fingerprint = {"train": {"sha256": "ab12", "rows": 10}}
    with CheckpointManager(tmp_path) as manager:
        manager.save({}, CheckpointMetadata(0, 1, data=fingerprint))
        manager.save({}, CheckpointMetadata(0, 2))
    reopened = CheckpointManager(tmp_path)
    assert [seen.data for seen in reopened.list_checkpoints()] == [fingerprint, None]
    assert reopened.load(tmp_path / "checkpoint_epoch0_step1.pt").metadata.data == fingerprint
    older = CheckpointMetadata(0, 1).to_dict()
    del older["data"]
    assert CheckpointMetadata.from_dict(older).data is None


def test_listing_is_oldest_first_by_step_not_by_name(tmp_path):
    with CheckpointManager(tmp_path, max_to_keep=None) as manager:
        for step in (2, 10, 100):
            manager.save({"a": Values({})}, metadata(step))
        assert [seen.step for seen in manager.list_checkpoints()] == [2, 10, 100]
        assert manager.load().metadata.step == 100


@pytest.mark.parametrize(
    ("components", "message"),
    [
        ({"a": Values(None)}, "holds the component b"),
        ({"a": Values(None), "b": Values(None), "c": Values(None)}, "lacks the component c"),
    ],
)
def test_restore_is_strict_both_ways_and_names_the_component(tmp_path, components, message):
    with CheckpointManager(tmp_path) as manager:
        manager.save({"a": Values({"x": 1}), "b": Values({"x": 2})}, metadata(1))
    with pytest.raises(CheckpointError, match=message):
        manager.restore(components, manager.load())
    assert components["a"].state is None


LINEAR = torch.nn.Linear(2, 3)


@pytest.mark.parametrize(
    ("component", "said"),
    [
        (
            torch.nn.Linear(2, 4),
            "size mismatch for weight: (3, 2) in the checkpoint, (4, 2) here, and 1 more",
        ),
        (torch.nn.Linear(2, 3, bias=False), "bias is only in the checkpoint"),
        (
            torch.nn.Sequential(LINEAR),
            "0.weight is not in the checkpoint, and 3 more",
        ),
        (
            torch.optim.SGD(LINEAR.parameters()),
            "it has no 'param_groups'",
        ),
    ],
)
def test_a_component_that_refuses_its_state_is_named_with_the_reason(tmp_path, component, said):
    with CheckpointManager(tmp_path) as manager:
        path = manager.save({"algorithm": LINEAR}, metadata(1))
    with pytest.raises(CheckpointError) as raised:
        manager.restore({"algorithm": component}, manager.load())
    assert str(raised.value) == f"{path}: algorithm does not take its state: {said}"


def test_components_get_their_states_in_the_order_they_are_given(tmp_path):
    order = []

    class Noting(Values):
        def set_state(self, state):
            order.append(state)

    with CheckpointManager(tmp_path) as manager:
        manager.save({"a": Values(1), "b": Values(2), "c": Values(3)}, metadata(1))
    part = Noting(None)
    manager.restore({"c": part, "a": part, "b": part}, manager.load())
    assert order == [3, 1, 2]


def test_training_may_change_the_state_as_soon_as_save_returns(tmp_path, monkeypatch):
    let_write = threading.Event()
    write = checkpoint_directory.written_segments
    monkeypatch.setattr(
        checkpoint_directory,
        "written_segments",
        lambda *arguments: let_write.wait(30) and write(*arguments),
    )
    weights = torch.zeros(1000)
    state = {"weights": weights, "history": [1, 2], "inner": {"count": 1}}
    manager = CheckpointManager(tmp_path)
    manager.save({"a": Values(state)}, metadata(1))
    weights += 1
    state["history"].append(3)
    state["inner"]["count"] = 2
    let_write.set()
    manager.wait()
    saved = manager.load().components["a"]
    assert torch.equal(saved["weights"], torch.zeros(1000))
    assert saved["history"] == [1, 2]
    assert saved["inner"] == {"count": 1}


def test_every_save_of_a_loop_holds_its_own_values(tmp_path):
    weights = torch.zeros(200_000)
    with CheckpointManager(tmp_path, max_to_keep=None) as manager:
        for step in range(1, 9):
            weights.fill_(step)
            manager.save({"a": Values({"weights": weights})}, metadata(step))
        for step in range(1, 9):
            loaded = manager.load(tmp_path / f"checkpoint_epoch0_step{step}.pt")
            assert torch.equal(loaded.components["a"]["weights"], torch.full((200_000,), step))


def test_a_state_that_is_no_value_is_named_at_once(tmp_path):
    manager = CheckpointManager(tmp_path)
    for value, said in [(np.float64(1), "numpy.float64"), ({1, 2}, "set"), (np.ones(2), "ndarray")]:
        with pytest.raises(TypeError, match=rf"components\.source\.inner\.1 is a .*{said}"):
            manager.save({"source": Values({"inner": [0, value]})}, metadata(1))
    with pytest.raises(TypeError, match="neither get_state nor state_dict"):
        manager.save({"source": object()}, metadata(1))


def test_a_view_saves_what_it_shows_and_tied_weights_are_saved_once(tmp_path):
    storage = torch.randn(1_000_000)
    tied = torch.randn(250_000)
    with CheckpointManager(tmp_path) as manager:
        path = manager.save(
            {"a": Values({"view": storage[10:20], "one": tied, "two": tied})}, metadata(1)
        )
    assert path.stat().st_size < 1_100_000
    state = manager.load().components["a"]
    assert torch.equal(state["view"], storage[10:20])
    assert torch.equal(state["two"], tied)


def test_loaded_tensors_may_be_changed_and_outlive_the_file(tmp_path):
    with CheckpointManager(tmp_path) as manager:
        path = manager.save({"a": Values({"x": torch.ones(100_000)})}, metadata(1))
    before = path.read_bytes()
    loaded = manager.load().components["a"]["x"]
    loaded += 1
    assert path.read_bytes() == before
    path.unlink()
    assert torch.equal(loaded, torch.full((100_000,), 2.0))


def test_random_numbers_go_on_where_they_were(tmp_path):
    with CheckpointManager(tmp_path) as manager:
        manager.save({}, metadata(1))
    drawn = [random.random(), np.random.random(), np.random.normal(), torch.rand(()).item()]
    manager.restore({}, manager.load())
    again = [random.random(), np.random.random(), np.random.normal(), torch.rand(()).item()]
    assert again == drawn


FRESH_PROCESS = """
import random, sys, numpy as np, torch
from poke.training.checkpointing import CheckpointManager, CheckpointMetadata

network = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(), torch.nn.Linear(8, 1))
optimizer = torch.optim.AdamW(network.parameters())
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)
components = {"network": network, "optimizer": optimizer, "schedule": schedule}
manager = CheckpointManager(sys.argv[1], max_to_keep=None)
first, last = int(sys.argv[2]), int(sys.argv[3])
if first:
    manager.restore(components, manager.load())
for step in range(first + 1, last + 1):
    optimizer.zero_grad()
    network(torch.randn(16, 4) * random.random() * np.random.random()).square().mean().backward()
    optimizer.step()
    schedule.step()
manager.save(components, CheckpointMetadata(0, last))
# It ends without close: the interpreter waits for the write.
"""


def test_a_fresh_process_goes_on_bit_for_bit(tmp_path, zygote):
    (tmp_path / "fresh.py").write_text(FRESH_PROCESS)

    def train(directory, first, last):
        done = zygote.run("fresh.py", directory, first, last, cwd=tmp_path)
        assert done.returncode == 0, done.stderr

    # Both start from one checkpoint, because a process is seeded by nothing here.
    train(tmp_path / "straight", 0, 5)
    (tmp_path / "broken").mkdir()
    first = tmp_path / "straight" / "checkpoint_epoch0_step5.pt"
    (tmp_path / "broken" / first.name).write_bytes(first.read_bytes())
    train(tmp_path / "straight", 5, 15)
    train(tmp_path / "broken", 5, 9)
    train(tmp_path / "broken", 9, 15)
    states = [
        torch.load(tmp_path / name / "checkpoint_epoch0_step15.pt", weights_only=True)
        for name in ("straight", "broken")
    ]
    assert_equal_state(states[0]["components"], states[1]["components"])
    assert_equal_state(states[0]["random_states"], states[1]["random_states"])


def test_nothing_to_load_is_said_in_one_line(tmp_path):
    with pytest.raises(CheckpointError, match="no usable checkpoint in") as raised:
        CheckpointManager(tmp_path).load()
    assert "\n" not in str(raised.value)


def test_only_one_write_is_in_flight(tmp_path, monkeypatch):
    running = []
    most = []
    write = checkpoint_directory.written_segments

    def watched(*arguments):
        running.append(1)
        most.append(len(running))
        try:
            return write(*arguments)
        finally:
            running.pop()

    monkeypatch.setattr(checkpoint_directory, "written_segments", watched)
    with CheckpointManager(tmp_path) as manager:
        for step in range(10):
            manager.save({"a": Values({"x": torch.ones(300_000)})}, metadata(step))
    assert most == [1] * 10


def test_rewinding_moves_newer_checkpoints_out_of_the_way(tmp_path, caplog):
    with CheckpointManager(tmp_path) as manager:
        for step in (1, 2, 3):
            manager.save({"a": Values({"step": step})}, metadata(step, loss=1 / step))
        manager.rewind(manager.load(tmp_path / "checkpoint_epoch0_step1.pt"))
    assert "checkpoint_epoch0_step2.pt, checkpoint_epoch0_step3.pt to superseded/" in caplog.text
    reopened = CheckpointManager(tmp_path)
    assert [seen.step for seen in reopened.list_checkpoints()] == [1]
    assert reopened.load().components["a"] == {"step": 1}
    assert torch.load(reopened.get_best(), weights_only=True)["metadata"]["step"] == 1
    aside = tmp_path / "superseded" / "1" / "checkpoint_epoch0_step3.pt"
    assert reopened.load(aside).components["a"] == {"step": 3}


def test_rewinding_to_the_best_by_its_link(tmp_path):
    with CheckpointManager(tmp_path) as manager:
        for step, loss in ((1, 0.5), (2, 0.1), (3, 0.9)):
            manager.save({}, metadata(step, loss))
        manager.rewind(manager.load(manager.get_best()))
        assert [seen.step for seen in manager.list_checkpoints()] == [1, 2]


def test_rewinding_to_a_file_of_another_run_is_refused(tmp_path):
    with CheckpointManager(tmp_path / "other") as other:
        other.save({}, metadata(1))
    with CheckpointManager(tmp_path / "this") as manager:
        manager.save({}, metadata(1))
        with pytest.raises(CheckpointError, match="is no checkpoint of"):
            manager.rewind(other.load())


def test_an_emergency_checkpoint_is_loaded_only_when_asked_for(tmp_path):
    with CheckpointManager(tmp_path) as manager:
        manager.save({"a": Values({"step": 1})}, metadata(1))
        path = manager.save_emergency({"a": Values({"step": 2})}, metadata(2))
    reopened = CheckpointManager(tmp_path)
    assert reopened.load().metadata.step == 1
    assert reopened.load(path).components["a"] == {"step": 2}


def test_contents_weights_saves_the_policy_only_and_says_so_on_resume(tmp_path):
    components = {"policy": Values({"w": torch.ones(2)}), "source": Values({"big": 1})}
    with CheckpointManager(tmp_path, contents="weights") as manager:
        manager.save(components, metadata(1, loss=0.5))
    assert manager.get_best() is not None
    assert list(manager.load().components) == ["policy"]
    with pytest.raises(CheckpointError, match="weights only"):
        manager.restore(components, manager.load())


def test_some_components_can_be_loaded_for_a_warm_start(tmp_path):
    with CheckpointManager(tmp_path) as manager:
        path = manager.save({"algorithm": Values({"w": 1}), "source": Values({})}, metadata(1))
    assert load_components(path) == {"algorithm": {"w": 1}}
    with pytest.raises(CheckpointError, match=r"lacks the component policy .*algorithm, source"):
        load_components(path, ("policy",))


def test_a_checkpoint_over_a_gigabyte_is_said_once_with_what_takes_it(
    tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr("poke.training.checkpointing.manager.LARGE_BYTES", 1000)
    components = {"source": Values({"x": torch.ones(1000)}), "network": torch.nn.Linear(2, 1)}
    with CheckpointManager(tmp_path) as manager:
        manager.save(components, metadata(1))
        manager.save(components, metadata(2))
    said = [record.getMessage() for record in caplog.records if "takes" in record.getMessage()]
    assert said == ["a checkpoint takes 4.01 kB: source 4 kB, network 12 B"]


FIXTURE = Path(__file__).parent / "fixtures" / "checkpoint_format1.pt"


def test_a_checkpoint_of_format_1_is_migrated(tmp_path, caplog):
    network, source = torch.nn.Linear(3, 2), Values(None)
    manager = CheckpointManager(tmp_path)
    checkpoint = manager.load(FIXTURE)
    assert "cannot be verified" in caplog.text
    restored = manager.restore({"algorithm": network, "source": source}, checkpoint)
    assert (restored.epoch, restored.step, restored.val_loss) == (2, 120, 0.5)
    assert restored.timestamp == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert torch.equal(network.weight, torch.arange(6.0).reshape(2, 3))
    assert source.state["position"] == 17
    # The numbers that the process which wrote the fixture drew next.
    assert random.random() == 0.13436424411240122
    assert np.random.random() == 0.43599490214200376
    assert torch.rand(()).item() == 0.5944212079048157


def test_a_newer_format_is_refused_in_one_line_and_left_alone(tmp_path, monkeypatch):
    with CheckpointManager(tmp_path) as manager:
        manager.save({}, metadata(1))
        monkeypatch.setattr("poke.training.checkpointing.manager.FORMAT_VERSION", 99)
        path = manager.save({}, metadata(2))
    with pytest.raises(CheckpointError, match="has format 99, this poke reads up to 3") as raised:
        manager.load()
    assert "\n" not in str(raised.value)
    assert path.exists()


def test_the_monitor_must_be_a_metric_of_the_evaluation(tmp_path):
    manager = CheckpointManager(tmp_path, monitor="val/los")
    with pytest.raises(CheckpointError, match=r"val/los .*did you mean val/loss"):
        manager.check_monitor(["val/loss", "val/accuracy"])
    CheckpointManager(tmp_path).check_monitor(["val/loss", "val/accuracy"])
    CheckpointManager(tmp_path, monitor="x", keep_best=False).check_monitor(["val/loss"])


@pytest.mark.parametrize(
    ("argument", "value"),
    [("mode", "lowest"), ("max_to_keep", 0), ("keep_every", 0), ("contents", "half")],
)
def test_a_setting_out_of_range_is_refused(tmp_path, argument, value):
    with pytest.raises(ValueError, match=argument):
        CheckpointManager(tmp_path, **{argument: value})


def test_saving_the_same_step_again_replaces_the_checkpoint(tmp_path):
    with CheckpointManager(tmp_path) as manager:
        manager.save({"a": Values({"x": 1})}, metadata(1))
        manager.save({"a": Values({"x": 2})}, metadata(1, loss=0.5))
        assert [seen.val_loss for seen in manager.list_checkpoints()] == [0.5]
        assert manager.load().components["a"] == {"x": 2}


@pytest.fixture(autouse=True)
def _warnings_are_logged(caplog):
    caplog.set_level(logging.WARNING, logger="poke")
