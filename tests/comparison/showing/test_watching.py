import numpy as np
import pytest

from poke.comparison.errors import ComparisonError
from poke.comparison.reading.following import Follower
from poke.comparison.reading.rows.history import History
from poke.comparison.showing.watching import CLEAR, running_table, steps_per_second, watch


def table(root, metric=None):
    follower = Follower([str(root)], cache=False)
    return running_table(follower.look(), metric, follower.rows)


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
