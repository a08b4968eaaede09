"""MetricsLogger: the twelve points of its contract, in order."""

import logging
import math
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from poke.training.logging import MetricsLogger
from poke.training.writers import ConsoleWriter, CsvWriter, MemoryWriter, TensorBoardWriter


@pytest.fixture
def memory():
    return MemoryWriter()


def make(memory, **options):
    return MetricsLogger(backends=[memory], **{"backend_frequency": 10, **options})


def rows(memory, category="train"):
    return [(step, metrics) for metrics, step, c in memory.rows if c == category]


def steps(memory, category="train"):
    return [step for step, _ in rows(memory, category)]


class Broken(MemoryWriter):
    """Raises at the given calls of write, counted from 1; at every call if none are given."""

    def __init__(self, *failing):
        super().__init__()
        self.failing = failing
        self.calls = 0

    def write(self, metrics, step, category):
        self.calls += 1
        if not self.failing or self.calls in self.failing:
            raise OSError("the disk is full")
        super().write(metrics, step, category)


# 1. Misuse raises; values and sinks never do.


@pytest.mark.parametrize("step", [-1, 1.0, "1", None, True, math.nan])
@pytest.mark.parametrize("category", ["train", "val"])
def test_point_1_a_step_that_is_no_non_negative_int_is_refused(memory, step, category):
    with pytest.raises(ValueError, match="non-negative int"):
        make(memory).log({"loss": 1.0}, step, category=category)


@pytest.mark.parametrize("category", ["", "a/b", None, 3])
def test_point_1_a_category_that_is_empty_or_holds_a_slash_is_refused(memory, category):
    with pytest.raises(ValueError, match="category"):
        make(memory).log({"loss": 1.0}, 1, category=category)


@pytest.mark.parametrize("category", ["train", "val"])
def test_point_1_steps_of_a_category_never_go_back(memory, category):
    logger = make(memory)
    logger.log({"loss": 1.0}, 5, category=category)
    with pytest.raises(ValueError, match="lies before its step 5"):
        logger.log({"loss": 1.0}, 4, category=category)
    logger.log({"loss": 1.0}, 4, category="other")


def test_point_1_logging_after_close_is_refused(memory):
    logger = make(memory)
    logger.log({"loss": 1.0}, 1)
    logger.close()
    for category in ("train", "val", "new"):
        with pytest.raises(RuntimeError, match="closed"):
            logger.log({"loss": 1.0}, 2, category=category)


def test_point_1_numpy_steps_are_ints(memory):
    with make(memory) as logger:
        logger.log({"loss": 1.0}, np.int64(3))
        logger.log({"loss": 1.0}, np.int64(20))
    assert steps(memory) == [3, 20]


@pytest.mark.parametrize("metrics", [None, [1.0], "loss", 3])
def test_point_1_metrics_that_are_no_mapping_are_said_and_skipped(memory, metrics, caplog):
    with make(memory) as logger:
        logger.log(metrics, 1)
        logger.log({"loss": 1.0}, 2)
    assert rows(memory) == [(2, {"loss": 1.0})]
    assert "metrics are a mapping" in caplog.text


# 2. Every (category, sink) has a window of its own.


@pytest.mark.parametrize("cli_frequency", [0, None, 1, 3, 10, 64, 1000])
def test_point_2_printing_never_changes_what_the_backends_get(cli_frequency):
    reference, memory, console = MemoryWriter(), MemoryWriter(), MemoryWriter()
    values = np.random.default_rng(0).lognormal(size=1000).tolist()
    with (
        make(reference, backend_frequency=100) as plain,
        MetricsLogger(
            console=console,
            backends=[memory],
            backend_frequency=100,
            cli_frequency=cli_frequency,
        ) as printing,
    ):
        for step, value in enumerate(values):
            for logger in (plain, printing):
                logger.log({"loss": value, "rate": 1 / value}, step)
    assert memory.rows == reference.rows
    assert bool(console.rows) == bool(cli_frequency)


