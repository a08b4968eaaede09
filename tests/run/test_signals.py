import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from poke.run.signals import Interrupted, Signals


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def wait_until(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_the_loop_to_stop_and_handlers_are_given_back(number):
    before = signal.getsignal(number)
    reasons = []
    with Signals() as signals:
        signals.deliver_to(reasons.append)
        send(number)
        assert reasons == [f"received {signal.Signals(number).name}"]
        assert signals.received == number
    assert signal.getsignal(number) is before


def test_a_signal_while_parts_are_built_interrupts_and_elsewhere_is_noted():
    with Signals() as signals, pytest.raises(Interrupted), signals.interrupting():
        send(signal.SIGTERM)
    with Signals() as signals:
        send(signal.SIGTERM)
        with pytest.raises(Interrupted), signals.interrupting():
            raise AssertionError("never reached")
    reasons = []
    with Signals() as signals:
        with signals.interrupting():
            pass
        send(signal.SIGTERM)
        signals.deliver_to(reasons.append)
    assert reasons == ["received SIGTERM"]


def test_whoever_watches_may_stop_the_run_and_gives_the_reason():
    reasons, answers = [], iter([None, "enough"])
    with Signals(lambda: next(answers)) as signals:
        signals.deliver_to(reasons.append)
        wait_until(lambda: reasons)
    assert reasons == ["enough"]
    assert signals.received == signal.SIGTERM


def test_a_watcher_that_crosses_a_signal_is_no_second_signal():
    """The watcher looks while a signal is pending that the busy main thread has not handled yet."""
    code = """
import os, signal, sys, threading
from poke.run.signals import Signals
sys.setswitchinterval(10)  # the watcher is not interrupted between the two signals
def should_stop():
    os.kill(os.getpid(), signal.SIGINT)
    return "enough"
with Signals(should_stop) as signals:
    signals.deliver_to(lambda reason: None)
    for _ in range(2000):
        if not signals._sent_by_us and signals.received:
            break
        threading.Event().wait(0.01)
    print(signals.received)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr


def test_a_second_signal_ends_the_process_at_once():
    code = """
import os, signal
from poke.run.signals import Signals
with Signals() as signals:
    signals.deliver_to(lambda reason: print(reason, flush=True))
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    print("still here")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 143
    assert done.stdout == "received SIGINT\n"
