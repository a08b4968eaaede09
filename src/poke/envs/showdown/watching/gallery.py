"""The battles of one policy as they are watched: printed while they go, or kept for a page."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TextIO

from poke.envs.showdown.watching.chronicle import Chronicle
from poke.envs.showdown.watching.page import write_page
from poke.envs.showdown.watching.terminal import Terminal

_WRITING_SHARE = 0.05  # of the time, for the page while battles go on


def short_name(place: str) -> str:
    """Return how a policy is called where there is little room: the last two parts of its place."""
    return "/".join(Path(place).parts[-2:]).lstrip("/")


class Gallery:
    """Makes the chronicles of battles. Printed, they are to be played one at a time.

    A context manager: where it ends, by whatever way, `write` is called. What has ended by then is on the page before,
    so that it outlives the process, as far as writing it again and again takes little of the time.

    Args:
        agent: what the policy is called, such as the place of its run; its last two parts are shown.
        opponent: what the other's is called; '' where that is only known by name.
        page: a file to be written of all battles, by `write`; None for no page.
        prints: print each battle while it goes.
        output: where to; standard output by default.
    """

    def __init__(
        self,
        agent: str,
        *,
        opponent: str = "",
        page: str | os.PathLike[str] | None = None,
        prints: bool = False,
        output: TextIO | None = None,
    ) -> None:
        self._agent, self._opponent = short_name(agent), short_name(opponent)
        self._page = page
        self._prints = prints
        self._output = output
        self._chronicles: list[Chronicle] = []
        self._next_write = 0.0

    def __enter__(self) -> Gallery:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.write()

    @property
    def watcher(self) -> Callable[[str, str], Chronicle] | None:
        """`watch`, None where nobody does."""
        return self.watch if self._prints or self._page is not None else None

    def watch(self, battle_format: str, player: str) -> Chronicle:
        """Return the chronicle of a battle that begins.

        Args:
            battle_format: such as ``gen1randombattle``.
            player: the policy's seat: ``p1`` or ``p2``.
        """
        chronicle = Chronicle(battle_format, player, agent=self._agent, opponent=self._opponent)
        terminal = Terminal(chronicle, self._output) if self._prints else None
        if self._page is not None:
            self._chronicles.append(chronicle)

        def on_change(changed: Chronicle) -> None:
            if terminal is not None:
                terminal.show()
            if changed.outcome is not None:
                self._write_now_and_then()

        chronicle.on_change = on_change
        return chronicle

    def write(self) -> None:
        """Write the page of all battles that had begun, if there is to be one.

        Raises:
            OSError: it cannot be written.
        """
        if self._page is not None and self._chronicles:
            write_page(self._chronicles, self._page)

    def _write_now_and_then(self) -> None:
        begun = time.monotonic()
        if begun < self._next_write:
            return
        with suppress(OSError):  # there is another try at the end, which tells
            self.write()
        self._next_write = begun + (time.monotonic() - begun) / _WRITING_SHARE
