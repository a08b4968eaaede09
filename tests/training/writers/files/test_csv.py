"""metrics.csv: exact, append-only, readable at every moment."""

import csv
import errno
import json
import math
import os
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from poke.training.logging import MetricsLogger
from poke.training.writers import CsvWriter
from poke.training.writers.files import csv as csv_module
from poke.training.writers.files import csvfile as file_module


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.csv"


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_columns_are_step_time_and_full_names(path):
    before = datetime.now(UTC)
    writer = CsvWriter(path)
    writer.write({"loss": 0.1, "accuracy": 1.0}, 7, "train")
    writer.write({"loss": 0.2}, 7, "val")
    writer.close()
    header, first, second = read(path)
    assert header == ["step", "time", "train/loss", "train/accuracy", "val/loss"]
    assert [first[0], *first[2:]] == ["7", "0.1", "1.0", ""]
    assert [second[0], *second[2:]] == ["7", "", "", "0.2"]
    logged = datetime.fromisoformat(first[1])
    assert logged.utcoffset().total_seconds() == 0
    assert abs((logged - before).total_seconds()) < 60


def test_pandas_reads_every_float_back_bit_for_bit(path):
    generator = np.random.default_rng(0)
    values = generator.integers(0, 2**63, size=2000, dtype=np.uint64).view(np.float64)
    values = values[np.isfinite(values)]
    writer = CsvWriter(path)
    for step, value in enumerate(values):
        writer.write({"x": float(value)}, step, "train")
    writer.close()
    table = pd.read_csv(path)
    assert (table["train/x"].to_numpy() == values).all()
    assert (table["step"] == np.arange(len(values))).all()


NAMES = [
    "a,b",
    'say "hi"',
    "two\nlines",
    "Größe",
    "損失",
    "🎮",
    " spaces ",
    "a;b\tc",
    "'",
    "x/y/z",
    "#",
    "\\n",
]


def test_any_name_reads_back(path):
    names = NAMES
    writer = CsvWriter(path)
    for step in range(3):
        for i, name in enumerate(names[: step + 10]):
            writer.write({name: float(i)}, step, "train")
    writer.close()
    assert read(path)[0][2:] == [f"train/{name}" for name in names]
    table = pd.read_csv(path)
    assert list(table.columns[2:]) == [f"train/{name}" for name in names]
    for i, name in enumerate(names):
        assert set(table[f"train/{name}"].dropna()) == {float(i)}


def test_a_name_that_utf8_cannot_hold_is_written_out(path):
    with MetricsLogger(backends=[CsvWriter(path)]) as logger:
        logger.log({"bad \ud800 name": 1.0, "loss": 2.0, 3: 4.0}, 1)
    assert read(path)[0][2:] == ["train/bad \\ud800 name", "train/loss", "train/3"]


def test_a_new_name_widens_the_file_and_keeps_every_row(path):
    writer = CsvWriter(path)
    for step in range(5):
        writer.write({"loss": step / 7}, step, "train")
    before = read(path)
    writer.write({"loss": 1.0, "late, one": 2.0}, 5, "train")
    writer.write({"return": 3.0}, 5, "eval")
    writer.close()
    after = read(path)
    assert after[0] == [*before[0], "train/late, one", "eval/return"]
    assert [row[:3] for row in after[1:6]] == before[1:]
    assert {len(row) for row in after} == {5}
    assert not [file for file in path.parent.iterdir() if file != path]


def test_it_is_readable_and_whole_after_every_row(path):
    writer = CsvWriter(path)
    for step in range(20):
        writer.write({"loss": 1.0, **({"new": 2.0} if step > 9 else {})}, step, "train")
        content = path.read_bytes()
        assert content.endswith(b"\n")
        assert len(content.splitlines()) == step + 2


def test_a_torn_last_line_is_dropped_and_the_rest_goes_on(path):
    writer = CsvWriter(path)
    for step in range(4):
        writer.write({"loss": 1.5}, step, "train")
    writer.close()
    whole = path.read_bytes()
    for size in range(len(whole) - len(whole.splitlines()[-1]), len(whole)):
        path.write_bytes(whole[:size])
        again = CsvWriter(path)
        again.write({"loss": 2.5}, 9, "train")
        again.close()
        rows = read(path)
        assert [row[0] for row in rows] == ["step", "0", "1", "2", "9"]
        assert {len(row) for row in rows} == {3}


