"""The console: plain lines in a pipe, a bar on a terminal, the same lines in train.log."""

import io
import itertools
import logging
import os
import pty
import re
import subprocess
import sys
import threading

import pytest

from poke.training.writers import ConsoleWriter

SCRIPT = """
import logging, sys
from poke.training.logging import MetricsLogger
from poke.training.writers import ConsoleWriter, MemoryWriter, TerminalHandler

log = logging.getLogger("poke")
log.addHandler(TerminalHandler())
seconds = iter(range(10**6))
console = ConsoleWriter("train.log", total_steps=300, clock=lambda: next(seconds))
with MetricsLogger(console=console, backends=[MemoryWriter()], cli_frequency=100) as logger:
    for step in range(1, 301):
        logger.set_epoch(step // 100)
        logger.log({"loss": 0.25, "a_very_long_name/of_a_metric_that_goes_on": 1.0}, step)
        if step == 150:
            logger.log({"accuracy": 0.5}, step, category="val")
            log.warning("a message in between")
"""


def in_terminal(tmp_path, **environment):
    """Run the script on a pseudo terminal and return what that received."""
    controller, terminal = pty.openpty()
    received = []

    def receive():
        while True:
            try:
                data = os.read(controller, 65536)
            except OSError:
                return
            received.append(data)

    reader = threading.Thread(target=receive)
    reader.start()
    subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        check=True,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environment},
    )
    os.close(terminal)
    reader.join()
    os.close(controller)
    return b"".join(received).decode()


def in_pipe(tmp_path):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ).stdout


def test_a_pipe_gets_plain_lines_one_a_window(tmp_path):
    out = in_pipe(tmp_path)
    assert "\x1b" not in out
    assert "━" not in out
    starts = [line.split("  ")[0] for line in out.splitlines()]
    wanted = ["step 1/300", "step 150/300", "a message in between", "step 100/300"]
    assert sorted(starts) == sorted([*wanted, "step 200/300", "step 300/300"])


def test_train_log_gets_the_lines_of_the_terminal(tmp_path):
    lines = in_pipe(tmp_path).splitlines()
    logged = (tmp_path / "train.log").read_text().splitlines()
    assert logged == [line for line in lines if line.startswith("step ")]
    assert len(logged) == 5


def test_a_terminal_gets_a_bar_with_step_epoch_rate_eta_and_the_last_metrics(tmp_path):
    out = in_terminal(tmp_path, TTY_INTERACTIVE="1")
    screen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out)
    bars = [line for line in screen.splitlines() if "━" in line]
    assert re.search(r"step 300/300  epoch 3  [\d.]+ steps/s  ETA 0:00:00", bars[-1])
    assert "train  loss 0.25" in screen[screen.rindex("━") :]
    assert "val  accuracy 0.5" in screen[screen.rindex("━") :]
    assert "a message in between" in screen
    assert (tmp_path / "train.log").read_text().count("\n") == 5


def test_no_color_is_honoured(tmp_path):
    coloured = re.compile(r"\x1b\[[0-9;]*(3[0-7]|38;5)[0-9;]*m")
    assert coloured.search(in_terminal(tmp_path))
    plain = in_terminal(tmp_path, NO_COLOR="1")
    assert not coloured.search(plain)
    assert "━" in plain


def test_the_cursor_is_never_left_hidden(tmp_path):
    out = in_terminal(tmp_path)
    assert out.count("\x1b[?25l") <= out.count("\x1b[?25h")
    assert out.index("\x1b[?25h") < out.index("━")  # shown while the bar is up: a kill is harmless


def test_a_dumb_terminal_gets_lines(tmp_path):
    out = in_terminal(tmp_path, TERM="dumb")
    assert "\x1b" not in out
    assert "step 300/300" in out


def test_no_two_names_look_the_same():
    stream = io.StringIO()
    writer = ConsoleWriter(stream=stream)
    name = "a_long_name/" * 10
    writer.write({f"{name}one": 1.0, f"{name}two": 2.0, "two\nlines": 3.0}, 1, "train")
    assert f"{name}one 1  {name}two 2  two\\nlines 3" in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_a_line_is_out_before_write_returns():
    read, write = os.pipe()
    os.set_blocking(read, False)
    with os.fdopen(write, "w", buffering=1 << 20) as stream, os.fdopen(read) as output:
        ConsoleWriter(stream=stream).write({"loss": 1.0}, 1, "train")
        assert output.readline().startswith("step 1  train  loss 1")


def test_rate_is_recent_and_eta_counts_from_where_the_process_began(capsys):
    times = iter([0.0, 10.0, 30.0])
    writer = ConsoleWriter(total_steps=1400, clock=lambda: next(times))
    for step in (1000, 1100, 1200):  # a resumed run
        writer.write({"loss": 1.0}, step, "train")
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == "step 1000/1400  train  loss 1"
    assert second.endswith("10 steps/s  ETA 0:00:30")
    assert third.endswith("5 steps/s  ETA 0:00:30")


def test_an_evaluation_at_the_same_step_keeps_the_rate(capsys):
    seconds = itertools.count()
    writer = ConsoleWriter(clock=lambda: next(seconds))
    writer.write({"loss": 1.0}, 0, "train")
    writer.write({"loss": 1.0}, 100, "train")
    writer.write({"loss": 1.0}, 100, "val")
    assert [line[-11:] for line in capsys.readouterr().out.splitlines()[1:]] == ["100 steps/s"] * 2


@pytest.mark.parametrize("level", [logging.WARNING, logging.ERROR])
def test_records_go_to_standard_output_as_it_is_at_that_moment(level, capsys, monkeypatch):
    from poke.training.writers import TerminalHandler

    handler = TerminalHandler()
    replaced = io.StringIO()
    monkeypatch.setattr(sys, "stdout", replaced)
    handler.handle(logging.LogRecord("poke", level, "", 0, "hello", None, None))
    assert replaced.getvalue() == "hello\n"
