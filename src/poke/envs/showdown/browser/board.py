"""What the page shows now and what was clicked on it: between the threads of a site and the loop of a game."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any


class Board:
    """The state of a game by versions. Any thread may wait for a newer one; the game alone posts.

    Args:
        clicked: called, by any thread, with what was clicked and the numbers that belong to it.
    """

    def __init__(self, clicked: Callable[[str, dict[str, int]], None]) -> None:
        self.clicked = clicked
        self._changed = threading.Condition()
        self._version = 0
        self._state: dict[str, Any] = {}
        self._pages: list[str] = []
        self._is_closed = False

    def post(self, state: dict[str, Any]) -> None:
        """Show a state, JSON-able."""
        with self._changed:
            self._version += 1
            self._state = state
            self._changed.notify_all()

    def keep(self, page: str) -> int:
        """Keep a page of a battle that is over; return its number."""
        with self._changed:
            self._pages.append(page)
            return len(self._pages) - 1

    def page(self, number: int) -> str | None:
        """Return a page that was kept, None where there is none of this number."""
        with self._changed:
            return self._pages[number] if 0 <= number < len(self._pages) else None

    def news(self, after: int, timeout_seconds: float) -> bytes | None:
        """Wait for a state newer than a version; return it in JSON with its ``version``, None where none comes."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._version > after or self._is_closed, timeout_seconds
            )
            if self._version <= after:
                return None
            return json.dumps({**self._state, "version": self._version}).encode()

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
