"""Sinks that fail, hang and come back: nothing of it reaches the loop, and little of it is lost."""

import contextlib
import logging
import os
import subprocess
import sys
import textwrap
import threading

import pytest
import torch

from poke.training.logging import MetricsLogger
from poke.training.logging.sinks import outbox
from poke.training.logging.sinks.background import BackgroundSink
from poke.training.logging.sinks.fanout import DirectSink
from poke.training.writers import MemoryWriter

LIMIT = 60  # seconds until a test that waits in vain fails


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Flaky(MemoryWriter):
    """Raises while it is down, and at every row of a step that it does not like."""

    def __init__(self, *, down=False, refuses=()):
        super().__init__()
        self.is_down = down
        self.refuses = refuses
        self.calls = 0
        self.ended = None

    def write(self, metrics, step, category):
        self.calls += 1
        if self.is_down or step in self.refuses:
            raise ConnectionError("nobody\nthere")
        super().write(metrics, step, category)

    def log_end(self, status):
        self.ended = status


class Remote(Flaky):
    """One that is to be called from a thread of its own, and says when it was."""

    in_background = True

    def __init__(self, **options):
        super().__init__(**options)
        self.threads = set()
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.arrived = threading.Event()
        self.closed = threading.Event()
        self.told = threading.Event()  # a row was taken and flushed

    def write(self, metrics, step, category):
        self.threads.add(threading.current_thread().name)
        self.arrived.set()
        assert self.may_go_on.wait(LIMIT)
        super().write(metrics, step, category)

    def flush(self):
        self.told.set()

    def close(self):
        self.closed.set()


def write(sink, *steps):
    for step in steps:
        sink.call("write", {"loss": float(step)}, step, "train")


def steps(writer):
    return [step for _, step, _ in writer.rows]


def log_steps(logger, first, last):
    for step in range(first, last + 1):
        logger.log({"loss": float(step)}, step)


def test_what_failed_waits_and_is_written_in_order_once_the_sink_works_again(caplog):
    caplog.set_level(logging.INFO)
    clock, writer = Clock(), Flaky(down=True)
    sink = DirectSink(writer, "Flaky", clock)
    write(sink, 1, 2, 3)
    tried = writer.calls
    write(sink, 4, 5)
    assert writer.calls == tried  # paused: not tried at all
    writer.is_down = False
    clock.now = 1.0
    write(sink, 6)
    assert steps(writer) == [1, 2, 3, 4, 5, 6]
    sink.begin_closing("finished")
    sink.finish_closing(0)
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "Flaky does not work, training goes on and its rows wait in memory: "
        "ConnectionError: nobody there",
        "Flaky works again: what waited follows",
    ]


def test_pauses_get_longer_up_to_a_minute():
    clock, writer = Clock(), Flaky(down=True)
    box = outbox.Outbox(writer, "Flaky", clock=clock)
    box.put(outbox.Call("write", ({}, 1, "train")))
    pauses = []
    for _ in range(9):
        assert not box.deliver()
        pauses.append(box.delay_seconds)
        clock.now += box.delay_seconds
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_second_outage_is_not_said_again(caplog):
    clock, writer = Clock(), Flaky()
    sink = DirectSink(writer, "Flaky", clock)
    for step in range(1, 9):
        writer.is_down = bool(step % 2)
        write(sink, step)
        clock.now += 100
    assert steps(writer) == list(range(1, 9))
    assert [r.levelno for r in caplog.records].count(logging.WARNING) == 1


def test_a_row_that_the_sink_refuses_for_ever_holds_no_other(caplog):
    clock, writer = Clock(), Flaky(refuses=(2, 5))
    sink = DirectSink(writer, "Flaky", clock)
    for step in range(1, 8):
        write(sink, step)
        clock.now += 100
    sink.begin_closing("finished")
    sink.finish_closing(0)
    assert sorted(steps(writer)) == [1, 3, 4, 6, 7]
    assert "Flaky leaves out a call of write: ConnectionError: nobody there" in caplog.text
    assert "Flaky lacks 2 rows" in caplog.text


def test_of_too_many_rows_that_wait_the_oldest_are_dropped_and_counted(caplog, monkeypatch):
    monkeypatch.setattr(outbox, "MAX_WAITING_CALLS", 10)
    clock, writer = Clock(), Flaky(down=True)
    sink = DirectSink(writer, "Flaky", clock)
    write(sink, *range(1, 31))
    writer.is_down = False
    sink.begin_closing("finished")
    sink.finish_closing(0)
    assert steps(writer) == [1, *range(22, 31)]  # the first may have been on its way
    assert "Flaky lacks 20 rows" in caplog.text


