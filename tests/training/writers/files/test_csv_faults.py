"""metrics.csv on a disk that fails for a moment: no row is missing and none is there twice, after any resume."""

import csv
import errno
import json
import os

import pytest

from poke.training.writers import CsvWriter
from poke.training.writers.files import csvfile as module

CALLS = (
    "open",
    "pwrite",
    "pread",
    "ftruncate",
    "fsync",
    "fstat",
    "stat",
    "replace",
    "copy_file_range",
)
ROWS = [
    ({"loss": step / 7, **{f"name_{i}": 1.0 * step for i in range(step // 3, step // 3 + 2)}}, step)
    for step in range(24)
]


class Disk:
    """Stands in for `os`: from one call to the file system on, so many fail, some after half of their work.

    Args:
        first: the call that fails first, None for none.
        number: how many fail.
        error: with what.
    """

    def __init__(self, first=None, number=1, error=errno.EIO):
        self.first, self.number, self.error = first, number, error
        self.calls = 0

    def __getattr__(self, name):
        function = getattr(os, name)
        if name not in CALLS:
            return function

        def call(*arguments):
            self.calls += 1
            if self.first is not None and self.first <= self.calls < self.first + self.number:
                if name == "pwrite" and self.calls % 2:
                    file, data, at = arguments
                    os.pwrite(file, data[: len(data) // 2], at)
                if name == "replace" and self.calls % 2:  # as a server does whose answer is lost
                    os.replace(*arguments)
                raise OSError(self.error, os.strerror(self.error))
            return function(*arguments)

        return call


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.csv"


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Sizes at which few rows lead through every way to widen a file."""
    monkeypatch.setattr(module, "FIRST_NAMES", 3)
    monkeypatch.setattr(module, "PADDED_BYTES", 400)
    monkeypatch.setattr(module, "LEAST_SPARE", 20)


def content(path):
    """Every row without its time, and without what is empty."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = [{k: v for k, v in row.items() if k != "time" and v} for row in csv.DictReader(file)]
    assert not any(None in row for row in rows)
    return rows


def undisturbed(rows):
    return [
        {"step": str(step), **{f"train/{name}": repr(value) for name, value in metrics.items()}}
        for metrics, step in rows
    ]


def write(writer, rows, states=None):
    for number, (metrics, step) in enumerate(rows, 1):
        writer.write(metrics, step, "train")
        if states is not None and number % 4 == 0:
            states.append((number, json.loads(json.dumps(writer.get_state()))))


def number_of_calls(path, monkeypatch, play):
    disk = Disk()
    monkeypatch.setattr(module, "os", disk)
    play(path)
    monkeypatch.setattr(module, "os", os)
    return disk.calls


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("number", [1, 2, 25])
def test_a_fault_at_any_call_costs_no_row(tmp_path, monkeypatch, number, error):
    def play(path):
        states = []
        writer = CsvWriter(path)
        write(writer, ROWS, states)
        return writer, states

    calls = number_of_calls(tmp_path / "whole.csv", monkeypatch, lambda path: play(path)[0].close())
    assert calls > 80
    for first in range(1, calls + 1, 1 if number == 2 else 3):
        path = tmp_path / f"{first}.csv"
        monkeypatch.setattr(module, "os", Disk(first, number, error))
        writer, states = play(path)
        monkeypatch.setattr(module, "os", os)
        writer.close()
        assert content(path) == undisturbed(ROWS), first
        for at, state in states if first % 7 == 0 else states[-1:]:
            again = CsvWriter(path)
            again.set_state(state)
            write(again, ROWS[at:])
            again.close()
            assert content(path) == undisturbed(ROWS), (first, at)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.ESTALE])
@pytest.mark.parametrize("number", [1, 12])
def test_a_kill_in_the_middle_of_an_outage_costs_no_row_after_a_resume(
    tmp_path, monkeypatch, number, error
):
    calls = number_of_calls(
        tmp_path / "whole.csv", monkeypatch, lambda path: write(CsvWriter(path), ROWS)
    )
    for first in range(1, calls + 1, 2):
        path = tmp_path / f"{first}.csv"
        disk = Disk(first, number, error)
        monkeypatch.setattr(module, "os", disk)
        states = [(0, {"columns": [], "num_rows": 0, "waiting": []})]
        writer = CsvWriter(path)
        for row in ROWS:
            write(writer, [row])
            states.append((row[1] + 1, json.loads(json.dumps(writer.get_state()))))
            if disk.calls > first:
                break
        writer._file.close()  # a kill: what is in memory is gone
        monkeypatch.setattr(module, "os", os)
        for at, state in states[::-3]:
            again = CsvWriter(path)
            again.set_state(state)
            write(again, ROWS[at:])
            again.close()
            assert content(path) == undisturbed(ROWS), (first, at)


@pytest.mark.parametrize("number", [1, 30])
def test_a_fault_while_a_state_is_set_is_made_up_for(tmp_path, monkeypatch, number):
    def begin(path):
        states = []
        writer = CsvWriter(path)
        write(writer, ROWS, states)
        writer.close()
        return states[2]

    def resume(path, at, state):
        writer = CsvWriter(path)
        writer.set_state(state)
        assert writer.get_state()["num_rows"] == state["num_rows"]
        write(writer, ROWS[at:])
        return writer

    at, state = begin(tmp_path / "whole.csv")
    calls = number_of_calls(tmp_path / "whole.csv", monkeypatch, lambda p: resume(p, at, state))
    for first in range(1, calls + 1):
        path = tmp_path / f"{first}.csv"
        at, state = begin(path)
        monkeypatch.setattr(module, "os", Disk(first, number))
        writer = resume(path, at, state)
        monkeypatch.setattr(module, "os", os)
        writer.close()
        assert content(path) == undisturbed(ROWS), first


def test_rows_that_a_server_lost_are_said(path, caplog):
    writer = CsvWriter(path)
    write(writer, ROWS[:6])
    os.truncate(path, path.stat().st_size - 20)  # what ESTALE may mean
    writer._file.close()
    write(writer, ROWS[6:])
    writer.close()
    assert content(path) == undisturbed([*ROWS[:5], *ROWS[6:]])
    assert "lacks 1 of this run's rows" in caplog.text
