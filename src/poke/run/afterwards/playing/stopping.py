"""Play until it is done or a signal comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from poke.run.afterwards.stopping import stops


class Stoppable:
    """Runs coroutines until a signal comes."""

    def __init__(self) -> None:
        self._seen: list[int] = []
        self._cancel: Callable[[], object] = lambda: None

    @property
    def status(self) -> int:
        """Of the process: 0, or 128 + N after signal N."""
        return 128 + self._seen[0] if self._seen else 0

    def run(self, play: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a coroutine in a loop of its own; a signal, also one that came before, cancels it."""

        async def run() -> None:
            playing = asyncio.create_task(play())
            loop = asyncio.get_running_loop()
            self._cancel = lambda: loop.call_soon_threadsafe(playing.cancel)
            if self._seen:
                playing.cancel()
            await playing

        try:
            asyncio.run(run())
        except asyncio.CancelledError:
            if not self._seen:
                raise

    @contextmanager
    def heeding(self) -> Iterator[Stoppable]:
        """Heed signals inside the block: the second one ends the process at once."""
        with stops(lambda: self._cancel()) as self._seen:
            yield self
