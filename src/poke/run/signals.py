"""Signals, and whatever else asks a run to stop from outside."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

LOOK_SECONDS = 0.5


class Interrupted(BaseException):
    """A signal met before training began."""


class Signals:
    """SIGINT and SIGTERM ask the loop to stop after its step; a second one ends the process at once.

    Ending at once does no harm: whatever is on disk under its final name is whole.

    Args:
        should_stop: asked twice a second; what it answers is a reason to stop as after a SIGTERM.
    """

    def __init__(self, should_stop: Callable[[], str | None] | None = None) -> None:
        self.received = 0
        self._reason: str | None = None
        self._should_stop = should_stop
        self._stop: Callable[[str], None] | None = None
        self._interrupting = False
        self._sent_by_us = False
        self._before: dict[int, Any] = {}
        self._over = threading.Event()

    @property
    def reason(self) -> str:
        """Why the run was asked to stop."""
        return self._reason or f"received {signal.Signals(self.received).name}"

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Raise `Interrupted` in the middle of what runs in this block; elsewhere a signal is only noted.

        Raises:
            Interrupted: also for a signal noted before.
        """
        self._interrupting = True
        try:
            if self.received:
                raise Interrupted
            yield
        finally:
            self._interrupting = False

    def deliver_to(self, stop: Callable[[str], None]) -> None:
        """Ask `stop` from now on, and at once for a signal noted before."""
        self._stop = stop
        if self.received:
            stop(self.reason)

    def __enter__(self) -> Signals:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        if self._should_stop is not None:
            threading.Thread(target=self._look, args=(self._should_stop,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        second = bool(self.received)
        if number == signal.SIGTERM and self._sent_by_us:
            self._sent_by_us = False
            if second:  # it crossed a signal from outside, and is no second wish
                return
        if second:
            os._exit(128 + number)
        self.received = number
        if self._stop is not None:
            self._stop(self.reason)
        elif self._interrupting:
            raise Interrupted

    def _look(self, should_stop: Callable[[], str | None]) -> None:
        while not self._over.wait(LOOK_SECONDS):
            reason = should_stop()
            if reason is not None:
                if not (self.received or self._over.is_set()):
                    self._reason, self._sent_by_us = reason, True
                    # A handler runs in the main thread, which may be deep in a step.
                    os.kill(os.getpid(), signal.SIGTERM)
                return