def test_what_is_torn_is_dropped_however_long_it_is(path):
    path.write_text("step,time,train/loss\n1,t,0.5\n2,t,0." + "5" * 500)
    writer = CsvWriter(path)
    writer.write({"loss": 2.5}, 2, "train")
    assert path.read_bytes().endswith(b"Z,2.5\n")
    writer.close()
    assert [row[2] for row in read(path)[1:]] == ["0.5", "2.5"]


def test_set_state_cuts_rows_and_columns_that_came_later(path):
    writer = CsvWriter(path)
    writer.write({"loss": 1.0, "odd, name": 2.0}, 1, "train")
    state = writer.get_state()
    kept = path.read_bytes()
    writer.write({"loss": 3.0, "late": 4.0}, 2, "train")
    writer.write({"loss": 3.0}, 2, "val")
    writer.close()
    for _ in range(2):
        again = CsvWriter(path)
        again.set_state(state)
        assert path.read_bytes() == kept
        again.close()


def test_another_runs_file_is_left_alone(path):
    content = "step,time,train/return\n1,2026-01-01T00:00:00Z,5.0\n"
    path.write_text(content)
    writer = CsvWriter(path)
    with pytest.raises(ValueError, match="not those of this run"):
        writer.set_state({"columns": ["step", "time", "train/loss"], "num_rows": 1})
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="does not start with the columns step and time"):
        CsvWriter(path).write({"loss": 1.0}, 1, "train")
    assert path.read_text() == "a,b\n1,2\n"


def test_rows_that_a_crash_swallowed_are_said(path, caplog):
    writer = CsvWriter(path)
    writer.write({"loss": 1.0}, 1, "train")
    state = {**writer.get_state(), "num_rows": 3}
    writer.set_state(state)
    assert "lacks 2 of this run's rows" in caplog.text
    writer.write({"loss": 1.0}, 4, "train")
    writer.close()
    assert [row[0] for row in read(path)] == ["step", "1", "4"]


def test_nan_reads_back_as_nan(path):
    writer = CsvWriter(path)
    writer.write({"loss": math.nan, "accuracy": 1.0}, 1, "train")
    writer.close()
    assert read(path)[1][2:] == ["nan", "1.0"]
    assert math.isnan(pd.read_csv(path)["train/loss"][0])


def test_it_appends_and_never_rewrites_while_names_stay(path):
    writer = CsvWriter(path)
    writer.write({"loss": 1.0}, 0, "train")
    inode = path.stat().st_ino
    for step in range(1, 50):
        before = path.read_bytes()
        writer.write({"loss": 1.0}, step, "train")
        assert path.read_bytes().startswith(before)
    writer.close()
    assert path.stat().st_ino == inode


class Disk:
    """A file system that takes so many bytes, and then none until there is room again."""

    def __init__(self, monkeypatch, room=0):
        self.room = room
        self._pwrite, self._fsync = os.pwrite, os.fsync
        monkeypatch.setattr(file_module.os, "pwrite", self.pwrite)
        monkeypatch.setattr(file_module.os, "fsync", self.fsync)

    def pwrite(self, file, data, at):
        taken = data[: self.room]
        self.room -= len(taken)
        if not taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._pwrite(file, taken, at)

    def fsync(self, file):
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._fsync(file)


def steps(path):
    return [int(row[0]) for row in read(path)[1:]]


def test_rows_that_a_full_disk_refuses_are_written_when_there_is_room(path, monkeypatch, caplog):
    writer = CsvWriter(path)
    writer.write({"loss": 0.0}, 0, "train")
    whole = path.read_bytes()
    disk = Disk(monkeypatch, room=9)
    for step in range(1, 6):
        writer.write({"loss": float(step), **({"late": 1.0} if step == 3 else {})}, step, "train")
        assert path.read_bytes() == whole
        assert os.listdir(path.parent) == [path.name]
    assert caplog.text.count("cannot be written (No space left on device)") == 1
    disk.room = 10_000
    writer.write({"loss": 6.0}, 6, "train")
    writer.close()
    assert steps(path) == list(range(7))
    assert [row[2] for row in read(path)[1:]] == [f"{step}.0" for step in range(7)]
    assert caplog.text.count("cannot be written") == 1


