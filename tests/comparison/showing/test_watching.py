import numpy as np
import pytest

from poke.comparison.errors import ComparisonError
from poke.comparison.reading.following import Follower
from poke.comparison.reading.rows.history import History
from poke.comparison.reading.sweeps import read_sweeps
from poke.comparison.showing.watching import CLEAR, running_table, steps_per_second, watch


def table(root, metric=None, **limits):
    follower = Follower([str(root)], cache=False)
    runs = follower.look()
    sweeps = read_sweeps([str(root)], runs)
    return running_table(runs, sweeps, metric, follower.rows, **limits)


def test_a_running_job_shows_how_far_how_fast_and_how_well(tmp_path, write_run, hold):
    config = {"trainer": {"max_steps": 2000}}
    hold(write_run(tmp_path, "job", config, status="running", age_seconds=130))
    write_run(tmp_path, "done", config)

    lines = table(tmp_path).splitlines()

    # the fixture's rows are one second a step apart
    assert lines[1].split() == [
        *(f"{tmp_path}/job", "running", "1000", "50%", "1", "16", "min", "40", "s"),
        *("1", "1", "2", "min", "10", "s", "ago"),
    ]
    assert lines[-1] == "1 running, 0 stale, 1 ended"


@pytest.mark.parametrize("status", ["created", "running"])
def test_a_job_without_a_row_yet_is_shown(tmp_path, write_run, hold, status):
    hold(write_run(tmp_path, "job", rows=[], status=status))

    assert table(tmp_path).splitlines()[1].split()[:2] == [f"{tmp_path}/job", status]
    assert table(tmp_path).splitlines()[-1] == "1 running, 0 stale, 0 ended"


def test_nothing_is_running(sweep, tmp_path):
    assert table(tmp_path / "outputs").splitlines()[-1] == "0 running, 1 stale, 9 ended"
    (tmp_path / "empty").mkdir()
    assert table(tmp_path / "empty").startswith("nothing is running")


def test_an_unknown_metric_is_refused(sweep):
    with pytest.raises(ComparisonError, match="val/los"):
        table(sweep, "val/los")


def test_speed_comes_from_the_newest_rows_and_not_from_a_pause():
    steps = np.arange(200.0)
    times = np.where(steps < 50, steps, 10_000 + steps / 2)

    assert steps_per_second(History([], np.stack([steps, times]))) == pytest.approx(2.0)
    assert np.isnan(steps_per_second(History([], np.stack([steps[:1], times[:1]]))))


def test_watching_looks_again_until_interrupted(monkeypatch):
    looks = iter(["first", "second"])
    written = []

    def look():
        try:
            return next(looks)
        except StopIteration:
            raise KeyboardInterrupt from None

    pauses = []
    monkeypatch.setattr("poke.comparison.showing.watching.time.sleep", pauses.append)
    watch(look, 2.0, written.append)

    assert written == [f"{CLEAR}first", f"{CLEAR}second", "\n"]
    assert pauses == [2.0, 2.0]


@pytest.fixture
def half_done(tmp_path, write_run, session, hold):
    """A sweep of nine jobs of an hour each: four are over, one failed, two run and two wait."""
    folder = tmp_path / "multirun/lr"
    config = {"trainer": {"max_steps": 1000}}
    jobs = [f"algo.lr_{place}+seed_{place}-0a{place}b" for place in range(9)]
    for place, job in enumerate(jobs[:7]):
        status = "finished" if place < 4 else "failed" if place == 4 else "running"
        rows = [{"step": step, "val/loss": 1.0 + place} for step in (0, 250, 500)]
        directory = write_run(folder, job, config, rows, status=status, sessions=[session()])
        if status == "running":
            hold(directory)
    told = ["finished"] * 3 + ["running"] * 4 + ["pending"] * 2  # a little behind
    lines = [
        f"{job},{status},,{place}"
        for place, (job, status) in enumerate(zip(jobs, told, strict=True))
    ]
    (folder / "sweep.csv").write_text("job,status,step,algo.lr\n" + "\n".join(lines) + "\n")
    return tmp_path / "multirun"


def test_a_sweep_shows_what_is_done_at_work_and_to_come(half_done):
    lines = table(half_done).splitlines()

    # 500 s left of each job at work, an hour each for two that wait, two at once
    assert lines[0] == (
        f"sweep {half_done}/lr: 4 finished, 2 running, 2 pending, 1 failed, about 1 h 8 min left"
    )
    jobs = [line.split()[:2] for line in lines[3:11]]
    assert [status for _, status in jobs] == [
        *["running"] * 2,
        "failed",
        *["pending"] * 2,
        *["finished"] * 3,
    ]
    assert jobs[0][0] == "algo.lr_5+seed_5-0a5b"
    assert lines[3].split()[2:8] == ["500", "50%", "1", "8", "min", "20"]
    assert lines[-1] == "2 running, 0 stale, 5 ended"


@pytest.mark.parametrize("width", [30, 40, 60, 80, 150])
def test_no_line_is_wider_than_the_terminal(half_done, write_run, hold, width):
    hold(write_run(half_done / "x", "y" * 90, status="running"))

    lines = table(half_done, width=width).splitlines()

    assert max(map(len, lines)) <= width
    assert sum("running" in line for line in lines) >= 3
    assert any(
        line.split()[0].endswith("5-0a5b") for line in lines if line.split()[1:2] == ["running"]
    )


def test_a_sweep_whose_table_is_odd_costs_a_line(half_done):
    (half_done / "lr/sweep.csv").write_bytes(b'job,status\n"' + b"x" * 200_000)
    assert "2 running" in table(half_done).splitlines()[-1]
    assert table(half_done).startswith(f"! {half_done}/lr/sweep.csv cannot be read (field larger")
    (half_done / "lr/sweep.csv").write_text("")
    assert table(half_done).startswith(f"sweep {half_done}/lr: no job\n")


def test_a_sweep_that_is_over_is_one_line(half_done):
    (half_done / "lr/sweep.csv").write_text("job,status\nalgo.lr_0+seed_0-0a0b,running\n")

    assert table(half_done).splitlines()[0] == f"sweep {half_done}/lr: 1 finished"


def test_a_sweep_at_its_beginning_goes_by_the_speed_of_its_jobs(half_done):
    text = (half_done / "lr/sweep.csv").read_text().splitlines()
    kept = [line for line in text if not line.startswith(tuple(f"algo.lr_{n}" for n in range(5)))]
    (half_done / "lr/sweep.csv").write_text("\n".join(kept) + "\n")

    # each job at work took an hour for one half so far, says its account, and 500 s more for the rest
    assert "about 1 h 16 min left" in table(half_done).splitlines()[0]


def test_no_more_lines_than_the_terminal_has(half_done):
    lines = table(half_done, height=8).splitlines()

    assert len(lines) == 7  # the last line of the terminal is the cursor's
    assert lines[0].startswith("sweep ")
    assert lines[3].split()[1] == "running"
    assert lines[-3:] == ["and 7 more", "", "2 running, 0 stale, 5 ended"]