def test_pictures_that_wait_are_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(outbox, "MAX_WAITING_BYTES", 10_000)
    box = outbox.Outbox(MemoryWriter(), "MemoryWriter")
    for step in range(50):
        box.put(
            outbox.Call("log_image", ("film", torch.zeros(1000, dtype=torch.uint8), step, "eval"))
        )
    assert len(box) == 8


def test_a_state_that_the_sink_does_not_take_keeps_rows_waiting_and_is_kept():
    class Stubborn(Flaky):
        def set_state(self, state):
            if self.is_down:
                raise ValueError("not mine")
            super().set_state(state)

    clock, writer = Clock(), Stubborn(down=True)
    sink = DirectSink(writer, "Stubborn", clock)
    state = {"writer": {"rows": [[{"loss": 1.0}, 1, "train"]]}, "waiting": []}
    sink.set_state(state)
    write(sink, 2)
    kept = sink.get_state()
    assert kept["writer"] == state["writer"]
    assert [row[0] for row in kept["waiting"]] == [2]
    writer.is_down = False
    clock.now = 60
    write(sink, 3)
    assert steps(writer) == [1, 2, 3]


def test_rows_that_waited_when_the_state_was_made_are_written_by_whoever_restores_it(tmp_path):
    lost = MetricsLogger(backends=[Flaky(down=True)], backend_frequency=1)
    log_steps(lost, 1, 4)
    torch.save(lost.get_state(), tmp_path / "state.pt")
    lost.abandon()
    writer = Flaky()
    with MetricsLogger(backends=[writer], backend_frequency=1) as logger:
        logger.set_state(torch.load(tmp_path / "state.pt", weights_only=True))
        log_steps(logger, 5, 6)
    assert steps(writer) == [1, 2, 3, 4, 5, 6]


def test_the_state_of_a_sink_that_is_not_there_this_time_is_carried_on():
    with MetricsLogger(backends=[MemoryWriter()], backend_frequency=1) as first:
        log_steps(first, 1, 2)
        state = first.get_state()
    with MetricsLogger(backends=[]) as second:
        second.set_state(state)
        again = second.get_state()
    assert again["sinks"]["backend"] == state["sinks"]["backend"]


def test_a_state_of_version_1_is_taken():
    writer = MemoryWriter()
    with MetricsLogger(backends=[writer], backend_frequency=1) as logger:
        state = logger.get_state() | {"version": 1}
        state["sinks"] = {"backend": {"MemoryWriter": {"rows": [[{"loss": 1.0}, 1, "train"]]}}}
        logger.set_state(state)
        log_steps(logger, 2, 2)
    assert steps(writer) == [1, 2]


def test_a_sink_in_the_background_is_called_by_its_own_thread_alone():
    writer = Remote()
    with MetricsLogger(backends=[writer, MemoryWriter()], backend_frequency=1) as logger:
        log_steps(logger, 1, 50)
    assert steps(writer) == list(range(1, 51))
    assert writer.threads == {"Remote"}
    assert (writer.ended, writer.closed.is_set()) == ("finished", True)


def test_a_sink_that_hangs_holds_neither_the_loop_nor_checkpoints_and_closing_ends(caplog):
    writer, other = Remote(), MemoryWriter()
    writer.may_go_on.clear()
    logger = MetricsLogger(backends=[writer, other], backend_frequency=1, close_seconds=0.1)
    log_steps(logger, 1, 2)
    assert writer.arrived.wait(LIMIT)
    log_steps(logger, 3, 50)
    state = logger.get_state()["sinks"]["backend"]["Remote"]
    logger.close()
    assert steps(other) == list(range(1, 51))
    assert [row[0] for row in state["waiting"]] == list(range(1, 50))
    assert "Remote lacks 50 rows: it was still busy after logger.close_seconds" in caplog.text
    writer.may_go_on.set()  # what was counted as lost is not written after all
    assert writer.closed.wait(LIMIT)
    assert steps(writer) == [1]


def test_rows_taken_but_not_flushed_are_in_the_state():
    writer = Remote()
    flushing, may_flush = threading.Event(), threading.Event()

    def flush():
        flushing.set()
        assert may_flush.wait(LIMIT)

    writer.flush = flush
    sink = BackgroundSink(writer, "Remote")
    write(sink, 1, 2)
    assert flushing.wait(LIMIT)
    assert [row[0] for row in sink.get_state()["waiting"]] == [1, 2]
    may_flush.set()
    sink.begin_closing("finished")
    sink.finish_closing(sink._clock() + LIMIT)
    assert steps(writer) == [1, 2]


