"""train.log: every line once and in order, whatever the disk does."""

import errno
import io
import logging
import os
import subprocess
import sys

import pytest

from poke.training.writers import ConsoleWriter, LogFileHandler
from poke.training.writers.files import logfile as module


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "train.log"


@pytest.fixture
def log():
    """The logger of poke, alone with the handlers that a test gives it."""
    log = logging.getLogger("poke")
    before = log.level, log.propagate, log.handlers[:]
    log.setLevel(logging.DEBUG)
    log.propagate = False
    yield log
    log.level, log.propagate, log.handlers = before


class Disk:
    """A file system that takes so many bytes, and then none until there is room again."""

    def __init__(self, monkeypatch, room=0, number=errno.ENOSPC):
        self.room, self.number = room, number
        self._write = os.write
        monkeypatch.setattr(module.os, "write", self.write)

    def write(self, file, data):
        taken = data[: self.room]
        self.room -= len(taken)
        if not taken:
            raise OSError(self.number, os.strerror(self.number))
        return self._write(file, taken)


def lines(path):
    return path.read_text().splitlines()


def test_lines_and_records_stand_in_the_order_in_which_they_came(path, log):
    log.addHandler(LogFileHandler(path))
    console = ConsoleWriter(path, stream=io.StringIO())
    log.info("one")
    console.write({"loss": 2.0}, 2, "train")
    log.debug("three %s", "and more")
    assert lines(path) == ["one", "step 2  train  loss 2", "three and more"]


def test_an_error_brings_its_traceback(path, log):
    log.addHandler(LogFileHandler(path))
    try:
        raise ValueError("what is wrong")
    except ValueError:
        log.exception("it failed")
    assert lines(path)[0] == "it failed"
    assert "Traceback (most recent call last):" in lines(path)
    assert lines(path)[-1] == "ValueError: what is wrong"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.ESTALE, errno.EDQUOT])
def test_lines_that_are_refused_are_written_later_once_and_in_order(
    path, log, number, monkeypatch, capsys
):
    log.addHandler(LogFileHandler(path))
    console = ConsoleWriter(path, clock=lambda: 0)
    log.info("line 0")
    disk = Disk(monkeypatch, room=10, number=number)
    for step in range(1, 6):
        log.info("line %d", step)
        console.write({}, step, "val")
        assert path.read_text().endswith("\n")
    disk.room = 10_000
    console.flush()
    console.close()
    kept = [line for line in lines(path) if "cannot be written" not in line]
    rows = [[f"line {step}", f"step {step}  val"] for step in range(1, 6)]
    assert kept == ["line 0", *(line for pair in rows for line in pair)]
    assert len(lines(path)) == len(kept) + 1  # it is said once
    assert capsys.readouterr().err == ""


def test_too_many_lines_are_counted(path, log, monkeypatch):
    monkeypatch.setattr(module, "MAX_WAITING_BYTES", 100)
    handler = LogFileHandler(path)
    disk = Disk(monkeypatch)
    log.propagate = True  # the message of the failure goes elsewhere
    for step in range(100):
        handler.handle(logging.LogRecord("x", logging.INFO, "", 0, f"line {step:03}", None, None))
    disk.room = 10_000
    handler.close()
    first, *rest = lines(path)
    assert rest == [f"line {step:03}" for step in range(100 - len(rest), 100)]
    assert 1 <= len(rest) <= 100 // 9
    assert first == f"[{100 - len(rest)} lines are missing here: this file could not be written]"


def test_a_deferred_log_creates_nothing_before_it_begins(path, log):
    handler = LogFileHandler(path, deferred=True)
    log.addHandler(handler)
    log.info("early")
    ConsoleWriter(path, stream=io.StringIO()).write({}, 1, "val")
    handler.flush()
    assert not path.parent.exists()
    handler.begin_writing()
    log.info("late")
    assert lines(path) == ["early", "step 1  val", "late"]


def test_a_deferred_log_that_never_begins_leaves_nothing(path, log):
    handler = LogFileHandler(path, deferred=True)
    log.addHandler(handler)
    log.error("this run never was")
    log.removeHandler(handler)
    handler.close()
    assert not path.parent.exists()
    again = LogFileHandler(path)
    again.handle(logging.LogRecord("x", logging.INFO, "", 0, "another", None, None))
    assert lines(path) == ["another"]


def test_a_record_whose_arguments_do_not_fit_costs_no_traceback(path, capsys):
    record = logging.LogRecord("x", logging.INFO, "", 0, "%d of %d", (1,), None)
    LogFileHandler(path).handle(record)
    assert lines(path) == ["%d of %d"]
    assert capsys.readouterr().err == ""


def test_text_that_no_file_can_hold_is_written_out(path):
    # Straight to the handler: what pytest captures of the log must be text.
    record = logging.LogRecord("x", logging.INFO, "", 0, "bad \ud800 name", None, None)
    LogFileHandler(path).handle(record)
    assert lines(path) == ["bad \\ud800 name"]


LIMITED = """
import logging, resource
from poke.training.writers import ConsoleWriter, LogFileHandler, TerminalHandler

log = logging.getLogger("poke")
log.setLevel(logging.DEBUG)
file = LogFileHandler("train.log")
for handler in (TerminalHandler(), file):
    log.addHandler(handler)
console = ConsoleWriter("train.log", clock=lambda: 0)
for step in range(1000):
    if step == 100:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
    if step == 900:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    console.write({}, step, "val")
    log.info("record %d", step)
file.close()
"""


def test_a_limit_on_the_size_of_files_costs_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line for step in range(1000) for line in (f"step {step}  val", f"record {step}")]
    table = [line for line in done.stdout.splitlines() if not line.startswith("step ")]
    table = [f"step {int(line)}  val" if line.strip().isdecimal() else line for line in table]
    for shown in (table, lines(tmp_path / "train.log")):
        said = [line for line in shown if "cannot be written (File too large)" in line]
        assert len(said) == 1
        shown.remove(said[0])
        assert shown == rows


def test_a_small_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        handler = LogFileHandler(place / "train.log")
        (place / "other").write_bytes(b"x" * 10_000)
        for step in range(1000):
            record = logging.LogRecord("x", logging.INFO, "", 0, f"line {step}", None, None)
            handler.handle(record)
        assert (place / "train.log").read_text().endswith("\n")
        (place / "other").unlink()
        handler.close()
        assert lines(place / "train.log") == [f"line {step}" for step in range(1000)]
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_forked_child_writes_nothing_of_its_parents(path, monkeypatch):
    handler = LogFileHandler(path)
    disk = Disk(monkeypatch)
    handler.handle(logging.LogRecord("x", logging.INFO, "", 0, "the parent's", None, None))
    child = os.fork()
    if child == 0:
        disk.room = 10_000
        handler.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert not path.exists() or path.read_text() == ""
    disk.room = 10_000
    handler.close()
    assert lines(path) == ["the parent's"]
