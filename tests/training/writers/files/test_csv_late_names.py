"""metrics.csv while new names keep coming: a plain csv file at every instant, whatever the names are."""

import csv
import itertools
import math
import os
import random
import signal
import subprocess
import sys

import pandas as pd
import pytest

from poke.comparison import load_history
from poke.training.writers import CsvWriter
from poke.training.writers.files import csvfile as module
from poke.training.writers.files import csvformat


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.csv"


@pytest.fixture
def small(monkeypatch):
    """Sizes at which few rows and names lead through every way to widen a file."""
    monkeypatch.setattr(module, "FIRST_NAMES", 5)
    monkeypatch.setattr(module, "PADDED_BYTES", 3000)
    monkeypatch.setattr(module, "LEAST_SPARE", 60)
    monkeypatch.setattr(module, "PAGE_BYTES", 700)
    monkeypatch.setattr(module, "CHUNK_BYTES", 64)


PIECES = [
    "a",
    "Z",
    "_",
    "/",
    "\n",
    "\r",
    "\r\n",
    ";",
    ",",
    '"',
    "'",
    "%s",
    "\t",
    " ",
    "損失",
    "🎮",
    "#",
    "\\",
    "=",
]


def odd_names(seed, number):
    """Names of every kind: short and of 300 characters, none twice."""
    generator = random.Random(seed)
    names = {}
    while len(names) < number:
        size = generator.choice([1, 2, 5, 20, 300 if len(names) % 7 == 0 else 3])
        names.setdefault("".join(generator.choices(PIECES, k=size))[:300])
    return list(names)


def rows_of(names, every, number):
    """Rows that tell a loss, now and then an accuracy, and one of the names, a new one every so many rows."""
    for step in range(number):
        known = min(len(names), step // every + 1)
        row = {"loss": step / 7, names[(step * 31) % known]: math.sqrt(step)}
        yield (row | {names[known - 1]: -1.0 * step}), step, "train"
        if step % 10 == 9:
            yield {"loss": 1 / step, names[0]: 2.0}, step, "val"


def told(rows):
    """What should be read back: a dict of texts a row."""
    return [
        {"step": str(step), **{f"{category}/{name}": repr(v) for name, v in metrics.items()}}
        for metrics, step, category in rows
    ]


def read_by_csv(path):
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, strict=True)
        rows = [{k: v for k, v in row.items() if v} for row in reader]
    assert not any(None in row for row in rows)  # cells past the header
    for row in rows:
        row.pop("", None)  # a name that came after the header was read
    for row in rows:
        row["step"] = str(int(row["step"]))
        assert row.pop("time").endswith("Z")
    return rows


def read_by_pandas(path):
    table = pd.read_csv(path)
    assert table["step"].dtype == "int64"
    table = table.drop(columns="time")
    return [
        {
            k: str(int(v)) if k == "step" else repr(float(v)) for k, v in row.items() if v == v
        }  # not NaN
        for row in table.to_dict("records")
    ]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seed", range(6))
def test_every_reader_sees_every_row_after_every_write(path, seed):
    names = odd_names(seed, 40)
    writer = CsvWriter(path)
    rows = []
    for row in rows_of(names, every=4, number=160):
        writer.write(*row)
        rows.append(row)
        assert read_by_csv(path) == told(rows)
        if len(rows) % 5 == 0:
            assert read_by_pandas(path) == told(rows)
    writer.close()
    assert read_by_pandas(path) == told(rows)
    with open(path, newline="", encoding="utf-8") as file:
        widths = {len(row) for row in csv.reader(file)}
    assert len(widths) == 1
    assert {row.split(b",")[0].decode() for row in path.read_bytes().splitlines()[-9:]} <= {
        row["step"] for row in told(rows)
    }


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seed", range(4))
def test_killed_and_resumed_at_any_moment_the_rows_are_those_of_an_undisturbed_run(path, seed):
    rows = list(rows_of(odd_names(seed, 30), every=4, number=120))
    generator = random.Random(seed)
    writer, states = CsvWriter(path), [(0, CsvWriter(path).get_state())]
    at = 0
    for _ in range(25):
        for _ in range(generator.randrange(1, 15)):
            if at < len(rows):
                writer.write(*rows[at])
                at += 1
            if generator.random() < 0.2:
                states.append((at, writer.get_state()))
        writer._file.close()  # a kill: what is in memory is gone
        kept = generator.randrange(len(states))
        at, state = states[kept]
        del states[kept + 1 :]
        if generator.random() < 0.3:
            with open(path, "ab") as file:  # and so is the end of a row
                file.write(b"99,2026-01-01T00:")
        writer = CsvWriter(path)
        writer.set_state(state)
        assert read_by_csv(path) == told(rows[:at]) if path.exists() else at == 0
    for row in rows[at:]:
        writer.write(*row)
    writer.close()
    assert read_by_csv(path) == told(rows)
    undisturbed = CsvWriter(path.with_name("other.csv"))
    for row in rows:
        undisturbed.write(*row)
    undisturbed.close()
    headers = [csvformat.columns_of(file.read_bytes())[0] for file in (path, undisturbed.path)]
    assert headers[0] == headers[1]


