import json

import numpy as np
import pandas as pd
import pytest

from poke.comparison import compare_checkpoints, load_history, load_runs, summarize


def test_load_runs_gives_a_row_a_run(sweep):
    frame = load_runs(sweep)

    assert len(frame) == 10
    assert frame["algo.lr"].dtype == float
    assert frame["seed"].dtype == int
    assert str(frame["started"].dtype) == "datetime64[us, UTC]"
    row = frame.set_index("run").loc[f"{sweep}/lr0.001/seed1"]
    assert row["last/val/loss"] == pytest.approx(1.21)
    assert row["best/val/loss"] == pytest.approx(0.99)
    assert row["step"] == 1000
    assert row["ended"] - row["started"] == pd.Timedelta(hours=1)
    assert set(frame["status"]) == {"finished", "failed", "stale"}


def test_load_runs_of_several_folders_and_of_none(sweep, tmp_path):
    (tmp_path / "empty").mkdir()

    assert len(load_runs([sweep / "lr0.001", str(sweep / "lr0.0001")])) == 8
    assert len(load_runs(tmp_path / "empty")) == 0


def test_a_metric_without_a_known_direction_has_no_best(tmp_path, write_run):
    write_run(tmp_path, "a", rows=[{"step": 1, "x/loss": 1.0, "x/norm": 2.0}])

    assert {"best/x/loss", "last/x/norm"} <= set(load_runs(tmp_path))
    assert "best/x/norm" not in load_runs(tmp_path)


def test_load_history_equals_what_pandas_reads(tmp_path, write_run):
    runs = [
        write_run(tmp_path, "a", rows=[{"step": 1, "x": 0.1}, {"step": 2, "y": 0.2}]),
        write_run(tmp_path, "b", rows=[{"step": 1, "y": 0.3, "z": np.nan}]),
        write_run(tmp_path, "c", rows=[]),
    ]

    frame = load_history(tmp_path)

    parts = [
        pd.read_csv(run / "metrics.csv", parse_dates=["time"]).assign(run=str(run))
        for run in runs[:2]
    ]
    oracle = pd.concat(parts, ignore_index=True)[["run", "step", "time", "x", "y", "z"]]
    assert isinstance(frame["run"].dtype, pd.CategoricalDtype)
    assert list(frame["run"].cat.categories) == [str(run) for run in runs]
    pd.testing.assert_frame_equal(
        frame.assign(run=frame["run"].astype(str)), oracle, check_dtype=False, check_exact=True
    )
    assert frame["step"].dtype == np.int64


def test_load_history_is_the_same_from_the_cache(sweep):
    first = load_history(sweep)

    pd.testing.assert_frame_equal(load_history(sweep), first)
    pd.testing.assert_frame_equal(load_history(sweep, cache=False), first)


def test_load_history_of_some_metrics_keeps_rows_that_measured_them(tmp_path, write_run):
    rows = [{"step": 1, "x": 0.1}, {"step": 2, "y": np.nan}, {"step": 3, "x": 0.2, "y": 0.3}]
    write_run(tmp_path, "a", rows=rows)

    frame = load_history(tmp_path, metrics=["y"])

    assert list(frame.columns) == ["run", "step", "time", "y"]
    assert frame["step"].tolist() == [2, 3]
    with pytest.raises(KeyError, match="no run has a metric 'w'; there are x, y"):
        load_history(tmp_path, metrics=["w"])


def test_summarize_averages_finished_runs_by_setting(sweep):
    frame = load_runs(sweep)

    summary = summarize(frame, "algo.lr", "val/loss")

    assert summary["algo.lr"].tolist() == [0.001, 0.0001]
    assert summary["n"].tolist() == [4, 4]
    assert summary["mean"].tolist() == pytest.approx([1.215, 1.715])
    assert (summary["low"] < summary["mean"]).all()
    assert summarize(frame, ["algo.lr"], "best/val/loss")["mean"][0] == pytest.approx(0.985)
    assert summarize(frame, "algo.lr", "val/loss", include_failed=True)["n"].tolist() == [6, 4]
    assert summarize(frame, "algo.lr", "val/loss", mode="max")["algo.lr"][0] == 0.0001


def test_summarize_keeps_runs_that_lack_a_setting_apart(tmp_path, write_run):
    write_run(tmp_path, "a", {"x": 1, "tau": 0.5})
    write_run(tmp_path, "b", {"x": 1})

    assert summarize(load_runs(tmp_path), "tau", "val/loss")["n"].tolist() == [1, 1]


def checkpoints(run, *pairs):
    (run / "checkpoints").mkdir()
    entries = [
        {"file": f"checkpoint_epoch1_step{step}.pt", "epoch": 1, "step": step, "metrics": metrics}
        for step, metrics in pairs
    ]
    index = {"best": None, "checkpoints": entries}
    (run / "checkpoints/checkpoints.json").write_text(json.dumps(index))


def test_compare_checkpoints_takes_the_best_of_each_run_best_first(tmp_path, write_run):
    a, b, c, _ = (write_run(tmp_path, name) for name in "abcd")
    checkpoints(a, (1, {"val/loss": 3.0}), (2, {"val/loss": 1.0}), (3, {"val/loss": "nan"}))
    checkpoints(b, (1, {"val/loss": -0.5}), (2, {"val/loss": 0.0}))
    checkpoints(c, (1, {"train/loss": 0.0}))

    frame = compare_checkpoints(tmp_path)

    assert frame["run"].tolist() == [str(b), str(a)]
    assert frame["val/loss"].tolist() == [-0.5, 1.0]
    assert frame["step"].tolist() == [1, 2]
    assert frame["checkpoint"][1] == str(a / "checkpoints/checkpoint_epoch1_step2.pt")
    assert compare_checkpoints([tmp_path], "val/loss", "max")["val/loss"].tolist() == [3.0, 0.0]
    with pytest.raises(ValueError, match="more or less"):
        compare_checkpoints(tmp_path, "train/norm")
