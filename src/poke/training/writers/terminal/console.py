"""The terminal: a table of the key metrics, a progress bar below it where somebody is watching.

Every metric of every row goes to a file besides, a line a row.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from poke.training.writers.files.logfile import log_file
from poke.training.writers.terminal.progress import ProgressBar
from poke.training.writers.terminal.stream import Terminal
from poke.training.writers.terminal.table import Table, visible


class ConsoleWriter:
    """Prints a row of a table for every row, keeps all of it in a file, and draws a progress bar on a terminal.

    No line is longer than the terminal is wide. A terminal or pipe that goes away ends neither the
    run nor the file.

    Args:
        log_path: file the rows are appended to in full, usually train.log; None for none.
        total_steps: where the run ends, for the bar and the ETA; None where unknown.
        monitor: `category/name` of the metric that stands first and whose best so far is marked;
            None for none.
        mode: whether less of the monitor is better, "min", or more, "max".
        metrics: patterns of `category/name`: what is shown besides the monitor, the loss and the
            return; none: what fits.
        has_epochs: whether epochs are shown from the beginning; otherwise from the first that is not 0.
        stream: where the table is printed; standard output by default.
        clock: returns seconds; never goes back.
    """

    def __init__(
        self,
        log_path: str | Path | None = None,
        *,
        total_steps: int | None = None,
        monitor: str | None = None,
        mode: str = "min",
        metrics: Sequence[str] = (),
        has_epochs: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = None if log_path is None else log_file(log_path)
        self._terminal = Terminal(stream)
        self._pace = Pace(total_steps, clock)
        self._table = Table(
            monitor=monitor,
            mode=mode,
            patterns=metrics,
            total_steps=total_steps,
            has_epochs=has_epochs,
        )
        self._epoch: int | None = 0 if has_epochs else None
        self._bar: ProgressBar | None = None
        self._bar_is_decided = False

    def write(self, metrics: Mapping[str, float], step: int, category: str) -> None:
        """Print one row."""
        self._pace.reach(step)
        if self._file is not None:
            self._file.append(self._full_line(metrics, category))
        bar = self._started_bar()
        lines = self._table.add(
            metrics,
            step,
            category,
            epoch=self._epoch,
            rate=self._pace.rate,
            seconds_left=self._pace.seconds_left,
            width=self._terminal.width if bar is None else bar.width,
            is_unicode=self._terminal.is_unicode if bar is None else bar.is_unicode,
        )
        for line in lines:
            if bar is None:
                self._terminal.print("".join(text for text, _ in line))
            else:
                bar.print(line)
        if bar is not None:
            self._refresh(bar)

    def set_epoch(self, epoch: int) -> None:
        """Show this epoch from now on; 0 says nothing where there may be none."""
        if epoch or self._epoch is not None:
            self._epoch = epoch

    def set_progress(self, step: int) -> None:
        """Move the bar."""
        self._pace.reach(step)
        bar = self._started_bar()
        if bar is not None:
            self._refresh(bar)

    def flush(self) -> None:
        """Write what the file system refused so far; the terminal has every line already."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Take the bar away and give the terminal back."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def get_state(self) -> dict[str, Any]:
        """Return the monitor's best value: what was seen cannot be unseen."""
        return {"best": self._table.best}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Mark what is better than the best of the state."""
        self._table.best = state.get("best")

    def _full_line(self, metrics: Mapping[str, float], category: str) -> str:
        values = "  ".join(f"{visible(name)} {value:.4g}" for name, value in metrics.items())
        parts = (self._where(), category, values, self._pace.text)
        return "  ".join(part for part in parts if part)

    def _where(self) -> str:
        total = "" if self._pace.total_steps is None else f"/{self._pace.total_steps}"
        epoch = "" if self._epoch is None else f"  epoch {self._epoch}"
        return f"step {self._pace.step}{total}{epoch}"

    def _refresh(self, bar: ProgressBar) -> None:
        pace = self._pace
        bar.refresh(
            pace.step, pace.total_steps, "  ".join(filter(None, (self._where(), pace.text)))
        )

    def _started_bar(self) -> ProgressBar | None:
        """The bar, begun at the first need; None where nobody would see it."""
        if not self._bar_is_decided:
            self._bar_is_decided = True
            if self._terminal.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
                self._bar = ProgressBar(self._terminal)
        if self._bar is not None and self._bar.gone:
            self._bar.stop()
            self._bar = None
        return self._bar


class Pace:
    """How fast a run goes and when it will be done.

    Args:
        total_steps: where it ends; None where unknown.
        clock: returns seconds.
    """

    def __init__(self, total_steps: int | None, clock: Callable[[], float]) -> None:
        self.total_steps = total_steps
        self.step = 0
        self.rate: float | None = None  # recent, steps per second
        self.seconds_left: float | None = None
        self._clock = clock
        self._start: tuple[float, int] | None = None
        self._mark: tuple[float, int] = (0.0, 0)

    @property
    def text(self) -> str:
        """Both, with what they are; nothing where neither is known."""
        if self.rate is None:
            return ""
        eta = "" if self.seconds_left is None else f"  ETA {_duration(self.seconds_left)}"
        return f"{self.rate:.4g} steps/s{eta}"

    def reach(self, step: int) -> None:
        """Note that a step is done."""
        now = self._clock()
        if self._start is None:
            self._start = self._mark = (now, step)
        self.step = max(step, self.step)
        (began, first), (then, before) = self._start, self._mark
        if self.step > before and now > then:
            self.rate = (self.step - before) / (now - then)
            if self.total_steps is not None:
                remaining = max(0, self.total_steps - self.step)
                self.seconds_left = remaining * (now - began) / (self.step - first)
            self._mark = (now, self.step)


def _duration(seconds: float) -> str:
    """Seconds as H:MM:SS."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
