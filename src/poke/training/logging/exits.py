"""Ways out of a process: what is open is closed at exit and on SIGTERM, and forgotten in forks."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import Any, Protocol


class Closable(Protocol):
    """What must not be left open."""

    def close(self, status: str = "finished") -> None:
        """Write what is pending, and how the run ended; may be called twice."""
        ...

    def abandon(self) -> None:
        """Drop what is pending: it belongs to the parent process."""
        ...


GRACE_SECONDS = 5.0
_open: dict[int, Closable] = {}
_status: int | None = None
_watcher: threading.Thread | None = None
_ending = threading.Event()


def keep(closable: Closable) -> None:
    """Close the object at the interpreter's exit, unless it is released before."""
    _open[id(closable)] = closable


def release(closable: Closable) -> None:
    """Leave the object alone from now on."""
    _open.pop(id(closable), None)


def run_first() -> None:
    """Close before whatever else is to run at exit so far, such as what a sink's library does."""
    atexit.unregister(_close_all)
    atexit.register(_close_all)


def expect_hanging() -> None:
    """Do what must be done before the exit where a library may hang; may be called again and again.

    What is open is closed before the interpreter waits for threads, of which the library may have some. And there is
    the thread that `end_in_bounded_time` needs, since from Python 3.12 on none can be started at exit.
    """
    global _watcher
    with suppress(RuntimeError):  # that moment is past
        threading._register_atexit(_close_all)  # type: ignore[attr-defined]
    if _watcher is None:
        watcher = threading.Thread(target=_end, name="exit", daemon=True)
        with suppress(RuntimeError):  # there are too many
            watcher.start()
            _watcher = watcher


def leave_with(status: int) -> None:
    """Note the exit status that the process is about to end with."""
    global _status
    _status = status


def end_in_bounded_time() -> None:
    """Have the process end some seconds after its main thread, whatever a library still waits for then.

    A library whose service hangs may wait for it in threads that are joined at exit, or in functions that it has
    registered there; this one's calls are given up already. `expect_hanging` comes first.
    """
    try:
        # Called when the main thread is done, before any other of these, such as the one that joins pools' threads.
        threading._register_atexit(_ending.set)  # type: ignore[attr-defined]
    except RuntimeError:  # that moment is past
        _ending.set()


class TerminationGuard:
    """Turns a SIGTERM that would end the process on the spot into SystemExit."""

    def __init__(self) -> None:
        self._previous: Any = None

    def set(self) -> None:
        """Take SIGTERM over, in the main thread and where nobody else has."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self._previous = signal.signal(signal.SIGTERM, _exit)

    def lift(self) -> None:
        """Give SIGTERM back, unless somebody has taken it since."""
        if self._previous is not None and signal.getsignal(signal.SIGTERM) is _exit:
            signal.signal(signal.SIGTERM, self._previous)
        self._previous = None


def _exit(number: int, _frame: Any) -> None:
    leave_with(128 + number)
    sys.exit(128 + number)


def _end() -> None:
    _ending.wait()
    time.sleep(GRACE_SECONDS)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    status = _status
    if status is None:  # nobody said: an error that nobody caught, or none
        status = int(getattr(sys, "last_value", None) is not None)
    os._exit(status)


def _close_all() -> None:
    for closable in list(_open.values()):
        closable.close("interrupted")


def _abandon_all() -> None:
    global _watcher, _ending
    _watcher, _ending = None, threading.Event()
    for closable in list(_open.values()):
        closable.abandon()
    _open.clear()


run_first()
os.register_at_fork(after_in_child=_abandon_all)
