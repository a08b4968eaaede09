"""Signals, and whatever else asks a run to stop from outside. The first thing a command needs: imports nothing dear.

A command's door is guarded first. What it then does either stops when it is asked to, as of `Signals`, or is broken off
in its middle, as of `interruptible`. Where neither is at hand, and at a second signal, the guard ends the process.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

LOOK_SECONDS = 0.5
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SAVING = signal.SIGUSR1


class Interrupted(BaseException):
    """A signal met before training began, or in the middle of what is broken off."""


def guard_the_door(*, of_runs: bool = False) -> None:
    """Let a signal end the process at once, in one line, wherever nothing has handlers of its own.

    Args:
        of_runs: the door is one that runs begin at: the line says so as long as none has.
    """
    for number in stopping_signals():
        signal.signal(number, _leave_before_a_run if of_runs else _leave)
    if signal.getsignal(SAVING) is signal.SIG_DFL:
        signal.signal(SAVING, nothing_to_save)


def _leave(number: int, _frame: FrameType | None, when: str = "") -> None:
    # Nothing that could fail in the middle of an import.
    os.write(2, f"poke: stopped by {signal.Signals(number).name}{when}\n".encode())
    os._exit(128 + number)


def _leave_before_a_run(number: int, frame: FrameType | None) -> None:
    _leave(number, frame, " before a run began")


def interruptible(work: Callable[[], int]) -> int:
    """Do what tidies up behind itself when a signal breaks it off; the signal is then told in one line.

    Args:
        work: returns an exit status; `Interrupted` is raised in its middle.

    Returns:
        Its status; 128 + N after signal N.
    """
    with Signals() as signals:
        try:
            with signals.interrupting():
                return work()
        except Interrupted:
            name = signal.Signals(signals.received).name
            print(f"poke: stopped by {name}", file=sys.stderr, flush=True)
            return 128 + signals.received


def open_the_door() -> None:
    """Let Ctrl-C raise `KeyboardInterrupt` again, where that is how something usually ends."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def nothing_to_save(_number: int, _frame: FrameType | None) -> None:
    """Heed SIGUSR1, which would end the process, where there is nothing to save."""


def stopping_signals() -> list[signal.Signals]:
    """Return the signals that ask a process to stop; a SIGHUP that is ignored, as by nohup, stays so."""
    return [
        number
        for number in STOPPING
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
    ]


class Signals:
    """SIGINT, SIGTERM and SIGHUP ask the loop to stop after its step; a second one ends the process at once.

    Ending at once does no harm: whatever is on disk under its final name is whole. SIGUSR1 asks for a checkpoint.

    Args:
        should_stop: asked twice a second; what it answers is a reason to stop as after a SIGTERM.
    """

    def __init__(self, should_stop: Callable[[], str | None] | None = None) -> None:
        self.received = 0
        self._reason: str | None = None
        self._should_stop = should_stop
        self._stop: Callable[[str], None] | None = None
        self._save: Callable[[], None] | None = None
        self._interrupting = False
        self._sent_by_us = False
        self._before: dict[int, Any] = {}
        self._over = threading.Event()
        self._watcher: threading.Thread | None = None

    @property
    def reason(self) -> str:
        """Why the run was asked to stop."""
        return self._reason or f"received {signal.Signals(self.received).name}"

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Raise `Interrupted` in the middle of what runs in this block; elsewhere a signal is only noted.

        Raises:
            Interrupted: also for a signal noted before, or swallowed by what ran in the block.
        """
        self._interrupting = True
        try:
            self._raise_if_received()
            yield
            self._raise_if_received()
        finally:
            self._interrupting = False

    def deliver_to(
        self, stop: Callable[[str], None], save: Callable[[], None] | None = None
    ) -> None:
        """Ask `stop` and `save` from now on, `stop` at once for a signal noted before."""
        self._stop, self._save = stop, save
        if self.received:
            stop(self.reason)

    def __enter__(self) -> Signals:
        for number in stopping_signals():
            self._before[number] = signal.signal(number, self._handle)
        if signal.getsignal(SAVING) in (signal.SIG_DFL, nothing_to_save):
            self._before[SAVING] = signal.signal(SAVING, self._ask_to_save)
        if self._should_stop is not None:
            self._watcher = threading.Thread(
                target=self._look, args=(self._should_stop,), name="watcher", daemon=True
            )
            self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._watcher is not None:
            self._watcher.join()  # a thread that outlives the interpreter may crash it
        self._stop = self._save = None
        for number, handler in self._before.items():
            # There has been a run.
            signal.signal(number, _leave if handler is _leave_before_a_run else handler)

    def _raise_if_received(self) -> None:
        if self.received:
            raise Interrupted

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

    def _ask_to_save(self, number: int, frame: FrameType | None) -> None:
        if (
            self._save is not None
        ):  # before training there is nothing that the first save would not hold
            self._save()

    def _look(self, should_stop: Callable[[], str | None]) -> None:
        while not self._over.wait(LOOK_SECONDS):
            reason = should_stop()
            if reason is not None:
                if not (self.received or self._over.is_set()):
                    self._reason, self._sent_by_us = reason, True
                    # A handler runs in the main thread, which may be deep in a step.
                    os.kill(os.getpid(), signal.SIGTERM)
                return
