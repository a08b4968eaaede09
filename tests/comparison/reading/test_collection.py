import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime

import numpy as np
import pytest
from filelock import FileLock

from poke.comparison.reading import collection, directories, index, record
from poke.comparison.reading.collection import read_histories, read_runs
from poke.comparison.showing.rendering import Style, render
from poke.comparison.statistics.table import Question, compare

FILE = index.FILE_NAME


@pytest.fixture
def later(monkeypatch):
    """Let everything written so far have settled, as if some seconds had passed."""
    real = time.time_ns
    monkeypatch.setattr(index.time, "time_ns", lambda: real() + 10_000_000_000)


@pytest.fixture
def reads(monkeypatch):
    """The directories whose files are read, not looked up."""
    read = []
    original = directories.read

    def spy(found, known):
        read.extend(os.path.basename(files.directory) for files in found)
        return original(found, known)

    monkeypatch.setattr(collection, "read", spy)
    return read


def table(root, **options):
    runs = read_runs([root], **options)
    return render(compare(runs, Question()), "json", Style())


def append(run, *lines):
    with open(run / "metrics.csv", "a") as file:
        file.writelines(f"{line}\n" for line in lines)


@pytest.mark.usefixtures("later")
def test_a_second_look_reads_no_run_and_tells_the_same(sweep, reads):
    first = table(sweep)
    assert len(reads) == 10
    reads.clear()

    second = table(sweep)

    assert reads == []
    assert second == first == table(sweep, cache=False)


def test_what_changed_within_two_seconds_of_the_index_is_read_again(sweep, reads):
    table(sweep)
    reads.clear()

    table(sweep)

    assert len(reads) == 10


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("name", ["config.json", "run.json", "metrics.csv"])
def test_a_changed_file_is_read_again_even_if_size_and_mtime_are_as_before(sweep, reads, name):
    path = sweep / "lr0.001/seed0" / name
    before = path.stat()
    table(sweep)
    reads.clear()

    text = path.read_text()
    path.write_text(text.replace("1", "2"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert table(sweep) == table(sweep, cache=False)
    assert "seed0" in reads


@pytest.mark.usefixtures("later")
def test_a_growing_file_is_read_from_where_it_ended(sweep, monkeypatch):
    run = sweep / "lr0.001/seed0"
    table(sweep)
    bodies = []
    original = directories.parse
    monkeypatch.setattr(
        directories, "parse", lambda texts: bodies.extend(t.body for t in texts) or original(texts)
    )

    append(run, "1500,2026-03-01T13:00:00Z,0.5")
    grown = table(sweep)

    assert bodies == [b"1500,2026-03-01T13:00:00Z,0.5\n"]
    assert grown == table(sweep, cache=False)
    assert json.loads(grown)["groups"][0]["best"]["mean"] < 0.9


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize(
    "added",
    [
        ["1500,2026-03-01T13:00:00Z,oops"],
        ["1500,2026-03-01T13:00:00Z,nan", "2000"],
        ["1500,2026-03-01T13:00:00Z,0.5", "2000,2026-03-01T13:00:00Z,0."],
    ],
)
def test_growth_with_what_cannot_be_read_tells_the_same_as_reading_all_of_it(sweep, added):
    for line in added:
        table(sweep)
        append(sweep / "lr0.001/seed0", line)
        assert table(sweep) == table(sweep, cache=False)


@pytest.mark.usefixtures("later")
def test_a_widened_file_is_read_whole(sweep, write_metrics):
    table(sweep)
    rows = [{"step": step, "val/loss": 1.0, "val/accuracy": 0.5} for step in (0, 1, 2)]
    write_metrics(sweep / "lr0.001/new.csv", rows)
    os.replace(sweep / "lr0.001/new.csv", sweep / "lr0.001/seed0/metrics.csv")

    runs = read_runs([sweep])

    assert next(run for run in runs if run.name.endswith("lr0.001/seed0")).summary.names == [
        "val/loss",
        "val/accuracy",
    ]


@pytest.mark.usefixtures("later")
def test_a_deleted_run_leaves_the_table_and_the_index(sweep):
    table(sweep)
    shutil.rmtree(sweep / "broken")

    runs = read_runs([sweep])

    assert len(runs) == 9
    with closing(sqlite3.connect(sweep / FILE)) as database:
        assert database.execute("select count(*) from runs").fetchone() == (9,)


def test_a_run_deleted_while_it_is_read_is_no_run(sweep, monkeypatch):
    original = directories.read_config

    def delete(path, own):
        if "broken" in path:
            shutil.rmtree(os.path.dirname(path))
        return original(path, own)

    monkeypatch.setattr(directories, "read_config", delete)

    assert len(read_runs([sweep], cache=False)) == 9


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"no database at all, but long enough to be one" * 100),
        lambda path: path.write_bytes(path.read_bytes()[:70_000]),
        lambda path: path.write_bytes(path.read_bytes()[:65_536] + b"\x00" * 65_536),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"SQLite format 3\x00"),
    ],
    ids=["foreign", "cut", "zeroed", "empty", "header only"],
)
def test_a_damaged_index_is_rebuilt(sweep, reads, damage):
    first = table(sweep)
    damage(sweep / FILE)
    reads.clear()

    assert table(sweep) == first
    table(sweep)
    reads.clear()
    assert table(sweep) == first
    assert reads == []


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("change", ["pragma user_version = 99", "pragma application_id = 7"])
def test_an_index_of_another_version_or_program_is_rebuilt(sweep, change):
    first = table(sweep)
    with sqlite3.connect(sweep / FILE) as database:
        database.execute(change)
    database.close()

    assert table(sweep) == first


