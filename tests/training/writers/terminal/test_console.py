"""The console: a table that fits the terminal, a bar below it where somebody watches, all of it in train.log."""

import io
import itertools
import json
import logging
import math
import os
import pty
import re
import subprocess
import sys
import termios
import threading

import pytest

from poke.training.writers import ConsoleWriter, TerminalHandler
from poke.training.writers.terminal.table import duration, number

# A run of 13 metrics, and an evaluation of 5 after every 50 steps; it waits in its middle where it is told to.
SCRIPT = """
import logging, sys
from poke.training.logging import MetricsLogger
from poke.training.writers import ConsoleWriter, MemoryWriter, TerminalHandler
from poke.training.writers.terminal import progress

progress._REFRESH_SECONDS = 0
log = logging.getLogger("poke")
log.addHandler(TerminalHandler())
seconds = iter(range(10**6))
console = ConsoleWriter(
    "train.log", total_steps=300, monitor="eval/return_mean", mode="max", clock=lambda: next(seconds)
)
names = ["loss", "policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction", "grad_norm"]
names += ["explained_variance", "lr", "episodes", "episode_return", "episode_length", "name/" * 60]
returns = iter([100.0, 500.0, 363.6, 500.0, float("nan"), 501.0])
with MetricsLogger(console=console, backends=[MemoryWriter()], cli_frequency=10) as logger:
    for step in range(1, 301):
        logger.set_epoch(0)
        logger.log({name: -1e-5 * 7.0 ** (i + step % 3) for i, name in enumerate(names)}, step)
        if step % 50 == 0:
            found = {"return_std": 70.02, "return_min": 311, "return_max": 500, "length_mean": 1e9}
            logger.log({"return_mean": next(returns), **found}, step, category="eval")
        if step == 150:
            log.warning("a message in between")
            if "wait" in sys.argv:
                sys.stdin.read()
log.warning("the end")
"""
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def in_terminal(tmp_path, width, *, resized=None, **environment):
    """Run the script on a pseudo terminal and return what that received, before and after a resize."""
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (40, width))
    received = []
    halfway = threading.Event()

    def receive():
        while True:
            try:
                data = os.read(controller, 65536)
            except OSError:
                return
            received.append(data)
            if b"a message in between" in b"".join(received):
                halfway.set()

    reader = threading.Thread(target=receive)
    reader.start()
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "wait" if resized else ""],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "500", **environment},
    )
    before = 0
    try:
        if resized:
            assert halfway.wait(60)
            before = len(b"".join(received))
            termios.tcsetwinsize(terminal, (40, resized))
        process.stdin.close()
        assert process.wait(60) == 0
    finally:
        process.kill()
        os.close(terminal)
        reader.join()
        os.close(controller)
    text = b"".join(received)
    return text[:before].decode(), text[before:].decode()


def in_pipe(tmp_path, **environment):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    ).stdout


def lines_of(output):
    """What stood in the lines of a terminal, one after the other, drawings of the bar included."""
    return [line for line in re.split(r"[\r\n]+", ESCAPES.sub("", output)) if line.strip()]


def is_bar(line):
    return "━" in line or "─" in line or "##" in line or "--" in line


def check_table(lines):
    """Every cell ends where a title of the header above it ends; return the rows as dicts by title, and the headers."""
    rows, headers = [], []
    for line in lines:
        if line.lstrip().startswith("step "):
            headers.append(line)
            ends = {match.end(): match.group() for match in re.finditer(r"\S+", line)}
        elif re.match(r" *\d+ ", line):
            cells = [(m.end(), m.group()) for m in re.finditer(r"\S+(?: \d\d[mh])?", line)]
            rows.append({ends[end - cell.endswith("*")]: cell for end, cell in cells})
    return rows, headers


