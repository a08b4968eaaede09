"""TensorBoard event files, read back by TensorBoard's own loader."""

import os

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.plugins.hparams import api_pb2, metadata

from poke.training.logging import MetricsLogger
from poke.training.writers import TensorBoardWriter


@pytest.fixture
def log_dir(tmp_path):
    return tmp_path / "tensorboard"


def load(log_dir):
    return EventAccumulator(str(log_dir)).Reload()


def events(log_dir):
    return [list(LegacyEventFileLoader(str(path)).Load()) for path in sorted(log_dir.iterdir())]


def scalars(log_dir, tag):
    return [(event.step, event.value) for event in load(log_dir).Scalars(tag)]


def test_a_row_is_one_event(log_dir):
    writer = TensorBoardWriter(log_dir)
    writer.write({f"metric_{i}": float(i) for i in range(10)}, 5, "train")
    writer.write({"loss": 2.5}, 6, "val")
    writer.close()
    ((version, train, val),) = events(log_dir)
    assert version.file_version == "brain.Event:2"
    assert (train.step, len(train.summary.value)) == (5, 10)
    assert (val.step, val.summary.value[0].tag) == (6, "val/loss")


def test_points_cut_by_a_resume_are_not_shown(log_dir):
    first = TensorBoardWriter(log_dir)
    for step in range(10):
        first.write({"loss": float(step)}, step, "train")
        if step == 5:
            state = first.get_state()
    second = TensorBoardWriter(log_dir)
    second.set_state(state)
    for step in range(6, 12):
        second.write({"loss": step + 0.5}, step, "train")
    second.close()
    expected = [(step, float(step) if step < 6 else step + 0.5) for step in range(12)]
    assert scalars(log_dir, "train/loss") == expected


def test_a_tensorboard_that_was_open_all_along_drops_them_too(log_dir):
    first = TensorBoardWriter(log_dir)
    for step in range(10):
        first.write({"loss": float(step)}, step, "train")
        if step == 5:
            state = first.get_state()
    watching = load(log_dir)
    second = TensorBoardWriter(log_dir)
    second.set_state(state)
    second.write({"loss": 6.5}, 6, "train")
    second.close()
    watching.Reload()
    steps = [event.step for event in watching.Scalars("train/loss")]
    assert steps == [0, 1, 2, 3, 4, 5, 6]
    _, (_, start, *_) = events(log_dir)
    assert (start.session_log.status, start.step) == (start.session_log.START, 6)


def test_event_files_of_others_are_left_alone(log_dir):
    log_dir.mkdir()
    other = log_dir / "events.out.tfevents.1.host.1.v2"
    other.write_bytes(b"not ours")
    writer = TensorBoardWriter(log_dir)
    writer.set_state(writer.get_state())
    assert other.read_bytes() == b"not ours"


def test_the_config_is_shown_in_hparams_and_as_text(log_dir):
    config = {"seed": 3, "algo": {"lr": 1e-3, "betas": [0.9, 0.99], "name": "bc", "ema": None}}
    with MetricsLogger(backends=[TensorBoardWriter(log_dir)]) as logger:
        logger.log_config(config)
        logger.log({"loss": 1.0}, 1)
    loaded = load(log_dir)
    plugin = loaded.summary_metadata[metadata.SESSION_START_INFO_TAG].plugin_data
    started = metadata.parse_session_start_info_plugin_data(plugin.content)
    assert started.hparams["seed"].number_value == 3
    assert started.hparams["algo.lr"].number_value == 1e-3
    assert started.hparams["algo.betas"].string_value == "[0.9, 0.99]"
    assert started.hparams["algo.name"].string_value == "bc"
    assert metadata.SESSION_END_INFO_TAG in loaded.summary_metadata
    (text,) = loaded.Tensors("config")
    assert b"lr: 0.001" in text.tensor_proto.string_val[0]
    assert loaded.summary_metadata["config"].plugin_data.plugin_name == "text"


