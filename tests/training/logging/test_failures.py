"""What other loggers were seen to do wrong, each tried on ours."""

import csv
import io
import math

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from poke.training.logging import MetricsLogger
from poke.training.writers import ConsoleWriter, CsvWriter, MemoryWriter, TensorBoardWriter


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.csv"


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def log_steps(logger, first, last, **metrics):
    for step in range(first, last + 1):
        logger.log({"loss": float(step), **metrics}, step)


def test_resuming_neither_deletes_nor_truncates_metrics_csv(path):
    with MetricsLogger(backends=[CsvWriter(path)]) as logger:
        log_steps(logger, 1, 10_000)
        state = logger.get_state()
    before = path.read_bytes()
    with MetricsLogger(backends=[CsvWriter(path)]) as logger:
        logger.set_state(state)
        log_steps(logger, 10_001, 10_200)
    assert path.read_bytes().startswith(before[: before.rindex(b"10000,")])
    assert [row["step"] for row in read(path)][-4:] == ["9900", "10000", "10100", "10200"]


def test_starting_again_without_a_state_appends(path):
    for first in (1, 301):
        with MetricsLogger(backends=[CsvWriter(path)]) as logger:
            log_steps(logger, first, first + 299)
    assert len(read(path)) == 8


def test_a_new_key_neither_raises_nor_corrupts(path):
    with MetricsLogger(backends=[CsvWriter(path)], backend_frequency=1) as logger:
        log_steps(logger, 1, 3, **{'a, "quoted"\nname': 0.5})
        log_steps(logger, 4, 6, late=1.0)
    rows = read(path)
    assert [row["train/loss"] for row in rows] == [f"{step}.0" for step in range(1, 7)]
    assert [row['train/a, "quoted"\nname'] for row in rows] == ["0.5"] * 3 + [""] * 3
    assert [row["train/late"] for row in rows] == [""] * 3 + ["1.0"] * 3


def test_the_last_window_is_not_lost(path):
    with MetricsLogger(backends=[CsvWriter(path)]) as logger:
        log_steps(logger, 1, 1050)
    assert (read(path)[-1]["step"], read(path)[-1]["train/loss"]) == ("1050", "1025.5")


def test_an_evaluation_between_flushes_keeps_its_step_and_value(path):
    with MetricsLogger(backends=[CsvWriter(path)]) as logger:
        for step in range(1, 301):
            logger.log({"loss": 1.0}, step)
            if step in (130, 150):
                logger.log({"return": float(step)}, step, category="eval")
    found = [(row["step"], row["eval/return"]) for row in read(path) if row["eval/return"]]
    assert found == [("130", "130.0"), ("150", "150.0")]


def test_alternating_zeros_and_ones_are_a_half(path):
    with MetricsLogger(backends=[CsvWriter(path)]) as logger:
        for step in range(1, 301):
            logger.log({"solved": float(step % 2)}, step)
    assert [row["train/solved"] for row in read(path)[2:]] == ["0.5", "0.5"]


def test_a_stride_of_64_does_not_drift_from_a_frequency_of_100():
    memory = MemoryWriter()
    with MetricsLogger(backends=[memory]) as logger:
        for step in range(64, 64 * 100 + 1, 64):
            logger.log({"loss": 1.0}, step)
    steps = [step for _, step, _ in memory.rows]
    assert len(steps) == 65
    assert all(step - step // 100 * 100 < 64 for step in steps[1:])


def test_tensorboard_shows_no_point_twice_after_a_resume(tmp_path):
    with MetricsLogger(backends=[TensorBoardWriter(tmp_path)]) as logger:
        log_steps(logger, 1, 250)
        state = logger.get_state()
        log_steps(logger, 251, 700)
    with MetricsLogger(backends=[TensorBoardWriter(tmp_path)]) as logger:
        logger.set_state(state)
        log_steps(logger, 251, 500)
    shown = EventAccumulator(str(tmp_path)).Reload().Scalars("train/loss")
    assert [event.step for event in shown] == [1, 100, 200, 300, 400, 500]


def test_a_poisoned_value_does_not_stay_and_raise_for_ever():
    memory = MemoryWriter()
    with MetricsLogger(backends=[memory]) as logger:
        for step in range(1, 301):
            logger.log({"loss": 1.0, "bad": object() if step == 50 else 2.0}, step)
    assert [(step, row["bad"]) for row, step, _ in memory.rows] == [
        (1, 2.0),
        (100, 2.0),
        (200, 2.0),
        (300, 2.0),
    ]


def test_a_broken_run_does_not_look_clean(path, caplog):
    with MetricsLogger(backends=[CsvWriter(path)]) as logger:
        for step in range(1, 301):
            logger.log({"loss": math.nan if step > 120 else 1.0}, step)
    second, third = read(path)[2:]
    assert (second["train/loss"], second["train/loss/nonfinite"]) == ("1.0", "80.0")
    assert (third["train/loss"], third["train/loss/nonfinite"]) == ("nan", "100.0")
    assert "train/loss was NaN or infinite" in caplog.text


def test_long_names_stay_apart_in_train_log(tmp_path):
    prefix = "policy_gradient_with_a_very_long_name_indeed/"
    writer = ConsoleWriter(tmp_path / "train.log", stream=io.StringIO())
    writer.write({f"{prefix}loss": 1.0, f"{prefix}lots": 2.0}, 1, "train")
    assert f"{prefix}loss 1  {prefix}lots 2" in (tmp_path / "train.log").read_text()


def test_two_values_for_one_name_and_step_are_noticed(caplog):
    with MetricsLogger(backends=[MemoryWriter()]) as logger:
        logger.log({"loss": 1.0}, 1)
        logger.log({"loss": 2.0}, 1)
        assert logger.num_conflicts == 1
    assert "train/loss has two values at step 1" in caplog.text