def test_point_2_a_window_holds_the_samples_since_the_last_of_its_own_rows():
    memory, console = MemoryWriter(), MemoryWriter()
    with MetricsLogger(
        console=console, backends=[memory], backend_frequency=2, cli_frequency=4
    ) as logger:
        for step in range(1, 9):
            logger.log({"loss": float(step)}, step)
    assert rows(memory) == [
        (1, {"loss": 1.0}),
        (2, {"loss": 2.0}),
        (4, {"loss": 3.5}),
        (6, {"loss": 5.5}),
        (8, {"loss": 7.5}),
    ]
    assert rows(console) == [(1, {"loss": 1.0}), (4, {"loss": 3.0}), (8, {"loss": 6.5})]


@pytest.mark.parametrize("off", [0, None])
def test_point_2_zero_or_null_switches_a_sink_off(off):
    memory, console = MemoryWriter(), MemoryWriter()
    with MetricsLogger(
        console=console, backends=[memory], backend_frequency=off, cli_frequency=5
    ) as logger:
        for step in range(20):
            logger.log({"loss": 1.0}, step)
        logger.log({"loss": 1.0}, 20, category="val")
    assert not memory.rows
    assert console.rows


@pytest.mark.parametrize("name", ["cli_frequency", "backend_frequency"])
@pytest.mark.parametrize("value", [-1, -100, 1.5, "10", True])
def test_point_2_a_frequency_that_is_no_count_is_refused_at_construction(name, value):
    with pytest.raises(ValueError, match=name):
        MetricsLogger(**{name: value})


# 3. One row a step; boundaries are multiples, and do not drift.


def test_point_3_all_calls_of_a_step_land_in_one_row(memory):
    with make(memory) as logger:
        for step in range(1, 11):
            logger.log({"loss": 1.0}, step)
            logger.log({"accuracy": 0.5}, step)
        assert steps(memory) == [1]  # more of step 10 may come
        logger.log({"loss": 1.0}, 11)
    assert rows(memory)[1] == (10, {"loss": 1.0, "accuracy": 0.5})


@pytest.mark.parametrize("stride", [1, 3, 7, 64, 100, 130, 250])
def test_point_3_rows_stand_where_a_multiple_is_crossed_whatever_the_stride(memory, stride):
    logged = range(stride, 3001, stride)
    with make(memory, backend_frequency=100) as logger:
        for step in logged:
            logger.log({"loss": 1.0}, step)
    crossing = [step for step in logged if step // 100 > (step - stride) // 100]
    assert steps(memory) == sorted({stride, *crossing, logged[-1]})


def test_point_3_the_first_step_is_written_and_shown():
    memory, console = MemoryWriter(), MemoryWriter()
    logger = MetricsLogger(console=console, backends=[memory])
    logger.log({"loss": 3.0}, 7)
    logger.log({"loss": 1.0}, 8)
    assert rows(memory) == rows(console) == [(7, {"loss": 3.0})]
    logger.close()


def test_point_3_a_flush_shows_a_step_to_be_complete(memory):
    with make(memory) as logger:
        for step in range(1, 11):
            logger.log({"loss": float(step)}, step)
        logger.flush()
        assert rows(memory) == [(1, {"loss": 1.0}), (10, {"loss": 6.0})]
        logger.flush()
    assert steps(memory) == [1, 10]


def test_point_3_boundaries_stay_where_they_were_after_a_flush(memory):
    with make(memory) as logger:
        for step in range(1, 31):
            logger.log({"loss": float(step)}, step)
            if step == 14:
                logger.flush()
    assert steps(memory) == [1, 10, 14, 20, 30]
    assert rows(memory)[3] == (20, {"loss": 17.5})


# 4. A window's value.


def test_point_4_the_mean_of_a_window_is_that_of_its_samples(memory):
    values = np.random.default_rng(1).normal(size=2000)
    with make(memory, backend_frequency=1000) as logger:
        for step, value in enumerate(values, 1):
            logger.log({"loss": float(value)}, step)
    assert rows(memory)[1][1]["loss"] == pytest.approx(values[1:1000].mean(), rel=1e-12)
    assert rows(memory)[2][1]["loss"] == pytest.approx(values[1000:].mean(), rel=1e-12)


def test_point_4_patterns_choose_the_reduction_and_the_first_that_fits_decides(memory):
    reduce = {
        "*/episodes": "sum",
        "*lr": "last",
        "train/max_*": "max",
        "min_*": "min",
        "calls": "count",
        "*": "mean",
    }
    with make(memory, reduce=reduce) as logger:
        for step in range(0, 11):
            value = float(step)
            names = ("episodes", "optimizer/lr", "max_q", "min_q", "calls", "loss")
            logger.log(dict.fromkeys(names, value), step)
    assert rows(memory)[1][1] == {
        "episodes": 55.0,
        "optimizer/lr": 10.0,
        "max_q": 10.0,
        "min_q": 1.0,
        "calls": 10.0,
        "loss": 5.5,
    }


@pytest.mark.parametrize("how", ["last", "sum", "min", "max", "count", "mean"])
def test_point_4_long_windows_reduce_as_short_ones_do(memory, how):
    values = np.random.default_rng(2).integers(-9, 9, size=1500).astype(float).tolist()
    with make(memory, backend_frequency=10**6, reduce={"*": how}) as logger:
        logger.log({"x": 0.0}, 0)
        for step, value in enumerate(values, 1):
            logger.log({"x": value}, step)
    expected = {
        "last": values[-1],
        "sum": sum(values),
        "min": min(values),
        "max": max(values),
        "count": len(values),
        "mean": sum(values) / len(values),
    }
    assert rows(memory)[1][1]["x"] == expected[how]


def test_point_4_an_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match=r"reduce\['\*/lr'\] must be one of mean, sum"):
        MetricsLogger(reduce={"*/lr": "median"})