def test_histograms_pictures_and_films_are_shown(log_dir):
    generator = np.random.default_rng(0)
    with MetricsLogger(backends=[TensorBoardWriter(log_dir)]) as logger:
        logger.log_histogram("weights", generator.normal(size=(10, 10)), 3)
        logger.log_histogram("broken", np.array([1.0, np.nan, 2.0]), 3)
        logger.log_image("grey", generator.random((4, 6)), 3)
        logger.log_image("colour", generator.integers(0, 255, (4, 6, 3), dtype=np.uint8), 3)
        logger.log_video("battle", generator.random((5, 4, 6, 3)), 4, "eval")
    loaded = load(log_dir)
    assert loaded.Histograms("train/weights")[0].histogram_value.num == 100
    assert loaded.Histograms("train/broken")[0].histogram_value.sum == 3
    images = {tag: loaded.Images(tag)[0] for tag in loaded.Tags()["images"]}
    assert {tag: (image.width, image.height) for tag, image in images.items()} == {
        "train/grey": (6, 4),
        "train/colour": (6, 4),
        "eval/battle": (6, 4),
    }
    assert images["train/colour"].encoded_image_string.startswith(b"\x89PNG")
    assert images["eval/battle"].encoded_image_string.startswith(b"GIF89a")


def test_a_picture_that_is_none_switches_no_curve_off(log_dir, caplog):
    with MetricsLogger(backends=[TensorBoardWriter(log_dir)]) as logger:
        logger.log_image("odd", np.zeros((2, 3, 7)), 1)
        logger.log({"loss": 1.0}, 1)
        logger.log({"loss": 2.0}, 2, category="val")
    assert scalars(log_dir, "train/loss") == [(1, 1.0)]
    assert scalars(log_dir, "val/loss") == [(2, 2.0)]
    assert "(2, 3, 7)" in caplog.text


def write_steps(writer, first, last):
    for step in range(first, last + 1):
        writer.write({"loss": float(step)}, step, "train")


def steps_of(path):
    return [event.step for event in LegacyEventFileLoader(str(path)).Load() if event.summary.value]


@pytest.mark.parametrize("saved_at", [0, 3])
def test_two_runs_in_one_directory_touch_their_own_files_only(log_dir, tmp_path, saved_at):
    """One is killed and resumed, also from a state made before its first file, while the other one goes on."""
    ours, theirs = (TensorBoardWriter(log_dir, run_dir=tmp_path / name) for name in "ab")
    write_steps(theirs, 1, 5)
    write_steps(ours, 1, saved_at)
    state = ours.get_state()
    write_steps(ours, saved_at + 1, 7)
    write_steps(theirs, 6, 9)

    resumed = TensorBoardWriter(log_dir, run_dir=tmp_path / "a")
    resumed.set_state(state)
    write_steps(resumed, saved_at + 1, 8)
    found = {writer._token: [] for writer in (resumed, theirs)}
    for path in sorted(log_dir.iterdir()):
        found[path.name.split(".")[-2]] += steps_of(path)
    assert found == {resumed._token: [*range(1, 9)], theirs._token: [*range(1, 10)]}


def test_in_a_shared_directory_a_resume_hides_nothing_of_others(log_dir, tmp_path):
    ours, theirs = (TensorBoardWriter(log_dir, run_dir=tmp_path / name) for name in "ab")
    write_steps(theirs, 1, 9)
    resumed = TensorBoardWriter(log_dir, run_dir=tmp_path / "a")
    resumed.set_state(ours.get_state())
    write_steps(resumed, 1, 2)
    assert {event.step for event in load(log_dir).Scalars("train/loss")} == set(range(1, 10))


def test_a_moved_run_knows_its_files(log_dir, tmp_path):
    first = TensorBoardWriter(log_dir, run_dir=tmp_path / "a")
    write_steps(first, 1, 3)
    state = first.get_state()
    write_steps(first, 4, 6)
    moved = TensorBoardWriter(log_dir, run_dir=tmp_path / "moved" / "a")
    moved.set_state(state)
    write_steps(moved, 4, 7)
    assert [step for path in sorted(log_dir.iterdir()) for step in steps_of(path)] == [*range(1, 8)]


@pytest.mark.parametrize("umask", [0o022, 0o007, 0o077])
def test_event_files_heed_the_umask(log_dir, umask):
    before = os.umask(umask)
    try:
        write_steps(TensorBoardWriter(log_dir), 1, 1)
    finally:
        os.umask(before)
    (path,) = log_dir.iterdir()
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("finished", api_pb2.STATUS_SUCCESS),
        ("failed", api_pb2.STATUS_FAILURE),
        ("interrupted", api_pb2.STATUS_FAILURE),
    ],
)
def test_hparams_shows_how_the_run_ended(log_dir, status, shown):
    logger = MetricsLogger(backends=[TensorBoardWriter(log_dir)])
    logger.log_config({"seed": 1})
    logger.close(status)
    loaded = load(log_dir)
    plugin = loaded.summary_metadata[metadata.SESSION_END_INFO_TAG].plugin_data
    assert metadata.parse_session_end_info_plugin_data(plugin.content).status == shown