@pytest.mark.parametrize("width", [60, 80, 150])
@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_the_table_fits_the_terminal(tmp_path, width, term):
    _, output = in_terminal(tmp_path, width, TERM=term)
    lines = lines_of(output)
    assert max(map(len, lines)) <= width
    table = [line for line in lines if not is_bar(line)]
    assert len(table) < len(lines) or term == "dumb"
    rows, headers = check_table(table)
    assert all(re.match(r"step +return_mean +loss +return +steps/s +ETA", h) for h in headers)
    assert [int(row["step"]) for row in rows if "loss" in row] == [1, *range(10, 301, 10)]
    assert all(re.fullmatch(r"\d:\d\d:\d\d", row["ETA"]) for row in rows[1:])
    told = [row["return_mean"] for row in rows if "return_mean" in row]
    assert told == ["100.0*", "500.0*", "363.6", "500.0", "nan", "501.0*"]
    assert len(headers) == 2  # above the first row, and every 20 rows
    assert len(headers[0].split()) == {60: 6, 80: 8, 150: 14}[width]
    assert not any("epoch" in header for header in headers)
    assert (tmp_path / "train.log").read_text().count("\n") == 37


def test_a_resize_is_heeded(tmp_path):
    before, after = (lines_of(text) for text in in_terminal(tmp_path, 150, resized=60))
    assert 60 < max(map(len, before)) <= 150
    assert max(map(len, after)) <= 60
    rows, headers = check_table([*before, *after])
    assert len(headers[-1].split()) == 6
    assert [int(row["step"]) for row in rows if "loss" in row] == [1, *range(10, 301, 10)]


def test_the_bar_shows_step_rate_and_eta_and_is_gone_at_the_end(tmp_path):
    _, output = in_terminal(tmp_path, 100)
    bars = [line for line in lines_of(output) if is_bar(line)]
    assert re.search(r" \d+ %  step \d+/300  [\d.]+ steps/s  ETA 0:0\d:\d\d$", bars[-1])
    assert "loss" not in "".join(bars)
    last = output[output.rindex("steps/s  ETA") :]
    assert "\x1b[2K" in last  # it is erased
    assert last.rstrip().endswith("the end")
    assert output.count("a message in between") == 1


def test_no_color_is_honoured(tmp_path):
    coloured = re.compile(r"\x1b\[[0-9;]*(3[0-7]|38;5)[0-9;]*m")
    assert coloured.search(in_terminal(tmp_path, 100)[1])
    plain = in_terminal(tmp_path, 100, NO_COLOR="1")[1]
    assert not coloured.search(plain)
    assert "─" in plain


def test_the_cursor_is_never_left_hidden(tmp_path):
    _, out = in_terminal(tmp_path, 100)
    assert out.count("\x1b[?25l") <= out.count("\x1b[?25h")
    assert out.index("\x1b[?25h") < out.index("─")  # shown while the bar is up: a kill is harmless


@pytest.mark.parametrize(
    "environment",
    [{"LC_ALL": "C"}, {"LANG": "C", "LC_ALL": ""}, {"PYTHONIOENCODING": "ascii"}],
)
def test_an_ascii_terminal_gets_ascii(tmp_path, environment):
    _, output = in_terminal(tmp_path, 80, **environment)
    assert output.isascii()
    assert "---" in output
    lines = lines_of(output)
    assert max(map(len, lines)) <= 80
    check_table([line for line in lines if not is_bar(line)])


def test_a_pipe_gets_the_plain_table(tmp_path):
    out = in_pipe(tmp_path, COLUMNS="")
    assert "\x1b" not in out
    assert not any(is_bar(line) for line in out.splitlines())
    assert max(map(len, out.splitlines())) <= 80
    rows, headers = check_table(out.splitlines())
    assert (len(rows), len(headers)) == (37, 2)
    assert out.splitlines()[-1] == "the end"
    wide = in_pipe(tmp_path, COLUMNS="150").splitlines()
    assert 80 < max(map(len, wide)) <= 150


