"""What of a config decides a run's result, and what is bookkeeping."""

from dataclasses import fields

import pytest

from poke.config import composing
from poke.config.identity import bookkeeping, changes, defaults, is_among
from poke.config.knobs import leaf_keys
from poke.config.schema import CheckpointConfig


def config(*overrides):
    return composing.to_plain(composing.compose("train", list(overrides)))


@pytest.fixture(scope="module")
def usual():
    return config()


def with_value(plain, key, value):
    *path, last = key.split(".")
    changed = dict(plain)
    node = changed
    for part in path:
        node[part] = dict(node[part])
        node = node[part]
    node[last] = value
    return changed


def test_every_leaf_is_either_of_the_identity_or_bookkeeping(usual):
    keys = bookkeeping(usual)
    for key in leaf_keys(usual):
        *path, last = key.split(".")
        node = usual
        for part in path:
            node = node[part]
        if isinstance(node[last], dict):
            continue
        found = changes(usual, with_value(usual, key, "another"))
        assert found == ([] if is_among(key, keys) else [f"{key}: {node[last]} -> another"])


@pytest.mark.parametrize(
    "key",
    [
        "logger.cli_frequency",
        "logger.wandb.mode",
        "checkpoint.max_to_keep",
        "checkpoint.save_every",
        "trainer.max_seconds",
        "data.on_change",
        "sweep.name",
        "resume",
        "fork",
    ],
)
def test_where_logs_go_and_how_often_a_run_is_kept_is_bookkeeping(usual, key):
    assert is_among(key, bookkeeping(usual))


@pytest.mark.parametrize(
    "key",
    ["seed", "algo.lr", "trainer.max_steps", "trainer.eval_every", "checkpoint.monitor",
     "checkpoint.mode", "data.path", "network.embedding_size", "init_from.path"],
)  # fmt: skip
def test_what_a_run_computes_and_is_judged_by_is_its_identity(usual, key):
    assert not is_among(key, bookkeeping(usual))


def test_a_sink_of_a_users_own_is_bookkeeping_and_a_part_of_his_own_is_not(usual):
    mine = with_value(usual, "logger.mine", {"_target_": "mine.Sink"})
    assert changes(usual, mine) == []
    found = changes(usual, with_value(usual, "algo", {"_target_": "mine.Algorithm", "speed": 2}))
    assert "algo.speed: (none) -> 2" in found


def test_values_compare_as_they_are_stored(usual):
    assert (
        changes(
            with_value(usual, "network.sizes", [1, 2]), with_value(usual, "network.sizes", (1, 2))
        )
        == []
    )


def test_the_checkpoint_group_says_of_each_knob_whether_it_changes_a_result():
    of_the_result = {
        knob.name for knob in fields(CheckpointConfig) if not knob.metadata["bookkeeping"]
    }
    assert of_the_result == {"monitor", "mode"}


def test_a_knob_that_came_later_has_its_default_in_what_was_stored_before(usual):
    before = with_value(usual, "trainer.early_stopping", None)
    del before["trainer"]["early_stopping"]
    assert changes(before, usual) == []
    patient = with_value(usual, "trainer.early_stopping.patience", 3)
    assert changes(before, patient) == ["trainer.early_stopping.patience: 0 -> 3"]
    assert changes(patient, before) == ["trainer.early_stopping.patience: 3 -> 0"]
    assert defaults(usual)["trainer.early_stopping.patience"] == 0
    assert "trainer.max_seconds" not in defaults(usual)


@pytest.mark.parametrize(
    ("before", "used", "now", "found"),
    [
        ("auto", "cpu", "auto", []),
        ("auto", "cpu", "cpu", []),
        ("cuda:1", "cuda:1", "auto", []),
        ("auto", "cpu", "cuda", ["device: cpu -> cuda"]),
        ("cpu", "cpu", "cuda", ["device: cpu -> cuda"]),
    ],
)
def test_a_device_chosen_automatically_is_the_one_that_was_used(usual, before, used, now, found):
    before, now = (with_value(usual, "device", device) for device in (before, now))
    assert changes(before, now, device=used) == found
