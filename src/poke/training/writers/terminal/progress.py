"""A progress bar at the bottom of the terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TextIO, cast

from poke.training.writers.terminal.stream import Terminal
from poke.training.writers.terminal.table import Line

if TYPE_CHECKING:
    from rich.text import Text

_REFRESH_SECONDS = 0.1
_MOST_CELLS = 40
_STYLES = {"": "", "header": "bold cyan", "best": "bold green"}


class ProgressBar:
    """A bar; whatever else is printed appears above it. It vanishes when it is stopped.

    It is drawn when it is told something, at most ten times a second, and by no thread of its own.

    Args:
        terminal: where it is drawn.
    """

    def __init__(self, terminal: Terminal) -> None:
        from rich.console import Console
        from rich.live import Live

        # The stream itself, since standard output becomes the bar's own. What rich would do when a
        # pipe breaks is to end the process: it never sees it break.
        self._terminal = Terminal(terminal.stream)
        self._console = Console(file=cast(TextIO, self._terminal), highlight=False)
        self._console.width = self.width
        self._drawn = 0.0
        self._live = Live(
            console=self._console, auto_refresh=False, vertical_overflow="crop", transient=True
        )
        self._live.start()
        self._console.show_cursor(True)  # or a killed process would leave a terminal without one

    @property
    def gone(self) -> bool:
        """Whether the terminal has gone away."""
        return self._terminal.stream is None

    @property
    def width(self) -> int:
        """The terminal's width."""
        return self._terminal.width

    @property
    def is_unicode(self) -> bool:
        """Whether the terminal shows more than ASCII."""
        return self._terminal.is_unicode

    def print(self, line: Line) -> None:
        """Print a line above the bar."""
        from rich.text import Text

        text = Text.assemble(*((piece, _STYLES[style]) for piece, style in line))
        self._console.width = self.width
        self._console.print(text, soft_wrap=True)

    def refresh(self, step: int, total_steps: int | None, text: str) -> None:
        """Draw the bar, unless that has just been done.

        Args:
            step: where the run is.
            total_steps: where it ends; None where unknown.
            text: what stands beside the bar.
        """
        now = time.monotonic()
        if now - self._drawn >= _REFRESH_SECONDS:
            self._drawn = now
            self._console.width = self.width
            self._live.update(self._drawing(step, total_steps, text), refresh=True)

    def stop(self) -> None:
        """Take the bar away and give the terminal back."""
        self._live.stop()

    def _drawing(self, step: int, total_steps: int | None, text: str) -> Text:
        from rich.text import Text

        full, empty = ("━", "─") if self.is_unicode else ("#", "-")
        drawing = Text(no_wrap=True, overflow="crop", end="")
        width = self.width - 1  # one short of the edge, where some terminals would wrap
        if total_steps:
            text = f"{min(100, 100 * step // total_steps):3} %  {text}"
            cells = min(_MOST_CELLS, width - len(text) - 2)
            done = min(cells, cells * step // total_steps)
            if cells > 0:
                drawing.append(full * done, "green").append(empty * (cells - done), "dim")
                drawing.append("  ")
        drawing.append(text[: max(0, width)])
        return drawing
