import os
from datetime import UTC, datetime, timedelta

import pytest

from poke.comparison.errors import ComparisonError
from poke.comparison.reading.collection import read_runs
from poke.comparison.statistics.selection import filter_runs, find_run, younger_than


@pytest.fixture
def runs(sweep):
    return read_runs([sweep], cache=False)


@pytest.mark.parametrize(
    ("expression", "count"),
    [
        ("algo.lr=1e-3", 6),
        ("lr = 0.001", 6),
        ("algo.lr!=1e-3", 4),
        ("algo.lr<5e-4", 4),
        ("algo.lr>=1e-4", 10),
        ("status=finished", 8),
        ("status!=finished", 2),
        ("seed<=1", 4),
        ("val/loss<1.21", 3),
        ("run~/seed3", 2),
        ("algo.name=bc", 10),
        ("algo.name<1", 0),
        ("host=elsewhere", 10),
    ],
)
def test_expressions(runs, expression, count):
    assert len(filter_runs(runs, expression)) == count


@pytest.mark.parametrize("expression", ["algo.lr", "=3", "algo.lr<abc", ""])
def test_what_is_no_expression_is_refused(runs, expression):
    with pytest.raises(ComparisonError, match="--where"):
        filter_runs(runs, expression)


def test_a_key_that_no_run_has_is_refused(runs):
    with pytest.raises(ComparisonError, match=r"algo.lrr \(did you mean algo.lr"):
        filter_runs(runs, "algo.lrr=1")


def test_younger_than(tmp_path, write_run):
    now = datetime.now(UTC)
    for name, hours in (("new", 1), ("old", 50)):
        write_run(tmp_path, name, started=(now - timedelta(hours=hours)).isoformat())
    runs = read_runs([tmp_path])

    assert [os.path.basename(run.name) for run in younger_than(runs, "2d")] == ["new"]
    assert len(younger_than(runs, "1w")) == 2
    assert younger_than(runs, "30m") == []
    with pytest.raises(ComparisonError, match="2d"):
        younger_than(runs, "two days")


@pytest.mark.parametrize("name", ["broken", "brok", "{root}/broken", "ken", "{root}/broken/"])
def test_a_unique_beginning_or_end_names_a_run(runs, sweep, name):
    assert find_run(runs, name.format(root=sweep)).name == f"{sweep}/broken"


def test_a_whole_part_goes_before_a_part_of_one(tmp_path, write_run):
    write_run(tmp_path, "day/run1")
    write_run(tmp_path, "day/run11")
    runs = read_runs([tmp_path])

    assert find_run(runs, "run1").name == f"{tmp_path}/day/run1"


@pytest.mark.parametrize(
    ("name", "message"), [("seed0", "names 2 runs"), ("xyz", "no run is named xyz")]
)
def test_an_ambiguous_or_unknown_name_is_refused(runs, name, message):
    with pytest.raises(ComparisonError, match=message):
        find_run(runs, name)