def test_comparison_reads_it_while_it_grows(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PADDED_BYTES", 2000)
    monkeypatch.setattr(module, "FIRST_NAMES", 3)
    run = tmp_path / "run"
    run.mkdir()
    writer = CsvWriter(run / "metrics.csv")
    rows = list(rows_of([f"name_{i}" for i in range(40)], every=4, number=160))
    for count, row in enumerate(rows, 1):
        writer.write(*row)
        if count % 40 == 0:
            table = load_history([run]).dropna(axis="columns", how="all")
            names = {f"{c}/{name}" for metrics, _, c in rows[:count] for name in metrics}
            assert names <= set(table.columns)
            assert list(table["step"]) == [step for _, step, _ in rows[:count]]
            (last,) = [i for i in range(count) if i == count - 1]
            for name, value in rows[last][0].items():
                assert table[f"{rows[last][2]}/{name}"].iloc[last] == value


WRITER = """
import sys
from poke.training.writers import CsvWriter
from poke.training.writers.files import csvfile

csvfile.PADDED_BYTES, csvfile.FIRST_NAMES = 20_000, 3
writer = CsvWriter("metrics.csv")
for step in range(1500):
    writer.write({"loss": step / 7, f"name_{step // 5}": 1.0}, step, "train")
    print(step, flush=True)
    if step == 0:
        sys.stdin.readline()
"""


def start(folder):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_reader_beside_the_writer_meets_a_whole_file_at_every_instant(path):
    with start(path.parent) as process:
        process.stdout.readline()
        process.stdin.write("\n")
        process.stdin.flush()
        seen = least = 0
        for line in itertools.takewhile(bool, iter(process.stdout.readline, "")):
            least = int(line) + 1
            if least % 30 == 0:  # the writer goes on, until the pipe is full
                rows = read_by_csv(path)
                assert [row["step"] for row in rows] == [str(step) for step in range(len(rows))]
                assert len(rows) >= least
                assert len(pd.read_csv(path)) >= len(rows)
                seen += 1
        assert seen == 50
        assert least == 1500


@pytest.mark.parametrize("moment", [1, 40, 333, 900])
def test_a_kill_loses_no_row_that_was_written(path, moment):
    with start(path.parent) as process:
        process.stdin.write("\n")
        process.stdin.flush()
        for _ in range(moment):
            last = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        for line in process.stdout:
            last = int(line) if line.endswith("\n") else last
    rows = read_by_csv(path)
    assert len(rows) >= last + 1
    again = CsvWriter(path)
    again.write({"loss": 0.5, "another": 1.0}, 9999, "train")
    again.close()
    rows = [*rows, {"step": "9999", "train/loss": "0.5", "train/another": "1.0"}]
    assert read_by_csv(path) == rows == read_by_pandas(path)
    assert os.listdir(path.parent) == [path.name]


def test_an_ordinary_file_is_padded_at_once_and_has_no_zeros(path):
    writer = CsvWriter(path)
    for step in range(200):
        late = {f"name_{i}": 1.0 for i in range(step // 20)}
        writer.write({"loss": 1.0, **late}, step, "train")
        lines = path.read_text().splitlines()
        assert {line.count(",") for line in lines} == {lines[0].count(",")}
        assert lines[1].startswith("0,")
    writer.close()


def test_rows_whose_header_a_power_cut_swallowed_are_dropped(path):
    path.write_text("step,time,train/loss,,,\n5,t,0.5\n6,t,0.25\n7,t,0.1,1.0\n8,t,0.1,1.0\n")
    writer = CsvWriter(path)
    writer.write({"loss": 0.125}, 7, "train")
    writer.close()
    with open(path, newline="") as file:
        rows = [[row[0], row[2]] for row in csv.reader(file)]
    assert rows == [["step", "train/loss"], ["5", "0.5"], ["6", "0.25"], ["7", "0.125"]]