def test_point_4_non_finite_samples_are_left_out_counted_and_said_once(memory, caplog):
    with make(memory) as logger:
        for step in range(1, 31):
            value = {3: math.nan, 4: math.inf, 15: -math.inf}.get(step, 2.0)
            logger.log({"loss": value, "accuracy": 1.0}, step)
    assert rows(memory)[1:] == [
        (10, {"loss": 2.0, "loss/nonfinite": 2.0, "accuracy": 1.0}),
        (20, {"loss": 2.0, "loss/nonfinite": 1.0, "accuracy": 1.0}),
        (30, {"loss": 2.0, "accuracy": 1.0}),
    ]
    assert caplog.text.count("train/loss was NaN or infinite") == 1


@pytest.mark.parametrize("how", ["mean", "last", "sum", "min", "max", "count"])
def test_point_4_a_window_without_finite_samples_is_nan(memory, how):
    with make(memory, reduce={"*": how}) as logger:
        logger.log({"loss": 1.0}, 0)
        for step in range(1, 11):
            logger.log({"loss": math.inf}, step)
    _, row = rows(memory)[1]
    assert math.isnan(row["loss"])
    assert row["loss/nonfinite"] == 10


# 5. Event categories.


def test_point_5_an_event_is_one_row_at_its_own_step_on_disk_before_return(tmp_path):
    console = MemoryWriter()
    writers = [CsvWriter(tmp_path / "metrics.csv"), TensorBoardWriter(tmp_path / "tensorboard")]
    logger = MetricsLogger(console=console, backends=writers)
    logger.log({"loss": 1.0}, 500)
    for step in (500, 500, 533):
        logger.log({"return": 7.25}, step, category="eval")
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["500", "500", "533"]
    events = next((tmp_path / "tensorboard").iterdir()).read_bytes()
    assert events.count(b"eval/return") == 3
    assert steps(console, "eval") == [500, 500, 533]
    logger.close()


def test_point_5_an_event_is_flushed_even_by_a_sink_that_holds_rows_back():
    class Holding(MemoryWriter):
        flushed = 0

        def flush(self):
            self.flushed = len(self.rows)

    holding, console = Holding(), Holding()
    logger = MetricsLogger(console=console, backends=[holding])
    logger.log({"return": 1.0}, 1, category="eval")
    assert holding.flushed == console.flushed == 1
    logger.close()


def test_point_5_which_categories_are_events_is_configured(memory):
    with make(memory, event_categories=["test"]) as logger:
        for step in range(1, 4):
            logger.log({"loss": float(step)}, step, category="test")
            logger.log({"loss": float(step)}, step, category="val")
    assert steps(memory, "test") == [1, 2, 3]
    assert steps(memory, "val") == [1, 3]


