"""Nothing is lost on the way out of a process, whichever way that is."""

import csv
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from poke.training.logging import MetricsLogger
from poke.training.writers import CsvWriter

PRELUDE = """
import os, signal, sys
from poke.training.logging import MetricsLogger
from poke.training.writers import CsvWriter, TensorBoardWriter

def fill(logger, first=1, last=1050):
    for step in range(first, last + 1):
        logger.log({"loss": float(step)}, step)

logger = MetricsLogger(backends=[CsvWriter("metrics.csv"), TensorBoardWriter("tensorboard")])
"""


def run(tmp_path, body):
    code = PRELUDE + textwrap.dedent(body)
    return subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )


def steps(tmp_path):
    with open(tmp_path / "metrics.csv", newline="") as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


FULL = [1, *range(100, 1001, 100)]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("with logger: fill(logger)", 0),
        ("with logger: fill(logger); raise KeyError('x')", 1),
        ("with logger: fill(logger); sys.exit(3)", 3),
        ("with logger: fill(logger); os.kill(os.getpid(), signal.SIGTERM); signal.pause()", 143),
        ("with logger: fill(logger); os.kill(os.getpid(), signal.SIGINT); signal.pause()", -2),
        ("fill(logger)", 0),
        ("fill(logger); raise KeyError('x')", 1),
        ("fill(logger); sys.exit(3)", 3),
        ("fill(logger); os.kill(os.getpid(), signal.SIGINT); signal.pause()", -2),
        ("fill(logger); logger.close(); logger.close()", 0),
    ],
)
def test_every_way_out_writes_the_partial_windows(tmp_path, body, status):
    done = run(tmp_path, body)
    assert done.returncode == status, done.stderr
    assert steps(tmp_path) == [*FULL, 1050]
    events = next((tmp_path / "tensorboard").iterdir()).read_bytes()
    assert events.count(b"train/loss") == len(FULL) + 1


def test_sigkill_loses_at_most_one_backend_window(tmp_path):
    done = run(tmp_path, "fill(logger); os.kill(os.getpid(), signal.SIGKILL)")
    assert done.returncode == -signal.SIGKILL
    assert steps(tmp_path) == FULL


def test_an_evaluation_before_a_sigkill_is_on_disk(tmp_path):
    run(
        tmp_path,
        "logger.log({'loss': 1.0}, 7, category='val'); os.kill(os.getpid(), signal.SIGKILL)",
    )
    assert steps(tmp_path) == [7]


def test_a_forked_child_writes_nothing_and_does_not_disturb_its_parent(tmp_path):
    done = run(
        tmp_path,
        """
        with logger:
            fill(logger, 1, 500)
            child = os.fork()
            if child == 0:
                fill(logger, 501, 1050)
                logger.log({"loss": 1.0}, 1050, category="val")
                logger.flush()
                sys.exit(0)
            assert os.waitpid(child, 0)[1] == 0
            fill(logger, 501, 1050)
        """,
    )
    assert done.returncode == 0, done.stderr
    assert steps(tmp_path) == [*FULL, 1050]


def test_a_handler_for_sigterm_that_was_there_before_stays(tmp_path):
    def handler(*_):
        pass

    before = signal.signal(signal.SIGTERM, handler)
    try:
        with MetricsLogger(backends=[CsvWriter(tmp_path / "metrics.csv")]):
            assert signal.getsignal(signal.SIGTERM) is handler
        assert signal.getsignal(signal.SIGTERM) is handler
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with MetricsLogger():
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_loggers_own_exit_comes_before_that_of_a_library_it_started(tmp_path):
    done = run(
        tmp_path,
        """
        import atexit
        class Library:
            state = "unopened"
            def write(self, metrics, step, category):
                if self.state == "unopened":
                    self.state = "open"
                    atexit.register(setattr, self, "state", "closed")
                assert self.state == "open"
                print(step)
            def flush(self): pass
            def close(self): pass
            def get_state(self): return {}
            def set_state(self, state): pass
        library = MetricsLogger(backends=[Library()])
        fill(library, 1, 150)
        """,
    )
    assert done.stdout.split() == ["1", "100", "150"], done.stderr


def test_no_file_is_left_open(tmp_path):
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with MetricsLogger(backends=[CsvWriter(tmp_path / "metrics.csv")]) as logger:
            logger.log({"loss": 1.0}, 1)
    assert len(os.listdir("/proc/self/fd")) <= len(before)
