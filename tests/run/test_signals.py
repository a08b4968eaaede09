import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import poke
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


def run(code, *, send=None, preexec=None):
    """Run a program that says `ready`, send it a signal then, and return its exit status and what it printed."""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=preexec,
    )
    if send is not None:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(send)
    out, err = process.communicate("go on\n", timeout=60)
    return process.returncode, out, err


AT_THE_DOOR = """
from poke.run.signals import guard_the_door
guard_the_door(of_runs=True)
print("ready", flush=True)
input()
print("went on")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_before_a_run_begins_a_signal_ends_the_process_in_one_line(number):
    status, _, err = run(AT_THE_DOOR, send=number)
    assert status == 128 + number
    assert err == f"poke: stopped by {number.name} before a run began\n"


def test_nohup_holds_and_sigusr1_ends_nothing_at_the_door():
    def nohup():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    assert run(AT_THE_DOOR, send=signal.SIGHUP, preexec=nohup)[:2] == (0, "went on\n")
    assert run(AT_THE_DOOR, send=signal.SIGUSR1)[:2] == (0, "went on\n")


def test_nohup_holds_in_a_run_too_and_sigusr1_asks_to_save():
    code = """
import os, signal
from poke.run.signals import Signals
signal.signal(signal.SIGHUP, signal.SIG_IGN)
with Signals() as signals:
    os.kill(os.getpid(), signal.SIGUSR1)
    signals.deliver_to(print, lambda: print("save", flush=True))
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGUSR1)
    print(signals.received)
"""
    assert run(code)[:2] == (0, "save\n0\n")


def test_an_interruption_that_is_swallowed_is_raised_again():
    code = """
import os, signal
from poke.run.signals import Interrupted, Signals
with Signals() as signals:
    try:
        with signals.interrupting():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            except BaseException:
                print("swallowed")
    except Interrupted:
        print("raised again")
"""
    assert run(code)[:2] == (0, "swallowed\nraised again\n")


ROOT = Path(poke.__file__).parent
DOORS = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for path in ROOT.rglob("*.py")
    if '__name__ == "__main__"' in path.read_text() and path != ROOT / "__main__.py"
}
NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
DRAWN = [(door, NUMBERS[i % 3], 1 + 3 * i % 7) for i, door in enumerate(sorted(DOORS))]

# A command that sends itself a signal at an import: the n-th after it is guarded, or one of a name.
STRUCK = """
import os, runpy, signal, sys
class Strike:
    left = {after}
    def find_spec(self, name, path=None, target=None):
        self.left -= signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        if self.left == 0 or name == {name!r}:
            os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Strike())
sys.argv[1:] = {arguments!r}
runpy.run_module("poke.{door}", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(("door", "number", "after"), DRAWN)
def test_at_every_door_a_signal_is_one_line_from_the_first_import_on(door, number, after):
    code = STRUCK.format(door=door, number=int(number), after=after, name="", arguments=["--help"])
    when = " before a run began" if door == "train" else ""
    assert run(code) == (128 + number, "", f"poke: stopped by {number.name}{when}\n")


def test_the_doors_are_found():
    assert {"train", "play", "compare", "envs.showdown"} < DOORS


BROKEN_OFF = {
    "export": ["run", "--out", "policy.safetensors"],
    "checkpoints": ["list", "run"],
    "verify": ["run"],
    "play": ["run"],
    "envs.showdown": ["observe", "file"],
}
# What is imported when it is at work, where that is not torch.
AT_WORK = {"verify": "poke.run.telling.account", "envs.showdown": "numpy"}


@pytest.mark.parametrize(("door", "number"), list(zip(BROKEN_OFF, itertools.cycle(NUMBERS))))
def test_work_that_is_broken_off_is_one_line_too(door, number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = AT_WORK.get(door, "torch")
    code = STRUCK.format(
        door=door, number=int(number), after=-1, name=name, arguments=BROKEN_OFF[door]
    )
    assert run(code) == (128 + number, "", f"poke: stopped by {number.name}\n")
    assert not list(tmp_path.iterdir())


def test_what_is_broken_off_tidies_up():
    code = """
import os, signal
from poke.run.signals import guard_the_door, interruptible
guard_the_door()
def work():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        print("tidy")
print(interruptible(work), interruptible(lambda: 3))
"""
    assert run(code) == (0, "tidy\n143 3\n", "poke: stopped by SIGTERM\n")


@pytest.mark.parametrize("first", NUMBERS)
def test_what_stops_when_asked_to_ends_in_one_line_at_the_second_signal(first):
    code = f"""
import os, signal
from poke.run.afterwards.stopping import stops
from poke.run.signals import guard_the_door
guard_the_door()
with stops(lambda: print("asked", flush=True)) as seen:
    os.kill(os.getpid(), {int(first)})
    assert seen == [{int(first)}]
    os.kill(os.getpid(), signal.SIGINT)
"""
    assert run(code) == (130, "asked\n", "poke: stopped by SIGINT\n")


def test_after_a_run_nobody_says_that_none_began():
    code = """
import os, signal
from poke.run.signals import Signals, guard_the_door
guard_the_door(of_runs=True)
with Signals():
    pass
os.kill(os.getpid(), signal.SIGINT)
"""
    assert run(code) == (130, "", "poke: stopped by SIGINT\n")