# 6. Ways out: see test_logging_exits.py.


def test_point_6_close_writes_every_partial_window_and_may_be_called_twice():
    memory, console = MemoryWriter(), MemoryWriter()
    logger = MetricsLogger(console=console, backends=[memory])
    for step in range(1, 1051):
        logger.log({"loss": float(step)}, step)
        logger.log({"return": 1.0}, step, category="rollout")
    logger.close()
    logger.close()
    assert rows(memory)[-1] == (1050, {"loss": 1025.5})
    assert rows(console)[-1] == (1050, {"loss": 1025.5})
    assert steps(memory, "rollout")[-1] == 1050


# 7. Values.


def test_point_7_every_kind_of_number_is_taken(memory):
    metrics = {
        "bool": True,
        "int": 3,
        "float": 0.5,
        "float32": np.float32(0.25),
        "float64": np.float64(0.1),
        "int64": np.int64(7),
        "numpy_bool": np.bool_(True),
        "array": np.array(4.0),
        "array_of_one": np.array([[5.0]]),
        "tensor": torch.tensor(1.5),
        "tensor_of_one": torch.tensor([[2.5]]),
        "needs_grad": torch.tensor(3.5, requires_grad=True),
        "half": torch.tensor(0.5, dtype=torch.bfloat16),
        "int_tensor": torch.tensor(9),
        "bool_tensor": torch.tensor(True),
        "fraction": Fraction(1, 4),
        "decimal": Decimal("0.5"),
        "nested": {"a": {"b": 1.0}, "c": torch.tensor(2.0)},
    }
    with make(memory) as logger:
        logger.log(metrics, 1)
    _, row = rows(memory)[0]
    assert row == {
        **{"bool": 1.0, "int": 3.0, "float": 0.5, "float32": 0.25, "float64": 0.1, "int64": 7.0},
        **{"numpy_bool": 1.0, "array": 4.0, "array_of_one": 5.0, "tensor": 1.5},
        **{"tensor_of_one": 2.5, "needs_grad": 3.5, "half": 0.5, "int_tensor": 9.0},
        **{"bool_tensor": 1.0, "fraction": 0.25, "decimal": 0.5},
        **{"nested/a/b": 1.0, "nested/c": 2.0},
    }
    assert {type(value) for value in row.values()} == {float}