def shown(writer_arguments, rows, monkeypatch, width=200):
    monkeypatch.setenv("COLUMNS", str(width))
    stream = io.StringIO()
    writer = ConsoleWriter(stream=stream, clock=lambda: 0, **writer_arguments)
    for metrics, step, category in rows:
        writer.write(metrics, step, category)
    return stream.getvalue().splitlines()


ROWS = [
    ({"loss": 1.0, "lr": 1e-3, "entropy": 0.5}, 1, "train"),
    ({"accuracy": 0.25, "loss": 2.0}, 1, "val"),
]


@pytest.mark.parametrize(
    ("patterns", "wanted"),
    [
        ([], ["val/loss", "loss", "steps/s", "lr", "entropy", "accuracy"]),
        (["train/lr"], ["val/loss", "loss", "steps/s", "lr"]),
        (["val/*", "train/l?"], ["val/loss", "loss", "steps/s", "accuracy", "lr"]),
        (["nothing/*"], ["val/loss", "loss", "steps/s"]),
    ],
)
def test_patterns_say_what_is_shown_besides_the_key_metrics(patterns, wanted, monkeypatch):
    lines = shown({"metrics": patterns, "monitor": "val/loss"}, ROWS, monkeypatch)
    assert lines[-2].split() == ["step", *wanted] or lines[-3].split() == ["step", *wanted]


@pytest.mark.parametrize(
    ("mode", "marked"), [("min", [True, False, True, False]), ("max", [True, True, False, False])]
)
def test_the_best_so_far_is_marked_and_a_resume_remembers_it(mode, marked, monkeypatch):
    values = [2.0, 3.0, 1.0, 1.0]
    rows = [({"loss": value}, step, "val") for step, value in enumerate(values)]
    arguments = {"monitor": "val/loss", "mode": mode}
    assert [line.endswith("*") for line in shown(arguments, rows, monkeypatch)[1:]] == marked
    first, again = (ConsoleWriter(stream=io.StringIO(), **arguments) for _ in range(2))
    first.write({"loss": 1.5}, 1, "val")
    again.set_state(json.loads(json.dumps(first.get_state())))
    again.set_state({"best": 1.5})
    stream = io.StringIO()
    resumed = ConsoleWriter(stream=stream, **arguments)
    resumed.set_state(again.get_state())
    resumed.write({"loss": 1.6 if mode == "min" else 1.4}, 2, "val")
    assert "*" not in stream.getvalue()
    resumed.set_state({})  # of a checkpoint from before there was a table
    resumed.write({"loss": 1.6}, 3, "val")
    assert "*" in stream.getvalue()


@pytest.mark.parametrize(("has_epochs", "epoch"), [(True, 0), (False, 3)])
def test_epochs_are_shown_where_there_are_any(has_epochs, epoch, capsys, tmp_path):
    writer = ConsoleWriter(tmp_path / "train.log", has_epochs=has_epochs)
    writer.set_epoch(epoch)
    writer.write({"loss": 1.0}, 1, "train")
    header, row = capsys.readouterr().out.splitlines()
    assert header.split()[:2] == ["step", "epoch"]
    assert row.split()[:2] == ["1", str(epoch)]
    assert (tmp_path / "train.log").read_text() == f"step 1  epoch {epoch}  train  loss 1\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000"),
        (500, "500.0"),
        (1234, "1234"),
        (0.25, "0.2500"),
        (-0.0012345, "-0.001234"),
        (1e-5, "1.000e-5"),
        (-1.23456e-5, "-1.235e-5"),
        (9999.7, "10000"),
        (123456789, "123500000"),
        (-123456789, "-1.235e8"),
        (1e300, "1.000e300"),
        (-1e-300, "-1.0e-300"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_numbers_have_4_significant_digits(value, text):
    assert number(value, 9) == text


@pytest.mark.parametrize("exponent", range(-320, 309, 7))
def test_a_number_never_exceeds_its_column(exponent):
    for mantissa, width in itertools.product((1, -9.9996, 3.14159, -2.5), (7, 9)):
        value = mantissa * 10.0**exponent
        text = number(value, width)
        assert len(text) <= width
        if width == 9 and abs(exponent) < 100:
            assert float(text) == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0:00:00"),
        (35999, "9:59:59"),
        (36000, "10h 00m"),
        (359990, "99h 59m"),
        (1e6, "11d 13h"),
    ],
)
def test_times_are_short(seconds, text):
    assert duration(seconds) == text


