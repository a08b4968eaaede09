"""W&B, written offline by the real library and read back."""

import importlib.util
import json
import logging
import random
from pathlib import Path

import numpy as np
import pytest
import wandb

from poke.training.logging import MetricsLogger
from poke.training.writers import MemoryWriter, WandbWriter

SCRIPT = Path(__file__).parents[3] / "contracts" / "sinks.py"
spec = importlib.util.spec_from_file_location("sinks", SCRIPT)
sinks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sinks)


@pytest.fixture(autouse=True)
def no_account(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    yield
    wandb.teardown()


def records(folder, kind):
    wandb.teardown()  # ends wandb's own process, which writes the files
    for path in sorted((folder / "wandb").glob("offline-run-*/*.wandb")):
        for record in sinks.wandb_records(path):
            if record.WhichOneof("record_type") == kind:
                yield getattr(record, kind)


def points(folder):
    wandb.teardown()
    return sorted(sinks.read_wandb(folder))


def test_categories_interleaved_at_any_step_lose_no_row(tmp_path):
    with MetricsLogger(
        backends=[WandbWriter(tmp_path, mode="offline")], backend_frequency=10
    ) as logger:
        for step in range(1, 31):
            logger.log({"loss": 1.0}, step)
        logger.log({"loss": 2.0}, 5, category="val")
        logger.log({"loss": 3.0}, 5, category="val")
    assert points(tmp_path) == [
        (1, "train/loss", 1),
        (5, "val/loss", 2),
        (5, "val/loss", 3),
        (10, "train/loss", 1),
        (20, "train/loss", 1),
        (30, "train/loss", 1),
    ]


def test_every_category_is_drawn_over_its_own_step_and_none_is_passed(tmp_path):
    with MetricsLogger(backends=[WandbWriter(tmp_path, mode="offline")]) as logger:
        logger.log({"loss": 1.0}, 100)
        logger.log({"loss": 2.0}, 50, category="val")
    axes = {m.glob_name: m.step_metric for m in records(tmp_path, "metric") if m.glob_name}
    assert axes == {"train/*": "train/step", "val/*": "val/step"}
    assert [history.step.num for history in records(tmp_path, "history")] == [0, 1]


def test_the_run_id_is_kept_in_the_directory_and_reused(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    for step in (1, 2):
        with MetricsLogger(backends=[WandbWriter(tmp_path, mode="offline")]) as logger:
            logger.log({"loss": float(step)}, step)
    runs = {run.run_id for run in records(tmp_path, "run")}
    assert runs == {(tmp_path / "wandb" / "run_id").read_text().strip()}
    assert points(tmp_path) == [(1, "train/loss", 1), (2, "train/loss", 2)]
    command = f"wandb sync {tmp_path}/wandb/offline-run-*-{runs.pop()}"
    assert caplog.text.count(command) == 2


def test_the_config_and_the_options_are_the_runs(tmp_path):
    writer = WandbWriter(
        tmp_path, mode="offline", project="games", name="first", group="g", tags=["a", "b"]
    )
    with MetricsLogger(backends=[writer]) as logger:
        logger.log_config({"seed": 3, "algo": {"lr": 0.1}})
        logger.log({"loss": 1.0}, 1)
    run, *_ = records(tmp_path, "run")
    assert (run.project, run.display_name, run.run_group) == ("games", "first", "g")
    assert list(run.tags) == ["a", "b"]
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["seed"] == 3
    assert config["algo"] == {"lr": 0.1}


@pytest.mark.parametrize("missing", ["login", "server"])
def test_without_login_or_server_the_run_is_kept_offline(tmp_path, missing, monkeypatch, caplog):
    if missing == "server":
        monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    memory = MemoryWriter()
    writer = WandbWriter(tmp_path, mode="online", init_timeout_seconds=2)
    with MetricsLogger(backends=[writer, memory], backend_frequency=1) as logger:
        for step in range(1, 4):
            logger.log({"loss": 1.0}, step)
    assert len(memory.rows) == 3
    assert points(tmp_path) == [(step, "train/loss", 1) for step in (1, 2, 3)]
    assert caplog.text.count("W&B cannot be reached, this run is kept offline") == 1


def test_a_library_that_raises_stops_nothing(tmp_path, monkeypatch, caplog):
    def refuse(**_):
        raise RuntimeError("out of order")

    monkeypatch.setattr(wandb, "init", refuse)
    memory = MemoryWriter()
    writer = WandbWriter(tmp_path, mode="offline")
    with MetricsLogger(backends=[writer, memory], backend_frequency=1) as logger:
        for step in range(1, 4):
            logger.log({"loss": 1.0}, step)
    assert len(memory.rows) == 3
    assert caplog.text.count("WandbWriter does not work, training goes on") == 1


def test_histograms_pictures_and_films_are_kept(tmp_path):
    generator = np.random.default_rng(0)
    with MetricsLogger(backends=[WandbWriter(tmp_path, mode="offline")]) as logger:
        logger.log_histogram("weights", [1.0, 2.0, float("nan")], 3)
        logger.log_image("board", generator.random((8, 9)), 3)
        logger.log_video("battle", generator.random((4, 8, 9, 3)), 3)
    kinds = {
        item.nested_key[0]: json.loads(item.value_json)
        for history in records(tmp_path, "history")
        for item in history.item
        if item.nested_key[-1] == "_type"
    }
    assert kinds == {
        "train/weights": "histogram",
        "train/board": "image-file",
        "train/battle": "video-file",
    }


@pytest.mark.parametrize(("status", "code"), [("finished", 0), ("failed", 1), ("interrupted", 255)])
def test_the_exit_code_says_how_the_run_ended(tmp_path, status, code):
    logger = MetricsLogger(backends=[WandbWriter(tmp_path, mode="offline")])
    logger.log_config({"seed": 1})
    logger.log({"loss": 1.0}, 1)
    logger.close(status)
    assert [record.exit_code for record in records(tmp_path, "exit")] == [code]


def test_no_row_number_is_used_twice_over_kills_and_resumes(tmp_path):
    """W&B drops a row whose number is not above the last one's when the pieces of a run are uploaded in turn."""
    for first in (1, 4, 7):
        writer = WandbWriter(tmp_path, mode="offline")
        for step in range(first, first + 3):
            writer.write({"loss": 1.0}, step, "train")
        writer._run.finish()  # and nothing of what closing does
    WandbWriter(tmp_path, mode="offline").write({"loss": 1.0}, 10, "train")
    numbers = [history.step.num for history in records(tmp_path, "history")]
    assert len(numbers) == 10
    assert len(set(numbers)) == 10


def test_a_run_is_named_after_its_directory_and_keeps_its_id_there(tmp_path):
    before = random.getstate()
    shared = tmp_path / "shared"
    for name in ("a", "b", "a"):
        run_dir = tmp_path / "2026-01-31" / name
        with MetricsLogger(
            backends=[WandbWriter(shared, mode="offline", run_dir=run_dir)]
        ) as logger:
            logger.log({"loss": 1.0}, 1)
    assert random.getstate() == before
    names = {run.run_id: run.display_name for run in records(shared, "run")}
    assert sorted(names.values()) == ["2026-01-31/a", "2026-01-31/b"]


def test_a_row_has_the_time_at_which_it_was_logged(tmp_path):
    writer = WandbWriter(tmp_path, mode="offline")
    writer.row_time = 1e9
    writer.write({"loss": 1.0}, 1, "train")
    writer.close()
    (history,) = records(tmp_path, "history")
    times = [float(i.value_json) for i in history.item if "_timestamp" in (i.key, *i.nested_key)]
    assert times == [1e9]