@pytest.mark.usefixtures("later")
def test_an_entry_that_makes_no_sense_is_read_again(sweep):
    first = table(sweep)
    with sqlite3.connect(sweep / FILE) as database:
        database.execute("update runs set text = '[1, 2' where path like '%seed0'")
    database.close()

    assert table(sweep) == first


@pytest.mark.usefixtures("later")
def test_an_index_killed_while_it_is_written_is_as_before(sweep):
    first = table(sweep)
    code = (
        "import os, sqlite3, sys; database = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "database.execute('pragma cache_size = 1'); database.execute('begin');"
        "database.execute(\"update runs set text = '[1, 2'\"); database.execute('pragma cache_spill');"
        "os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(sweep / FILE)], check=False)

    assert table(sweep) == first


def test_an_index_in_use_by_a_slow_neighbour_is_done_without(sweep, monkeypatch):
    first = table(sweep)
    neighbour = sqlite3.connect(sweep / FILE, isolation_level=None)
    neighbour.execute("begin exclusive")
    connect = sqlite3.connect
    monkeypatch.setattr(index.sqlite3, "connect", lambda path, timeout: connect(path, timeout=0.01))

    assert table(sweep) == first
    neighbour.close()


def test_a_folder_that_may_not_be_written_is_read_without_an_index(sweep, monkeypatch):
    monkeypatch.setattr(index.os, "access", lambda path, mode: False)

    assert len(read_runs([sweep])) == 10
    assert not (sweep / FILE).exists()


def test_no_index_is_written_into_a_run_directory(sweep):
    before = sorted(path for path in sweep.rglob("*") if path.name != FILE)

    read_histories(read_runs([sweep / "broken"]))
    read_histories(read_runs([sweep]))

    assert sorted(path for path in sweep.rglob("*") if path.name != FILE) == before
    assert list(sweep.rglob(FILE)) == [sweep / FILE]


@pytest.mark.usefixtures("later")
def test_an_index_moves_with_its_folder(sweep, reads):
    table(sweep)
    moved = sweep.parent / "elsewhere"
    sweep.rename(moved)
    reads.clear()

    assert len(read_runs([moved])) == 10
    assert reads == []


@pytest.mark.usefixtures("later")
def test_histories_are_kept_and_exact(sweep, monkeypatch):
    runs = read_runs([sweep])
    fresh = read_histories(runs)
    monkeypatch.setattr(collection, "read_rows", lambda missing: [] if not missing else 1 / 0)

    kept = read_histories(read_runs([sweep]))

    for one, two in zip(fresh, kept, strict=True):
        assert one.names == two.names
        assert one.matrix.tobytes() == two.matrix.tobytes()


@pytest.mark.usefixtures("later")
def test_a_kept_history_is_not_used_once_the_run_went_on(sweep):
    read_histories(read_runs([sweep]))
    append(sweep / "lr0.001/seed0", "1500,2026-03-01T13:00:00Z,0.5")

    runs = read_runs([sweep])
    lengths = [history.matrix.shape[1] for history in read_histories(runs)]

    grown = next(place for place, run in enumerate(runs) if run.name.endswith("lr0.001/seed0"))
    assert lengths[grown] == 4


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("refused_by", ["poke", "SQLite"])
def test_rows_that_are_too_many_to_keep_cost_the_index_nothing_else(
    sweep, write_run, reads, monkeypatch, refused_by
):
    write_run(sweep, "long", rows=[{"step": step, "val/loss": step / 7} for step in range(20_000)])
    connect = sqlite3.connect

    def connect_with_a_limit(*arguments, **options):
        database = connect(*arguments, **options)
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 300_000)
        return database

    if refused_by == "poke":
        monkeypatch.setattr(index, "MOST_KEPT_BYTES", 300_000)
    else:
        monkeypatch.setattr(index.sqlite3, "connect", connect_with_a_limit)
    first = read_histories(read_runs([sweep]))
    reads.clear()

    again = read_histories(read_runs([sweep]))

    assert reads == []
    assert [one.matrix.tobytes() for one in again] == [one.matrix.tobytes() for one in first]
    assert max(history.matrix.shape[1] for history in again) == 20_000