def test_rows_that_wait_are_written_at_the_next_flush(path, monkeypatch):
    writer = CsvWriter(path)
    disk = Disk(monkeypatch)
    writer.write({"loss": 0.0}, 0, "train")
    assert not path.exists()
    disk.room = 10_000
    writer.flush()
    assert steps(path) == [0]
    writer.close()


@pytest.mark.parametrize("room_comes_before_the_end", [True, False])
def test_rows_that_wait_are_in_the_state_and_none_is_written_twice(
    path, monkeypatch, room_comes_before_the_end
):
    writer = CsvWriter(path)
    writer.write({"loss": 0.0}, 0, "train")
    disk = Disk(monkeypatch)
    for step in range(1, 6):
        writer.write({"loss": float(step)}, step, "train")
    state = json.loads(json.dumps(writer.get_state()))
    if room_comes_before_the_end:
        disk.room = 10_000
        writer.write({"loss": 6.0}, 6, "train")
    writer.close()

    disk.room = 10_000
    again = CsvWriter(path)
    again.set_state(state)
    assert again.get_state() == state
    again.write({"loss": 6.5}, 6, "train")
    again.close()
    assert steps(path) == list(range(7))
    assert read(path)[-1][2] == "6.5"


def test_no_more_rows_wait_than_memory_is_meant_for(path, monkeypatch, caplog):
    monkeypatch.setattr(csv_module, "MAX_WAITING_ROWS", 3)
    caplog.set_level("INFO")
    writer = CsvWriter(path)
    disk = Disk(monkeypatch)
    for step in range(10):
        writer.write({"loss": 1.0}, step, "train")
    disk.room = 10_000
    writer.close()
    assert steps(path) == [7, 8, 9]
    assert "7 rows are lost" in caplog.text


def test_a_half_written_file_of_a_killed_process_is_swept(path):
    temporary = path.with_name(".metrics.csv.tmp")
    temporary.write_text("step,ti")
    CsvWriter(path).write({"loss": 1.0}, 1, "train")
    assert os.listdir(path.parent) == [path.name]


LIMITED = """
import logging, os, resource, signal, sys
from poke.training.writers import CsvWriter
from poke.training.writers.files import csv as csv_module

logging.basicConfig(stream=sys.stdout, format="%(message)s")
writer = CsvWriter("metrics.csv")
for step in range(1000):
    names = [f"name_{i}" for i in range(step // 100 + 1)]  # the file is rewritten now and then
    if step == 250:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))
    if step == 900:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    writer.write({name: float(step) for name in names}, step, "train")
    assert os.listdir() == ["metrics.csv"], os.listdir()
    if step in (250, 500, 899):
        assert open("metrics.csv").read().endswith("\\n")
writer.close()
"""


def test_a_limit_on_the_size_of_files_costs_one_line_and_no_row(path):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], cwd=path.parent, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    assert "cannot be written (File too large)" in done.stdout
    assert steps(path) == list(range(1000))


def test_it_costs_few_bytes_a_step(path):
    values = np.random.default_rng(0).random((1000, 10))
    with MetricsLogger(backends=[CsvWriter(path)]) as logger:
        for step, row in enumerate(values.tolist(), 1):
            logger.log({f"metric_{i}": value for i, value in enumerate(row)}, step)
    assert path.stat().st_size / 1000 <= 6


