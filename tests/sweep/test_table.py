"""``sweep.csv`` lists every job from the start, and finds those of earlier starts by what they changed."""

import csv
import json

import pytest

from poke.sweep import naming
from poke.sweep.table import SweepTable


def leave(folder, name, overrides, status="finished", device="cpu"):
    (folder / name).mkdir()
    about = {"status": status, "overrides": overrides, "device": device, "step": 3}
    (folder / name / "run.json").write_text(json.dumps(about))


def add(folder, *jobs):
    table = SweepTable(folder)
    rows = table.add({naming.digest(job): job for job in jobs}, {"seed"})
    return table, rows


def listed(folder):
    with open(folder / "sweep.csv", newline="", encoding="utf-8") as file:
        return {row["job"]: row["status"] for row in csv.DictReader(file)}


def test_jobs_are_listed_before_they_begin_and_as_they_go_on(tmp_path):
    table, rows = add(tmp_path, ["seed=0"], ["seed=1"], ["seed=2"])
    names = [row.directory.name for row in rows]
    with table.kept_current():
        assert listed(tmp_path) == dict.fromkeys(names, "pending")
        leave(tmp_path, names[0], ["seed=0"], "running")
        leave(tmp_path, names[1], ["seed=1"], "failed")
    assert list(listed(tmp_path).values()) == ["running", "failed", "pending"]


def test_a_directory_is_found_by_what_its_job_changed_whatever_it_is_called(tmp_path):
    leave(tmp_path, "seed_0-67d501fc", ["seed=0", "logger.cli_frequency=0"])  # an older poke's name
    leave(tmp_path, "7", ["seed=1"])
    _, rows = add(tmp_path, ["seed=0"], ["seed=1", "logger=many"], ["seed=2"])
    assert [row.status for row in rows] == ["finished", "finished", "pending"]
    assert [row.directory.name for row in rows][:2] == ["seed_0-67d501fc", "7"]


@pytest.mark.parametrize("first", ["interrupted", "finished"])
def test_of_two_directories_of_one_job_the_finished_one_counts(tmp_path, first):
    second = "interrupted" if first == "finished" else "finished"
    leave(tmp_path, "a", ["seed=0", "logger.cli_frequency=0"], first)
    leave(tmp_path, "b", ["seed=0", "logger.cli_frequency=1"], second)
    _, (row,) = add(tmp_path, ["seed=0"])
    assert row.status == "finished"


@pytest.mark.parametrize(
    ("given", "found", "wanted", "status"),
    [
        ([], "cpu", ["device=cpu"], "finished"),
        (["device=cpu"], "cpu", [], "finished"),
        (["device=cpu"], "cpu", ["device=auto"], "finished"),
        ([], "cuda:0", ["device=cpu"], "pending"),
        (["device=cuda"], "cuda", ["device=cpu"], "pending"),
    ],
)
def test_auto_is_the_device_that_the_job_found(tmp_path, given, found, wanted, status):
    leave(tmp_path, "a", ["seed=0", *given], device=found)
    _, (row,) = add(tmp_path, ["seed=0", *wanted])
    assert row.status == status


def test_jobs_that_differ_in_their_device_stay_apart(tmp_path):
    leave(tmp_path, "a", ["seed=0", "device=cpu"])
    _, rows = add(tmp_path, ["seed=0", "device=cpu"], ["seed=0"])
    assert [row.status for row in rows] == ["finished", "pending"]
