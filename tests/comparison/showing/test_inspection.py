import json

import pytest

from poke.comparison.reading.collection import read_runs
from poke.comparison.showing.inspection import diff, show
from poke.comparison.showing.layout import format_seconds


def run(path):
    return read_runs([path], cache=False)[0]


@pytest.fixture
def checkpointed(tmp_path, write_run, session):
    dirty = {"commit": "0123456789abcdef", "branch": "main", "dirty": True, "diff": "git.diff"}
    first = session(
        cwd=str(tmp_path),
        command=["python", "-m", "poke.train", "algo.betas=[0.9, 0.99]"],
        ended=None,
        to_step=None,
        exit_reason=None,
        host="first_host",
    )
    second = session(
        started="2026-03-01T12:30:00+00:00",
        from_step=500,
        cwd="/elsewhere",
        command=["python", "-m", "poke.train", "resume=day/run"],
        changed={"algo.gamma": [0.99, 0.9], "data.path": [None, "x"]},
        checkpoint="checkpoints/c500.pt",
        accepted_data={"source": "file", "content": "fedcba9876543210", "rows": 12000},
        packages=None,
        torch=None,
        code=dirty | {"untracked": ["mine.py", "own.py"], "kept_in": "code"},
        exit_reason="reached trainer.max_steps",
    )
    directory = write_run(
        tmp_path,
        "day/run",
        {"algo": {"lr": 1e-3}},
        best={"metric": "val/loss", "mode": "min", "value": 1.0, "step": 1000},
        parent={"run": "day/mother", "file": "checkpoints/c.pt", "step": 250, "how": "fork"},
        data={
            "source": "file",
            "file": "x.parquet",
            "content": "0123456789abcdef",
            "rows": 9000,
            "episodes": 200,
            "split": "0.1 by episode, seed 0",
        },
        sessions=[first, second],
    )
    aunt = {"run": "day/run", "file": "checkpoints/best.pt", "step": None, "how": "init_from"}
    write_run(tmp_path, "day/mother", parent=aunt, status="interrupted")
    (directory / "checkpoints").mkdir()
    entries = [
        {"file": f"c{step}.pt", "epoch": 1, "step": step, "metrics": {"val/loss": loss}}
        for step, loss in ((500, 1.5), (1000, 1.0), (1500, "nan"))
    ]
    index = {"best": "c1000.pt", "checkpoints": entries}
    (directory / "checkpoints/checkpoints.json").write_text(json.dumps(index))
    return directory


def test_data_of_several_files_is_told_by_its_files(tmp_path, write_run):
    data = {"source": ["day.parquet", "night.parquet"], "file": None, "rows": 10}
    directory = write_run(tmp_path, "run", data=data)
    assert "data: day.parquet, night.parquet, 10 rows" in show(run(directory)).splitlines()


def test_show_tells_what_where_from_how_and_how_to_repeat_it(checkpointed, tmp_path):
    text = show(run(checkpointed))

    lines = text.splitlines()
    assert lines[0] == f"{checkpointed}: finished (reached max_steps)"
    assert "started 2026-03-01 12:00:00 UTC, took 1 h 0 min, reached step 1000" in lines[1]
    assert (
        "code: 0123456789 on main and uncommitted changes (git.diff) and 2 untracked files (kept in code)"
        in lines
    )
    assert f"repeat: cd {tmp_path} && python -m poke.train 'algo.betas=[0.9, 0.99]'" in lines
    assert "python 3.11.7 with torch 2.13.0, 0 other packages" in lines
    assert "data: file, x.parquet, 9,000 rows, 200 episodes, content 0123456789" in lines
    assert lines[lines.index("forked from day/mother at step 250 (interrupted)") :][:4] == [
        "forked from day/mother at step 250 (interrupted)",
        "weights from day/run, which descends from itself",
        "session 1: 2026-03-01 12:00:00 UTC, step 0 -> ?, host first_host, killed",
        "session 2: 2026-03-01 12:30:00 UTC, 30 min 0 s, step 500 -> 1000, host elsewhere, "
        "reached trainer.max_steps, from checkpoints/c500.pt, changed algo.gamma 0.99 -> 0.9, "
        "changed data.path null -> x, accepted data file, 12,000 rows, content fedcba9876",
    ]
    assert "! algo.gamma changed: 0.99 -> 0.9 at step 500" in lines
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


