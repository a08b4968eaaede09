"""Sinks behind a network or a database: a thread of its own calls each writer, so that the loop waits for none."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from poke.protocols import Writer
from poke.training.logging import exits
from poke.training.logging.sinks.outbox import Call, Outbox

TRIES_AT_CLOSE = 3
LONG_SECONDS, SILENT_SECONDS = 60, 3


class BackgroundSink:
    """A writer that is called by one thread, which starts with `begin` or the first call; importing its library is one.

    The thread is a daemon: a call that never returns holds nobody. The writer's state is the one it had when it was
    last flushed, so that nobody waits to ask it; rows that it took since then are in the state with those that wait.

    Args:
        writer: what is called, with `in_background = True`.
        name: its name, in messages and states.
        clock: returns seconds; never goes back.
    """

    def __init__(
        self, writer: Writer, name: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.writer = writer
        self.name = name
        self._clock = clock
        self._outbox = Outbox(
            writer,
            name,
            attempts=1,
            catches=BaseException,  # a library's SystemExit must not end the thread unseen
            settles=True,
            clock=clock,
        )
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None
        self._status: str | None = None  # how the run ended, once that is known
        self._closed = threading.Event()

    def begin(self) -> None:
        """Start the thread, which waits for calls."""
        self._wake()

    def call(self, method: str, *arguments: Any, **options: Any) -> None:
        """Have the thread call a method of the writer."""
        self._outbox.put(Call(method, arguments, options))
        self._wake()
        began = self._outbox.busy_since
        if began is not None and self._clock() - began > LONG_SECONDS:
            message = "%s has been busy with one call for %d s; training goes on and its rows wait"
            self._outbox.tell(logging.WARNING, "busy", message, self.name, LONG_SECONDS)

    def flush(self) -> None:
        """Do nothing: the thread flushes the writer whenever it has told it all."""

    def get_state(self) -> dict[str, Any]:
        """Return the writer's state when it was last flushed, and the rows since then."""
        if self._thread is None and self._outbox.state is None:
            self._outbox.remember()
        return self._outbox.saved()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Have the thread restore a state, and write the rows that waited then."""
        self._outbox.restore(state)
        if len(self._outbox):
            self._wake()

    def begin_closing(self, status: str) -> None:
        """Have the thread make the calls that wait, give up after some tries, and close the writer."""
        self._status = status
        self._outbox.hurry()
        self._wake()

    def finish_closing(self, deadline: float) -> None:
        """Wait for the thread until a time of the clock, then leave it alone; say what is lost."""
        if self._thread is None or self._is_closed_by(deadline):
            self._outbox.give_up()
        else:
            self._outbox.give_up("it was still busy after logger.close_seconds")
            exits.end_in_bounded_time()

    def _is_closed_by(self, deadline: float) -> bool:
        left = deadline - self._clock()
        if not self._closed.wait(min(left, SILENT_SECONDS)) and left > SILENT_SECONDS:
            message = "waiting for %s, at most %.0f s (logger.close_seconds)"
            self._outbox.tell(logging.INFO, "closing", message, self.name, left)
        return self._closed.wait(max(0.0, deadline - self._clock()))

    def _wake(self) -> None:
        if self._thread is None:
            if self._outbox.state is None:
                self._outbox.remember()
            exits.expect_hanging()
            self._thread = threading.Thread(target=self._work, name=self.name, daemon=True)
            try:
                self._thread.start()
            except RuntimeError as error:  # there are too many
                self._thread = None
                self._outbox.pause(error)
        with self._news:
            self._news.notify()

    def _work(self) -> None:
        """Make calls as they come, until the sink is closed."""
        while True:
            with self._news:
                while not self._may_work():
                    self._news.wait(self._outbox.delay_seconds if len(self._outbox) else None)
            status = self._status
            all_made = self._outbox.deliver(settling=status is None)  # to close is to flush
            if status is None:
                exits.run_first()  # before what the library has registered by now
            elif all_made or self._outbox.failures >= TRIES_AT_CLOSE:
                break
        self._outbox.close_writer(status)
        self._closed.set()

    def _may_work(self) -> bool:
        if len(self._outbox):
            return not self._outbox.delay_seconds
        return self._status is not None
