"""Stop cleanly when asked to, where there is no training to be saved. Imports no torch."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from poke.run.signals import stopping_signals


@contextmanager
def stops(stop: Callable[[], object]) -> Iterator[list[int]]:
    """Let the first SIGINT, SIGTERM or SIGHUP stop cleanly and a second one at once; yield those seen.

    Args:
        stop: asked by the first one.
    """
    seen: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        for caught, handler in before.items():
            signal.signal(caught, handler)
        stop()

    before: dict[int, Any] = {
        number: signal.signal(number, handle) for number in stopping_signals()
    }
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