def test_show_of_a_run_at_work_says_so(tmp_path, write_run, session, hold):
    at_work = [session(ended=None, to_step=None, exit_reason=None)]
    directory = write_run(
        tmp_path, "run", status="running", age_seconds=90_000, ended=None, sessions=at_work
    )
    killed = "session 1: 2026-03-01 12:00:00 UTC, step 0 -> ?, host elsewhere, killed"

    assert killed in show(run(directory)).splitlines()
    hold(directory)
    assert killed.replace("killed", "at work") in show(run(directory)).splitlines()


def test_show_of_a_run_of_an_older_poke(tmp_path, write_old_run):
    resume = {"time": "2026-03-01T12:30:00+00:00", "step": 500, "checkpoint": "c.pt"}
    directory = write_old_run(
        tmp_path,
        "day/old",
        command=["python", "-m", "poke.train", "algo=bc"],
        init_from="day/aunt",
        resumes=[resume | {"overrides": ["a=1"], "command": ["python"]}],
        git={"commit": "0123456789abcdef", "branch": "main", "dirty": True},
    )

    lines = show(run(directory)).splitlines()

    assert "host elsewhere" in lines[1]
    assert "code: 0123456789 on main and uncommitted changes (git.diff)" in lines
    assert "python 3.11.7 with torch 2.13.0, 0 other packages" in lines
    assert f"repeat: cd {tmp_path} && python -m poke.train algo=bc" in lines
    assert "weights from day/aunt (no run there now)" in lines
    assert [line for line in lines if line.startswith("session")] == [
        "session 1: 2026-03-01 12:00:00 UTC, step 0 -> ?",
        "session 2: 2026-03-01 12:30:00 UTC, 30 min 0 s, step 500 -> 1000, host elsewhere, "
        "reached max_steps, from c.pt",
    ]


def test_a_damaged_account_costs_no_traceback(tmp_path, write_run):
    odd = {"sessions": [1, {"changed": {"a": 1, "b": [1]}}, {}], "parent": "x", "data": 7}
    for name, record in (("a", odd), ("b", {"sessions": None, "parent": 3, "data": []})):
        write_run(tmp_path, name, **record)

    first, second = run(tmp_path / "a"), run(tmp_path / "b")

    assert "session 2: begun at a time unknown, step ? -> ?" in show(first).splitlines()
    assert show(second).startswith(f"{tmp_path}/b: finished")
    assert "config" in diff(first, second)


def test_diff_tells_what_differs_and_counts_what_does_not(tmp_path, write_run, session):
    one = session(packages={"torch": "2.13.0", "numpy": "2"}, changed={"lr": [3, 2]})
    two = session(packages={"torch": "2.13.0", "numpy": "2"}, torch="2.12.0", from_step=500)
    two |= {"changed": {"lr": [2, 1]}, "code": one["code"] | {"commit": "c" * 40}}
    data = {"source": "file", "content": "0123", "rows": 10}
    write_run(tmp_path, "a", {"lr": 1, "same": 1, "only": 1}, sessions=[one], data=data)
    other = {"seed": 1, "data": data | {"content": "4567"}}
    write_run(tmp_path, "b", {"lr": 2, "same": 1}, sessions=[one, two], **other)

    lines = diff(run(tmp_path / "a"), run(tmp_path / "b")).splitlines()

    cells = [line.split() for line in lines]
    assert ["lr", "1", "2"] in cells
    assert ["only", "1", "-"] in cells
    assert ["seed", "0", "1"] in cells
    assert ["torch", "2.13.0+cpu", "2.12.0"] in cells
    assert ["content", "0123", "4567"] in cells
    assert ["commit", "a" * 40, "c" * 40] in cells
    assert [
        "lr",
        *["3", "->", "2", "at", "step", "0"],
        *["3", "->", "2", "at", "step", "0,", "2", "->", "1", "at", "step", "500"],
    ] in cells
    assert not any(line.startswith(("same", "numpy", "rows", "branch")) for line in lines)
    assert any(line.startswith("val/loss  1 (best 1 at 1000)") for line in lines)


def test_diff_of_runs_of_different_pokes_finds_what_is_equal(tmp_path, write_run, write_old_run):
    write_run(tmp_path, "new", {"lr": 1})
    write_old_run(tmp_path, "old")

    lines = diff(run(tmp_path / "new"), run(tmp_path / "old")).splitlines()

    assert "commit" not in [line.split(" ")[0] for line in lines]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "5 s"), (65, "1 min 5 s"), (3700, "1 h 1 min"), (90000, "1 d 1 h"), (float("inf"), "?")],
)
def test_durations(seconds, text):
    assert format_seconds(seconds) == text
