"""Sinks: writers whose failures cost one line; and notices, which are given once."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from poke.protocols import Writer

ATTEMPTS = 3
_MEDIA = {"log_histogram": "histograms", "log_image": "images", "log_video": "videos"}
_log = logging.getLogger("poke")


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


class Sink:
    """A writer whose failures are its own: a call that keeps raising switches it off.

    Args:
        writer: what is called.
        name: its name, in messages and states.
    """

    def __init__(self, writer: Writer, name: str) -> None:
        self.writer = writer
        self.name = name
        self.on = True

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the writer and return its result; None once it is switched off."""
        if not self.on:
            return None
        for attempt in range(ATTEMPTS):
            try:
                return getattr(self.writer, method)(*arguments, **options)
            except Exception as error:
                if attempt == ATTEMPTS - 1:
                    self.on = False
                    _log.warning(
                        "%s is switched off, training goes on: %s", self.name, describe(error)
                    )
        return None

    def close(self) -> None:
        """Close the writer, whether or not it is switched off."""
        try:
            self.writer.close()
        except Exception as error:
            if self.on:
                _log.warning("%s could not be closed: %s", self.name, describe(error))
        self.on = False


class Sinks:
    """The sinks that share a frequency.

    Args:
        writers: what they write with.
        notices: where what a sink cannot show is said.
    """

    def __init__(self, writers: Sequence[Writer], notices: Notices) -> None:
        self._notices = notices
        self._sinks: list[Sink] = []
        for writer in writers:
            kind = type(writer).__name__
            taken = sum(type(sink.writer).__name__ == kind for sink in self._sinks)
            self._sinks.append(Sink(writer, f"{kind}-{taken + 1}" if taken else kind))

    def __iter__(self) -> Iterator[Sink]:
        return iter(self._sinks)

    def __bool__(self) -> bool:
        return bool(self._sinks)

    def write(self, row: Mapping[str, float], step: int, category: str) -> None:
        """Give every sink a row."""
        for sink in self._sinks:
            sink.call("write", row, step, category)

    def flush(self) -> None:
        """Flush every sink."""
        for sink in self._sinks:
            sink.call("flush")

    def close(self) -> None:
        """Close every sink."""
        for sink in self._sinks:
            sink.close()

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
        """Return the sinks' states by name; one that is switched off has none."""
        states = {sink.name: sink.call("get_state") for sink in self._sinks}
        return {name: state for name, state in states.items() if state is not None}

    def set_state(self, states: Mapping[str, Any]) -> None:
        """Restore the states of the sinks that have one."""
        for sink in self._sinks:
            if sink.name in states:
                sink.call("set_state", states[sink.name])


def describe(error: BaseException) -> str:
    """Return an exception in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
