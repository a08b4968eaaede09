"""Sinks: writers whose failures are their own; and notices, which are given once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from poke.protocols import Writer
from poke.training.logging.sinks.background import BackgroundSink
from poke.training.logging.sinks.outbox import Call, Outbox

_MEDIA = {"log_histogram": "histograms", "log_image": "images", "log_video": "videos"}
_log = logging.getLogger("poke")

Clock = Callable[[], float]


class Notices:
    """Says every thing once."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, key: str, message: str, level: int = logging.WARNING) -> bool:
        """Log a message unless one with this key has been, and return whether this is the first."""
        is_first = key not in self._told
        if is_first:
            self._told.add(key)
            _log.log(level, "%s", message)
        return is_first


class Sink(Protocol):
    """A writer, whatever it does: none of these raises, and none waits for a network."""

    writer: Writer
    name: str

    def begin(self) -> None:
        """Prepare for calls; may be called again."""

    def call(self, method: str, *arguments: Any, **options: Any) -> None:
        """Have a method of the writer called, after all calls before it."""

    def flush(self) -> None:
        """Hand everything taken so far to the operating system, where the writer works."""

    def get_state(self) -> dict[str, Any]:
        """Return the writer's last good state, None before there is one, and the rows that still wait."""

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore a state, and have the rows that waited then written."""

    def begin_closing(self, status: str) -> None:
        """End and close the writer once all calls are made."""

    def finish_closing(self, deadline: float) -> None:
        """Wait for that, until a time of the clock; say what is lost."""


class DirectSink:
    """A writer that is called at once, in the thread that logs.

    Args:
        writer: what is called.
        name: its name, in messages and states.
        clock: returns seconds; never goes back.
    """

    def __init__(self, writer: Writer, name: str, clock: Clock = time.monotonic) -> None:
        self.writer = writer
        self.name = name
        self._outbox = Outbox(writer, name, attempts=2, clock=clock)
        self._is_timed = hasattr(writer, "row_time")
        self._is_restored = True

    def begin(self) -> None:
        """Do nothing: it has no thread."""

    def call(self, method: str, *arguments: Any, **options: Any) -> None:
        """Call a method of the writer, unless it is paused: then once it works again."""
        if not self._has_called(method, arguments, options):
            self._outbox.put(Call(method, arguments, options))
            self._deliver()

    def flush(self) -> None:
        """Flush the writer, after what waits."""
        if not self._has_called("flush", (), {}):
            if not len(self._outbox):
                self._outbox.put(Call("flush"))
            self._deliver()

    def get_state(self) -> dict[str, Any]:
        """Return the writer's state, its last good one where it has none now, and the rows that wait."""
        if self._is_restored:
            self._outbox.remember()
        return self._outbox.saved()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore a state; while the writer does not take it, nothing is written."""
        self._is_restored = False
        self._outbox.restore(state)
        self._deliver()

    def begin_closing(self, status: str) -> None:
        """Write what waits, if that works now, and close the writer."""
        if not self._outbox.deliver():
            self._outbox.deliver()  # the second time, a call that is itself at fault is found
        self._outbox.close_writer(status)

    def finish_closing(self, deadline: float) -> None:
        """Say what is lost."""
        self._outbox.give_up()

    def _has_called(
        self, method: str, arguments: tuple[Any, ...], options: Mapping[str, Any]
    ) -> bool:
        """Make a call that nothing waits before, as nearly all are; false if it has to go the longer way.

        Equal to that way, without what it keeps of a call: a third of a row's time.
        """
        if self._outbox.failures or len(self._outbox) or self._is_timed:
            return False
        try:
            getattr(self.writer, method)(*arguments, **options)
        except Exception:
            return False
        return True

    def _deliver(self) -> None:
        if not self._outbox.delay_seconds and self._outbox.deliver():
            self._is_restored = True


class Sinks:
    """The sinks that share a frequency.

    Args:
        writers: what they write with.
        notices: where what a sink cannot show is said.
    """

    def __init__(self, writers: Sequence[Writer], notices: Notices) -> None:
        self._notices = notices
        self._sinks: list[Sink] = []
        self._of_others: dict[str, Any] = {}  # states of sinks that are not there this time
        for writer in writers:
            kind = type(writer).__name__
            taken = sum(type(sink.writer).__name__ == kind for sink in self._sinks)
            name = f"{kind}-{taken + 1}" if taken else kind
            behind = getattr(writer, "in_background", False)
            self._sinks.append(BackgroundSink(writer, name) if behind else DirectSink(writer, name))

    def __iter__(self) -> Iterator[Sink]:
        return iter(self._sinks)

    def __bool__(self) -> bool:
        return bool(self._sinks)

    def begin(self) -> None:
        """Have every sink prepare for calls."""
        for sink in self._sinks:
            sink.begin()

    def write(self, row: Mapping[str, float], step: int, category: str) -> None:
        """Give every sink a row."""
        for sink in self._sinks:
            sink.call("write", row, step, category)

    def flush(self) -> None:
        """Flush every sink."""
        for sink in self._sinks:
            sink.flush()

    def begin_closing(self, status: str) -> None:
        """Close every sink, and tell those that can show it how the run ended."""
        for sink in self._sinks:
            sink.begin_closing(status)

    def finish_closing(self, deadline: float) -> None:
        """Wait until every sink is closed, or until a time of `time.monotonic`."""
        for sink in self._sinks:
            sink.finish_closing(deadline)

    def abandon(self) -> None:
        """Forget the sinks without touching what they hold."""
        self._sinks = []

    def offer(self, method: str, *arguments: Any, **options: Any) -> None:
        """Call a method that writers need not have; for media, say once who lacks it."""
        for sink in self._sinks:
            if hasattr(sink.writer, method):
                sink.call(method, *arguments, **options)
            elif method in _MEDIA:
                message = f"{sink.name} shows no {_MEDIA[method]}: left out there"
                self._notices.tell(f"{sink.name} {method}", message, logging.INFO)

    def get_state(self) -> dict[str, Any]:
        """Return the sinks' states by name, those that only an earlier process had included."""
        return {**self._of_others, **{sink.name: sink.get_state() for sink in self._sinks}}

    def set_state(self, states: Mapping[str, Any]) -> None:
        """Restore the states of the sinks that have one."""
        names = {sink.name for sink in self._sinks}
        self._of_others = {name: state for name, state in states.items() if name not in names}
        for sink in self._sinks:
            if sink.name in states:
                sink.set_state(states[sink.name])