def test_a_file_of_another_process_is_refused_and_keeps_its_rows(path):
    script = (
        "import sys; from poke.training.writers import CsvWriter; writer = CsvWriter('metrics.csv')\n"
        "for step in range(5): writer.write({'loss': 1.0}, step, 'train')\n"
        "print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command, cwd=path.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        whole = path.read_bytes()
        for call in (
            lambda writer: writer.write({"loss": 2.0, "late": 1.0}, 9, "train"),
            lambda writer: writer.set_state({"columns": ["step", "time"], "num_rows": 0}),
            lambda writer: writer.get_state(),
        ):
            with pytest.raises(ValueError, match="is being written by another run"):
                call(CsvWriter(path))
        assert path.read_bytes() == whole
        process.stdin.close()
    again = CsvWriter(path)
    again.write({"loss": 2.0}, 9, "train")
    again.close()
    assert steps(path) == [0, 1, 2, 3, 4, 9]


def test_many_that_begin_one_file_at_once_leave_the_rows_of_one(path):
    script = (
        "import sys; from poke.training.writers import CsvWriter; writer = CsvWriter('metrics.csv')\n"
        "sys.stdin.readline()\n"
        "try:\n"
        "    for step in range(50): writer.write({'loss': float(sys.argv[1])}, step, 'train')\n"
        "except ValueError: print('refused', flush=True)\n"
        "else: print('written', flush=True)\n"
        "sys.stdin.read()"
    )
    for _ in range(3):
        path.unlink(missing_ok=True)
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", script, str(number)],
                cwd=path.parent,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(4)
        ]
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        said = [process.stdout.readline().strip() for process in processes]
        for process in processes:
            process.communicate()
        assert sorted(said) == ["refused"] * 3 + ["written"]
        assert steps(path) == list(range(50))
        assert {float(row[2]) for row in read(path)[1:]} == {float(said.index("written"))}


def test_in_one_process_the_file_is_whose_who_opened_it_last(path):
    first, second = CsvWriter(path), CsvWriter(path)
    first.write({"loss": 1.0}, 1, "train")
    second.write({"loss": 2.0}, 2, "train")
    for call in (first.get_state, lambda: first.write({"loss": 3.0, "late": 1.0}, 3, "train")):
        with pytest.raises(ValueError, match="is being written by another run"):
            call()
    first.close()
    second.write({"loss": 4.0}, 4, "train")
    second.close()
    assert steps(path) == [1, 2, 4]


def test_a_forked_child_does_not_hold_the_file(path):
    writer = CsvWriter(path)
    writer.write({"loss": 1.0}, 1, "train")
    read_end, write_end = os.pipe()
    there, begun = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write_end)
        os.write(begun, b".")
        os.read(read_end, 1)
        os._exit(0)
    os.close(read_end)
    os.read(there, 1)
    writer._file.close()  # the parent is gone
    script = "from poke.training.writers import CsvWriter; CsvWriter('metrics.csv').write({'loss': 2.0}, 2, 'train')"
    subprocess.run([sys.executable, "-c", script], cwd=path.parent, check=True)
    for end in (write_end, there, begun):
        os.close(end)
    os.waitpid(child, 0)
    assert steps(path) == [1, 2]


def test_a_file_outside_of_the_run_directory_is_ours_by_a_state_only(path, tmp_path):
    theirs, ours = (tmp_path / name for name in ("theirs", "ours"))
    first = CsvWriter(path, run_dir=theirs)
    assert first.get_state()["num_rows"] == 0
    first.write({"loss": 1.0}, 1, "train")
    state = first.get_state()
    first.write({"loss": 1.0}, 2, "train")
    first.close()
    whole = path.read_bytes()
    second = CsvWriter(path, run_dir=ours)
    for call in (second.get_state, lambda: second.write({"loss": 2.0, "late": 1.0}, 1, "train")):
        with pytest.raises(ValueError, match="holds the rows of another run"):
            call()
    second.begin_again()
    with pytest.raises(ValueError, match="holds the rows of another run"):
        second.write({"loss": 2.0}, 1, "train")
    assert path.read_bytes() == whole
    again = CsvWriter(path, run_dir=theirs)
    again.set_state(state)
    again.write({"loss": 3.0}, 2, "train")
    again.close()
    assert [row[2] for row in read(path)[1:]] == ["1.0", "3.0"]


def test_an_attempt_without_a_state_leaves_nothing_to_the_next_one(path):
    first = CsvWriter(path, run_dir=path.parent)
    first.write({"loss": 1.0}, 1, "train")
    first.close()
    second = CsvWriter(path, run_dir=path.parent)
    second.begin_again()
    second.write({"accuracy": 2.0}, 1, "train")
    second.close()
    assert read(path)[0] == ["step", "time", "train/accuracy"]
    assert steps(path) == [1]
