"""A progress bar at the bottom of the terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TextIO, cast

from poke.training.writers.terminal import Terminal

if TYPE_CHECKING:
    from rich.console import RenderableType

_REFRESH_SECONDS = 0.1


class ProgressBar:
    """A bar with the last metrics below it; whatever else is printed appears above.

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
        self._metrics: dict[str, str] = {}
        self._drawn = 0.0
        self._live = Live(
            console=self._console, auto_refresh=False, vertical_overflow="crop", transient=False
        )
        self._live.start()
        self._console.show_cursor(True)  # or a killed process would leave a terminal without one

    @property
    def gone(self) -> bool:
        """Whether the terminal has gone away."""
        return self._terminal.stream is None

    def print(self, line: str) -> None:
        """Print a line above the bar."""
        self._console.print(line, markup=False, soft_wrap=True)

    def show_metrics(self, category: str, values: str) -> None:
        """Show a category's metrics below the bar from now on."""
        self._metrics[category] = values
        self._drawn = 0.0

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
            self._live.update(self._drawing(step, total_steps, text), refresh=True)

    def stop(self) -> None:
        """Leave the bar as it is and give the terminal back."""
        self._live.stop()

    def _drawing(self, step: int, total_steps: int | None, text: str) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar as Bar
        from rich.table import Table
        from rich.text import Text

        head = Table.grid(padding=(0, 2, 0, 0))
        if total_steps:
            head.add_row(Bar(total=total_steps, completed=step, width=30), Text(text))
        else:
            head.add_row(Text(text))
        rows = [
            Text.assemble((category, "bold cyan"), f"  {values}", no_wrap=True, overflow="ellipsis")
            for category, values in self._metrics.items()
        ]
        return Group(head, *rows)