@pytest.mark.parametrize(
    "value",
    [
        "text",
        None,
        [1.0],
        (1.0,),
        1j,
        object(),
        torch.zeros(2),
        torch.zeros(0),
        torch.tensor(1j),
        np.zeros(3),
        np.array("x"),
        np.datetime64("2026-01-01"),
        float,
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("category", ["train", "val"])
def test_point_7_anything_else_is_skipped_with_one_warning_a_name(memory, value, category, caplog):
    with make(memory) as logger:
        for step in range(1, 41):
            logger.log({"loss": 1.0, "odd": value, "nested": {"odd": value}}, step, category)
    assert {tuple(row) for _, row in rows(memory, category)} == {("loss",)}
    assert caplog.text.count(f"{category}/odd is not logged") == 1
    assert caplog.text.count(f"{category}/nested/odd is not logged") == 1


def test_point_7_a_poisoned_value_hurts_nothing_but_itself(memory):
    with make(memory) as logger:
        for step in range(1, 31):
            odd = object() if step == 5 else 10**400 if step == 15 else 1.0
            logger.log({"loss": 2.0, "odd": odd}, step)
    assert steps(memory) == [1, 10, 20, 30]
    assert [row["loss"] for _, row in rows(memory)] == [2.0] * 4
    assert rows(memory)[2][1]["odd/nonfinite"] == 1


@pytest.mark.parametrize("how", ["mean", "last", "sum", "min", "max", "count"])
@pytest.mark.parametrize("value", [10**308, 1e308, 10**400, -(10**400), 2**64, True])
def test_point_7_no_number_is_too_large(memory, value, how):
    with make(memory, backend_frequency=1000, reduce={"*": how}) as logger:
        for step in range(1, 400):
            logger.log({"x": value, "y": 1.0}, step)
    assert steps(memory) == [1, 399]
    assert all(row["y"] for _, row in rows(memory))


@pytest.mark.parametrize("name", ["step", "time", "epoch", ""])
def test_point_7_reserved_names_are_said_and_skipped(memory, name, caplog):
    with make(memory) as logger:
        for step in range(1, 31):
            logger.log({name: 1.0, "loss": 2.0}, step)
        logger.log({name: 1.0, "loss": 2.0}, 30, category="val")
    assert all(list(metrics) == ["loss"] for metrics, _, _ in memory.rows)
    assert caplog.text.count(f"train/{name} is not logged") == 1


def test_point_7_metrics_may_be_changed_after_the_call(memory):
    metrics = {"loss": 1.0}
    tensor = torch.zeros(())
    with make(memory) as logger:
        logger.log({"loss": 1.0, "tensor": 0.0}, 0)
        for step in range(1, 11):
            metrics["loss"] = float(step)
            tensor.fill_(step)
            logger.log(metrics, step)
            logger.log({"tensor": tensor}, step)
        metrics["loss"] = 999.0
        tensor.fill_(999)
    assert rows(memory)[1] == (10, {"loss": 5.5, "tensor": 5.5})


# 8. Two values for one (category, name, step).


def test_point_8_two_different_values_are_said_once_and_counted(memory, caplog):
    with make(memory) as logger:
        for step in range(1, 4):
            logger.log({"loss": 1.0}, step)
            logger.log({"loss": 1.0, "accuracy": math.nan}, step)
            logger.log({"accuracy": math.nan}, step)
        assert logger.num_conflicts == 0
        for step in range(4, 7):
            logger.log({"loss": 1.0}, step)
            logger.log({"loss": 2.0}, step)
        logger.log({"loss": 1.0}, 6, category="val")
        logger.log({"loss": 2.0}, 6, category="val")
        assert logger.num_conflicts == 4
    assert caplog.text.count("train/loss has two values at step 4: 1.0 and 2.0") == 1
    assert caplog.text.count("has two values") == 2


def test_point_8_strict_raises_and_takes_nothing_of_the_call(memory):
    with make(memory, strict=True) as logger:
        logger.log({"loss": 1.0}, 1)
        for _ in range(2):
            with pytest.raises(ValueError, match="train/loss has two values at step 1"):
                logger.log({"loss": 2.0}, 1)
        logger.log({"loss": 3.0}, 2)
    assert rows(memory) == [(1, {"loss": 1.0}), (2, {"loss": 3.0})]


# 9. metrics.csv, TensorBoard and W&B: see test_writers_*.py and test_logging_resume.py.

# 10. Sinks that raise.


def test_point_10_a_call_that_fails_once_is_retried(caplog):
    broken = Broken(2, 3, 5)
    with make(broken) as logger:
        for step in range(1, 41):
            logger.log({"loss": float(step)}, step)
    assert steps(broken) == [1, 10, 20, 30, 40]
    assert not caplog.records


def test_point_10_a_sink_that_keeps_raising_waits_and_the_others_go_on(memory, caplog):
    broken = Broken()
    logger = MetricsLogger(console=broken, backends=[broken, memory], backend_frequency=10)
    for step in range(1, 41):
        logger.log({"loss": 1.0}, step)
        logger.log({"loss": 1.0}, step, category="val")
    state = logger.get_state()
    logger.close()
    assert steps(memory) == [1, 10, 20, 30, 40]
    assert len(steps(memory, "val")) == 40
    told = "Broken does not work, training goes on and its rows wait in memory: OSError: the disk"
    assert caplog.text.count(told) == 2  # as console and as backend
    assert "Broken lacks 45 rows" in caplog.text
    kept = state["sinks"]["backend"]["Broken"]
    assert kept["writer"] == {"rows": []}
    assert [(step, category) for step, category, *_ in kept["waiting"][:3]] == [
        (1, "val"),
        (1, "train"),
        (2, "val"),
    ]


def test_point_10_a_probe_that_raises_is_left_out(memory, caplog):
    def broken():
        raise RuntimeError("no such sensor")

    with make(memory) as logger:
        logger.add_probe(broken)
        logger.add_probe(lambda: {"system": {"memory": 5, "odd": "text"}})
        for step in range(1, 21):
            logger.log({"loss": 1.0}, step)
    assert rows(memory, "system") == [(step, {"memory": 5.0}) for step in (1, 10, 20)]
    assert caplog.text.count("no such sensor") == 1


# 11. The console: see tests/training/writers/test_console.py.


def test_point_11_a_row_of_the_console_has_step_epoch_rate_and_eta(capsys):
    clock = iter(range(100)).__next__
    console = ConsoleWriter(total_steps=40, clock=clock)
    with MetricsLogger(console=console, cli_frequency=10) as logger:
        logger.set_epoch(2)
        for step in range(1, 21):
            logger.log({"loss": 0.5}, step)
    assert capsys.readouterr().out.splitlines() == [
        "step  epoch       loss  steps/s      ETA",
        "   1      2     0.5000",
        "  10      2     0.5000    9.000  0:00:03",
        "  20      2     0.5000    10.00  0:00:02",
    ]


# 12. Ranks.


def test_point_12_other_ranks_open_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.chdir(tmp_path)
    console = ConsoleWriter(tmp_path / "train.log")
    writers = [CsvWriter(tmp_path / "metrics.csv"), TensorBoardWriter(tmp_path / "tensorboard")]
    with MetricsLogger(console=console, backends=writers, backend_frequency=2) as logger:
        for step in range(500):
            logger.log({"loss": torch.tensor(1.0)}, step)
            logger.log({"loss": 1.0}, step, category="val")
        logger.log_config({"seed": 0})
        logger.set_state(logger.get_state())
        with pytest.raises(ValueError, match="lies before"):
            logger.log({"loss": 1.0}, 3)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="cli_frequency"):
        MetricsLogger(cli_frequency=-1)


def test_point_12_rank_0_writes(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    with MetricsLogger(backends=[CsvWriter(tmp_path / "metrics.csv")]) as logger:
        logger.log({"loss": 1.0}, 1)
    assert (tmp_path / "metrics.csv").exists()


# Beyond the twelve.


def test_probes_write_at_the_step_of_every_train_window_to_backends_only(memory):
    console = MemoryWriter()
    logger = MetricsLogger(
        console=console, backends=[memory], backend_frequency=10, cli_frequency=1
    )
    logger.add_probe(lambda: {"time": {"steps_per_second": 10}, "system": {"memory_bytes": 1}})
    for step in range(1, 25):
        logger.log({"loss": 1.0}, step)
        logger.log({"loss": 1.0}, step, category="rollout")
    logger.close()
    assert steps(memory, "time") == steps(memory, "system") == steps(memory) == [1, 10, 20, 24]
    assert not rows(console, "time")


def test_media_and_config_go_to_those_who_can_show_them(memory, caplog):
    class Gallery(MemoryWriter):
        shown = ()

        def log_config(self, config):
            self.shown += (("config", config),)

        def log_image(self, name, image, step, category):
            self.shown += ((name, image.shape, step, category),)

    gallery = Gallery()
    caplog.set_level(logging.INFO)
    with MetricsLogger(backends=[memory, gallery]) as logger:
        logger.log_config({"seed": 1})
        for _ in range(2):
            logger.log_image("board", torch.zeros(4, 6), 3)
            logger.log_histogram("weights", torch.zeros(5), 3)
        logger.log_image("odd", "no picture", 3)
    assert gallery.shown == (("config", {"seed": 1}), *[("board", (4, 6, 1), 3, "train")] * 2)
    assert caplog.text.count("MemoryWriter shows no images") == 1
    assert caplog.text.count("Gallery shows no histograms") == 1
    assert caplog.text.count("train/odd is not logged") == 1


def test_importing_it_imports_no_torch_and_no_sink():
    code = (
        "import sys, poke.training.logging.logger;"
        "from poke.training.writers import ConsoleWriter, CsvWriter, MlflowWriter,"
        " TensorBoardWriter, TrackioWriter, WandbWriter;"
        "heavy = {'torch', 'tensorboard', 'wandb', 'pandas', 'numpy', 'rich', 'mlflow', 'trackio'};"
        "sys.exit(' '.join(heavy & set(sys.modules)) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