NAMES = [
    "損失" * 30,
    "🎮",
    "two\nlines",
    "a\rb\x1b[31m",
    "x" * 300,
    "_/_/_",
    "Größe",
    "/",
    "%s [red]",
]


@pytest.mark.parametrize("width", [1, 5, 20, 60, 80, 400])
def test_any_name_fits_any_width(width, monkeypatch):
    from rich.cells import cell_len

    rows = [(dict.fromkeys(NAMES, 1.0), 10**15 if width > 5 else 1, "val")]
    lines = shown({"monitor": f"val/{NAMES[0]}"}, rows, monkeypatch, width)
    assert max(map(cell_len, lines)) <= width
    assert not [c for line in lines for c in line if not c.isprintable()]
    if width == 400:
        assert len(lines[-1].split()) == 1 + len(NAMES)
        assert "Größe" in "".join(lines)


def test_no_two_names_look_the_same_in_train_log(tmp_path):
    writer = ConsoleWriter(tmp_path / "train.log", stream=io.StringIO())
    name = "a_long_name/" * 10
    writer.write({f"{name}one": 1.0, f"{name}two": 2.0, "two\nlines": 3.0}, 1, "train")
    logged = (tmp_path / "train.log").read_text()
    assert logged == f"step 1  train  {name}one 1  {name}two 2  two\\nlines 3\n"


def test_a_line_is_out_before_write_returns():
    read, write = os.pipe()
    os.set_blocking(read, False)
    with os.fdopen(write, "w", buffering=1 << 20) as stream, os.fdopen(read) as output:
        ConsoleWriter(stream=stream).write({"loss": 1.0}, 1, "train")
        assert output.readlines()[-1].split() == ["1", "1.000"]


def test_rate_is_recent_and_eta_counts_from_where_the_process_began(tmp_path, capsys):
    times = iter([0.0, 10.0, 30.0])
    writer = ConsoleWriter(tmp_path / "train.log", total_steps=1400, clock=lambda: next(times))
    for step in (1000, 1100, 1200):  # a resumed run
        writer.write({"loss": 1.0}, step, "train")
    first, second, third = (tmp_path / "train.log").read_text().splitlines()
    assert first == "step 1000/1400  train  loss 1"
    assert second.endswith("10 steps/s  ETA 0:00:30")
    assert third.endswith("5 steps/s  ETA 0:00:30")
    assert capsys.readouterr().out.splitlines()[-1].split()[-2:] == ["5.000", "0:00:30"]


def test_an_evaluation_at_the_same_step_keeps_the_rate(capsys):
    seconds = itertools.count()
    writer = ConsoleWriter(clock=lambda: next(seconds))
    writer.write({"loss": 1.0}, 0, "train")
    writer.write({"loss": 1.0}, 100, "train")
    writer.write({"loss": 1.0}, 100, "val")
    rows, _ = check_table(capsys.readouterr().out.splitlines())
    assert [row.get("steps/s") for row in rows] == [None, "100.0", "100.0"]


@pytest.mark.parametrize("level", [logging.WARNING, logging.ERROR])
def test_records_go_to_standard_output_as_it_is_at_that_moment(level, capsys, monkeypatch):
    handler = TerminalHandler()
    replaced = io.StringIO()
    monkeypatch.setattr(sys, "stdout", replaced)
    handler.handle(logging.LogRecord("poke", level, "", 0, "hello", None, None))
    assert replaced.getvalue() == "hello\n"
