"""The battles of one policy as they are watched: printed while they go, or kept for a page."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import TextIO

from poke.envs.showdown.watching.chronicle import Chronicle
from poke.envs.showdown.watching.page import write_page
from poke.envs.showdown.watching.terminal import Terminal


def short_name(place: str) -> str:
    """Return how a policy is called where there is little room: the last two parts of its place."""
    return "/".join(Path(place).parts[-2:]).lstrip("/")


class Gallery:
    """Makes the chronicles of battles. Printed, they are to be played one at a time.

    A context manager: where it ends, by whatever way, `write` is called.

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

    def __enter__(self) -> Gallery:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.write()

    def watch(self, battle_format: str, player: str) -> Chronicle:
        """Return the chronicle of a battle that begins.

        Args:
            battle_format: such as ``gen1randombattle``.
            player: the policy's seat: ``p1`` or ``p2``.
        """
        chronicle = Chronicle(battle_format, player, agent=self._agent, opponent=self._opponent)
        if self._prints:
            terminal = Terminal(chronicle, self._output)
            chronicle.on_change = lambda _: terminal.show()
        if self._page is not None:
            self._chronicles.append(chronicle)
        return chronicle

    def write(self) -> None:
        """Write the page of all battles that had begun, if there is to be one.

        Raises:
            OSError: it cannot be written.
        """
        if self._page is not None and self._chronicles:
            write_page(self._chronicles, self._page)