def test_a_sink_in_the_background_that_is_down_is_tried_again(monkeypatch, caplog):
    monkeypatch.setattr(outbox, "FIRST_DELAY_SECONDS", 0.001)
    writer = Remote(down=True)
    sink = BackgroundSink(writer, "Remote")
    write(sink, 1, 2, 3)
    assert writer.arrived.wait(LIMIT)
    writer.is_down = False
    assert writer.told.wait(LIMIT)
    sink.begin_closing("finished")
    sink.finish_closing(sink._clock() + LIMIT)
    assert sorted(steps(writer)) == [1, 2, 3]
    assert "lacks" not in caplog.text


def test_a_library_that_ends_its_thread_ends_no_sink(monkeypatch, caplog):
    monkeypatch.setattr(outbox, "FIRST_DELAY_SECONDS", 0.001)

    class Exits(Remote):
        def write(self, metrics, step, category):
            if not self.calls:
                self.calls += 1
                raise SystemExit(3)
            super().write(metrics, step, category)

    writer = Exits()
    with MetricsLogger(backends=[writer], backend_frequency=1) as logger:
        log_steps(logger, 1, 3)
    assert sorted(steps(writer)) == [1, 2, 3]


@pytest.mark.parametrize("kind", [Flaky, Remote])
@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "finished"), (KeyError, "failed"), (KeyboardInterrupt, "interrupted")],
)
def test_a_sink_is_told_how_it_ended(kind, error, status):
    writer = kind()
    expected = pytest.raises(error) if error else contextlib.nullcontext()
    with expected, MetricsLogger(backends=[writer], backend_frequency=1) as logger:
        log_steps(logger, 1, 3)
        if error:
            raise error
    assert writer.ended == status


def test_an_unknown_end_is_refused():
    with (
        MetricsLogger() as logger,
        pytest.raises(ValueError, match="finished, failed, interrupted"),
    ):
        logger.close("exploded")


SCRIPT = """
import atexit, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from poke.training.logging import MetricsLogger, exits
from poke.training.writers import CsvWriter
exits.GRACE_SECONDS = 0.1

class Hangs:
    in_background = True
    def write(self, metrics, step, category):
        atexit.register(time.sleep, 1000)  # as a library waits for its service
        threading.Thread(target=time.sleep, args=(1000,)).start()
        ThreadPoolExecutor().submit(time.sleep, 1000)
        arrived.set()
        time.sleep(1000)
    def flush(self): pass
    def close(self): pass
    def get_state(self): return {}
    def set_state(self, state): pass

arrived = threading.Event()
logger = MetricsLogger(backends=[Hangs(), CsvWriter("metrics.csv")], close_seconds=0.1)
def log():
    for step in (1, 2):
        logger.log({"a": 1.0}, step)
    assert arrived.wait(60)
"""
# A child hangs by a sink of its own, and has no thread of its parent's.
FORKED = """
import os
log()
child = os.fork()
if child == 0:
    arrived.clear()
    logger = MetricsLogger(backends=[Hangs()], close_seconds=0.1)
    exits.leave_with(5)
    log()
else:
    exits.leave_with(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("with logger: log()", 0),
        ("log()", 0),
        ("with logger: log(); raise KeyError('x')", 1),
        ("exits.leave_with(3); log(); logger.close(); sys.exit(3)", 3),
        ("import os, signal\nwith logger: log(); os.kill(os.getpid(), signal.SIGTERM)", 143),
        (FORKED, 5),
    ],
)
def test_a_process_ends_though_a_library_would_wait_for_ever(tmp_path, body, status):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT + textwrap.dedent(body)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == status, done.stderr
    assert (tmp_path / "metrics.csv").read_text().count("\n") == 3


ONE_ROW = """
import sys
from poke.training.logging import MetricsLogger

class Remote:
    in_background = True
    def write(self, metrics, step, category): print(step, metrics["a"])
    def flush(self): pass
    def close(self): print("closed")
    def get_state(self): return {}
    def set_state(self, state): pass

logger = MetricsLogger(backends=[Remote()])
logger.log({"a": 1.0}, 7)
"""


@pytest.mark.parametrize(("end", "status"), [("", 0), ("sys.exit(3)", 3), ("1 / 0", 1)])
def test_a_row_that_is_the_first_and_the_last_arrives_at_exit(tmp_path, end, status):
    """Where threads cannot be started any more."""
    done = subprocess.run(
        [sys.executable, "-c", ONE_ROW + end], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == status
    assert done.stdout == "7 1.0\nclosed\n"


def test_a_forked_child_has_neither_thread_nor_rows():
    writer = Remote()
    with MetricsLogger(backends=[writer], backend_frequency=1) as logger:
        log_steps(logger, 1, 3)
        child = os.fork()
        if child == 0:
            log_steps(logger, 4, 9)
            logger.close()
            os._exit(len([t for t in threading.enumerate() if t.name == "Remote"]))
        assert os.waitpid(child, 0)[1] == 0
        log_steps(logger, 4, 5)
    assert steps(writer) == [1, 2, 3, 4, 5]
