"""A terminal or a pipe that goes away ends no run and no train.log."""

import io
import logging
import os
import pty
import subprocess
import sys

import pytest

from poke.training.writers import ConsoleWriter, TerminalHandler

# A run that waits, after its first line, until standard input ends.
SCRIPT = """
import logging, sys
from poke.training.logging import MetricsLogger
from poke.training.writers import ConsoleWriter, LogFileHandler, MemoryWriter, TerminalHandler

log = logging.getLogger("poke")
log.setLevel(logging.DEBUG)
log.propagate = False
log.addHandler(TerminalHandler())
log.addHandler(LogFileHandler("train.log"))
memory = MemoryWriter()
console = ConsoleWriter("train.log", total_steps=30, clock=lambda: 0)
with MetricsLogger(console=console, backends=[memory], cli_frequency=1) as logger:
    for step in range(1, 31):
        logger.log({"loss": 0.25}, step)
        if step == 3:
            sys.stdin.read()
        if step > 3:
            log.warning("record %d", step)
            print("what another library prints")
            print("what another library complains of", file=sys.stderr)
log.info("the end")
assert not console._bar
open("finished", "w").close()
"""


def check(folder, process):
    assert process.wait(timeout=60) == 0
    assert (folder / "finished").exists()
    shown = (folder / "train.log").read_text().splitlines()
    rows = [line.split("  ")[0] for line in shown if line.startswith("step ")]
    assert rows == [f"step {step}/30" for step in range(1, 31)]
    records = [line for line in shown if not line.startswith("step ")]
    assert records == [*(f"record {step}" for step in range(4, 31)), "the end"]


def start(folder, **streams):
    return subprocess.Popen([sys.executable, "-c", SCRIPT], cwd=folder, text=True, **streams)


@pytest.mark.parametrize("both", [True, False])
def test_a_pipe_closed_after_one_line(tmp_path, both):
    errors = subprocess.STDOUT if both else subprocess.PIPE
    with start(tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors) as process:
        assert process.stdout.readline().startswith("step  ")
        process.stdout.close()
        process.stdin.close()
        if not both:
            told = set(process.stderr.read().splitlines())
            assert told == {"what another library complains of"}
        check(tmp_path, process)


@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_a_terminal_whose_window_is_closed(tmp_path, term, monkeypatch):
    monkeypatch.setenv("TERM", term)
    controller, terminal = pty.openpty()
    process = start(tmp_path, stdin=subprocess.PIPE, stdout=terminal, stderr=terminal)
    os.close(terminal)
    received = b""
    while b"0.2500" not in received:
        received += os.read(controller, 65536)
    os.close(controller)
    process.stdin.close()
    check(tmp_path, process)


def test_standard_output_on_a_full_disk(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        process = start(tmp_path, stdin=subprocess.PIPE, stdout=full, stderr=subprocess.PIPE)
    _, told = process.communicate(timeout=60)
    check(tmp_path, process)
    assert set(told.splitlines()) == {"what another library complains of"}


def test_no_standard_output_at_all(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT.replace("sys.stdin.read()", "pass"))
    command = f"{sys.executable} script.py >&- 2>&- <&-"
    process = subprocess.Popen(command, shell=True, cwd=tmp_path)
    check(tmp_path, process)


class Gone(io.StringIO):
    """A stream that fails after its first line."""

    def flush(self):
        if self.getvalue().count("\n") > 1:
            raise BrokenPipeError


def test_a_stream_is_left_alone_once_it_failed(tmp_path):
    stream = Gone()
    writer = ConsoleWriter(tmp_path / "train.log", stream=stream)
    for step in range(10):
        writer.write({"loss": 1.0}, step, "val")
    assert stream.getvalue().count("\n") == 2
    assert (tmp_path / "train.log").read_text().count("\n") == 10


def test_a_closed_stream_is_no_error(monkeypatch, capsys):
    closed = io.StringIO()
    closed.close()
    writer = ConsoleWriter(stream=closed)
    writer.write({}, 1, "val")
    writer.set_progress(1)
    writer.close()
    monkeypatch.setattr(sys, "stdout", closed)
    TerminalHandler().handle(logging.LogRecord("x", logging.INFO, "", 0, "hello", None, None))
    assert capsys.readouterr().err == ""


def test_what_an_encoding_lacks_is_written_out_and_the_stream_lives_on(tmp_path):
    path = tmp_path / "out"
    with open(path, "w", encoding="ascii") as stream:
        writer = ConsoleWriter(stream=stream, clock=lambda: 0)
        writer.write({"損失": 1.0}, 1, "val")
        writer.write({"損失": 1.0}, 2, "val")
    upper, header, *rows = path.read_text().splitlines()
    assert (upper.split(), header.split()) == (["val/"], ["step", "steps/s", "\\u640d\\u5931"])
    assert [row.split() for row in rows] == [["1", "1.000"], ["2", "1.000"]]


def test_a_record_whose_arguments_do_not_fit_costs_no_traceback(capsys):
    record = logging.LogRecord("x", logging.INFO, "", 0, "%d of %d", (1,), None)
    TerminalHandler().handle(record)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("%d of %d\n", "")
