"""What a worker process does besides its jobs: leave signals to the sweep, and end when the sweep's process is gone."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from poke.run.signals import SAVING, STOPPING, nothing_to_save

LOOK_SECONDS = 0.5
# A job of a sweep whose process is gone saves and ends within a step; this bounds a step that hangs.
LAST_SECONDS = 300.0

_at_work = threading.Event()


def begin() -> None:
    """Prepare this process; called once, before its first job.

    Ctrl-C reaches the workers as well as the sweep. Between jobs there is nothing to save, and a worker that died
    would take the others with it: while a job runs, the runner handles signals.
    """
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(SAVING, nothing_to_save)
    threading.Thread(target=_end_with, args=(os.getppid(),), name="orphan", daemon=True).start()


@contextmanager
def at_work() -> Iterator[None]:
    """Let a job save before its process ends."""
    _at_work.set()
    try:
        yield
    finally:
        _at_work.clear()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    deadline = time.monotonic() + LAST_SECONDS
    while _at_work.is_set() and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS / 5)
    os._exit(128 + signal.SIGTERM)