def test_broken_files_cost_a_line_each_and_not_the_table(sweep):
    (sweep / "lr0.001/seed0/run.json").write_text("{")
    (sweep / "lr0.001/seed1/config.json").write_text("")
    (sweep / "lr0.001/seed2/metrics.csv").write_text("")
    (sweep / "lr0.001/seed3/metrics.csv").write_bytes(bytes(range(256)) * 10)
    (sweep / "lr0.0001/seed0/metrics.csv").unlink()
    (sweep / "lr0.0001/seed0/metrics.csv").mkdir()

    runs = read_runs([sweep])

    problems = {run.name.removeprefix(f"{sweep}/"): run.problems for run in runs if run.problems}
    assert problems["lr0.001/seed0"] == [
        "run.json is not JSON (line 1: Expecting property name enclosed in double quotes)"
    ]
    assert problems["lr0.001/seed1"] == ["config.json is not JSON (line 1: Expecting value)"]
    assert problems["lr0.001/seed2"] == ["metrics.csv is empty"]
    assert problems["lr0.0001/seed0"] == ["metrics.csv cannot be read (Is a directory)"]
    assert all("\n" not in line for lines in problems.values() for line in lines)
    assert len(compare(runs, Question()).rows) >= 2


def test_a_missing_directory_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such directory: .*nowhere"):
        read_runs([tmp_path / "nowhere"])


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("status", ["created", "running"])
def test_whether_a_run_is_worked_on_is_asked_of_its_lock(
    tmp_path, write_run, session, hold, status
):
    here = [session(host=socket.gethostname())]
    for name in ("held", "left", "without"):
        directory = write_run(tmp_path, name, status=status, sessions=here)
        if name != "without":
            (directory / ".lock").touch()
    write_run(tmp_path, "over", status="interrupted", sessions=here)
    hold(tmp_path / "over")
    hold(tmp_path / "held")
    wanted = {"held": status, "left": "stale", "without": "stale", "over": "interrupted"}

    for _ in range(2):  # the second time from the index
        found = {os.path.basename(run.name): run.status for run in read_runs([tmp_path])}
        assert found == wanted
    assert not (tmp_path / "without/.lock").exists()


def test_a_lock_that_is_let_go_of_is_noticed_though_no_file_changed(tmp_path, write_run, session):
    here = [session(host=socket.gethostname())]
    directory = write_run(tmp_path, "run", status="running", sessions=here)
    with FileLock(directory / ".lock"):
        assert [run.status for run in read_runs([tmp_path])] == ["running"]
    assert [run.status for run in read_runs([tmp_path])] == ["stale"]
    with FileLock(directory / ".lock", timeout=0):  # looking left nothing locked
        assert [run.status for run in read_runs([tmp_path])] == ["running"]


@pytest.mark.parametrize(
    ("quiet_seconds", "hours_of_a_row", "status"),
    [(60, 0, "running"), (900, 0, "stale"), (900, 1, "running"), (90_000, 9, "stale")],
)
@pytest.mark.parametrize("why", ["another host", "no locks here"])
def test_a_run_whose_lock_says_nothing_goes_by_its_heartbeat(
    tmp_path, write_run, session, monkeypatch, why, quiet_seconds, hours_of_a_row, status
):
    """A touch of run.json is a sign of life, and a run that is slow anyway has longer."""
    if why == "no locks here":
        monkeypatch.setattr(record, "fcntl", None)
    begun = datetime.fromtimestamp(time.time() - quiet_seconds - 3 * 3600 * hours_of_a_row, UTC)
    directory = write_run(
        tmp_path,
        "run",
        status="running",
        age_seconds=100_000,
        started=begun.isoformat(),
        sessions=[session(host="elsewhere")],
    )
    beat = time.time() - quiet_seconds
    os.utime(directory / "run.json", (beat, beat))

    assert [run.status for run in read_runs([tmp_path])] == [status]


def test_a_lock_that_is_held_here_is_believed_whatever_the_host_is_called(
    tmp_path, write_run, hold
):
    hold(write_run(tmp_path, "run", status="running", age_seconds=100_000))  # in a container, say
    assert [run.status for run in read_runs([tmp_path])] == ["running"]


def test_old_and_new_accounts_are_read_alike(tmp_path, write_run, write_old_run):
    write_run(tmp_path, "new")
    write_old_run(tmp_path, "old", resumes=[{"time": "2026-03-01T12:30:00+00:00", "step": 500}])

    new, old = read_runs([tmp_path])

    assert [session["host"] for session in new.record["sessions"]] == ["elsewhere"]
    assert [session.get("host") for session in old.record["sessions"]] == [None, "elsewhere"]
    assert old.record["parent"] is new.record["parent"] is None
    assert old.instant("started") == new.instant("started")


def test_a_setting_that_names_the_runs_own_directory_makes_no_difference(tmp_path, write_run):
    for name in ("a", "b"):
        write_run(tmp_path, name, {"log_dir": f"{tmp_path}/{name}/logs"})

    assert {run.config["log_dir"] for run in read_runs([tmp_path])} == {"<run>/logs"}


def test_histories_of_many_runs_come_in_their_order(tmp_path, write_run):
    for place in range(70):
        write_run(tmp_path, f"{place:03d}", rows=[{"step": 0, "loss": float(place)}])

    values = [history.values[0, 0] for history in read_histories(read_runs([tmp_path]))]

    np.testing.assert_array_equal(values, np.arange(70))
