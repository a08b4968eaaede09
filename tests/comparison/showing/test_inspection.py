import json

import pytest

from poke.comparison.reading.collection import read_runs
from poke.comparison.showing.inspection import diff, format_seconds, show


def run(path):
    return read_runs([path], cache=False)[0]


@pytest.fixture
def checkpointed(tmp_path, write_run):
    directory = write_run(
        tmp_path,
        "day/run",
        {"algo": {"lr": 1e-3}},
        best={"metric": "val/loss", "mode": "min", "value": 1.0, "step": 1000},
        command=["python", "-m", "poke.train", "algo.betas=[0.9, 0.99]"],
        parent="day/mother",
        init_from="day/aunt/checkpoints/best.pt",
        resumes=[
            {
                "time": "2026-03-01T12:30:00+00:00",
                "step": 500,
                "checkpoint": "c.pt",
                "overrides": ["a=1"],
            }
        ],
        git={"commit": "0123456789abcdef", "branch": "main", "dirty": True},
    )
    write_run(tmp_path, "day/mother", parent="day/run", status="interrupted")
    (directory / "checkpoints").mkdir()
    entries = [
        {"file": f"c{step}.pt", "epoch": 1, "step": step, "metrics": {"val/loss": loss}}
        for step, loss in ((500, 1.5), (1000, 1.0), (1500, "nan"))
    ]
    index = {"best": "c1000.pt", "checkpoints": entries}
    (directory / "checkpoints/checkpoints.json").write_text(json.dumps(index))
    return directory


def test_show_tells_what_where_from_how_and_how_to_repeat_it(checkpointed, tmp_path):
    text = show(run(checkpointed))

    lines = text.splitlines()
    assert lines[0] == f"{checkpointed}: finished (reached max_steps)"
    assert "started 2026-03-01 12:00:00 UTC, took 1 h 0 min, reached step 1000" in lines[1]
    assert "code: 0123456789 on main and uncommitted changes (git.diff)" in lines
    assert f"repeat: cd {tmp_path} && python -m poke.train 'algo.betas=[0.9, 0.99]'" in lines
    assert "resumed 2026-03-01T12:30:00+00:00 at step 500 from c.pt (a=1)" in lines
    assert "weights from day/aunt/checkpoints/best.pt" in lines
    assert "child of day/mother (interrupted)" in lines
    assert "child of day/run, which descends from itself" in lines
    assert [line.split() for line in lines if "c1000.pt" in line] == [
        ["checkpoints/c1000.pt", "best", "1000", "1", "1"]
    ]
    assert [line.split() for line in lines if line.startswith("val/loss")] == [
        ["val/loss", "1", "1000", "1", "1000"]
    ]
    assert [line.split() for line in lines if line.startswith("algo.lr")] == [["algo.lr", "0.001"]]


def test_show_of_a_bare_directory(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,loss\n1,2\n")

    text = show(run(tmp_path))

    assert text.startswith(f"{tmp_path}: unknown\n")
    assert "no checkpoints" in text
    assert "no config" in text


def test_show_says_what_is_broken(checkpointed):
    (checkpointed / "checkpoints/checkpoints.json").write_text("{")
    (checkpointed / "metrics.csv").write_text("")

    text = show(run(checkpointed))

    assert "! metrics.csv is empty" in text
    assert "! " + str(checkpointed / "checkpoints/checkpoints.json") + " cannot be read" in text


def test_diff_tells_what_differs_and_counts_what_does_not(tmp_path, write_run):
    write_run(
        tmp_path, "a", {"lr": 1, "same": 1, "only": 1}, packages={"torch": "2.13.0", "numpy": "2"}
    )
    write_run(
        tmp_path, "b", {"lr": 2, "same": 1}, seed=1, packages={"torch": "2.12.0", "numpy": "2"}
    )

    lines = diff(run(tmp_path / "a"), run(tmp_path / "b")).splitlines()

    cells = [line.split() for line in lines]
    assert ["lr", "1", "2"] in cells
    assert ["only", "1", "-"] in cells
    assert ["seed", "0", "1"] in cells
    assert ["torch", "2.13.0", "2.12.0"] in cells
    assert not any(line.startswith(("same", "numpy", "commit")) for line in lines)
    assert any(line.startswith("val/loss  1 (best 1 at 1000)") for line in lines)
    assert lines[lines.index("git") + 1] == "  (3 equal)"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "5 s"), (65, "1 min 5 s"), (3700, "1 h 1 min"), (90000, "1 d 1 h"), (float("inf"), "?")],
)
def test_durations(seconds, text):
    assert format_seconds(seconds) == text
