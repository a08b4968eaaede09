"""The terminal: plain lines in a pipe, and a progress bar below them where somebody is watching."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from poke.training.writers.logfile import log_file
from poke.training.writers.progress import ProgressBar
from poke.training.writers.terminal import Terminal


class ConsoleWriter:
    """Prints a line for every row, keeps it in a file, and draws a progress bar on a terminal.

    A terminal or pipe that goes away ends neither the run nor the file.

    Args:
        log_path: file the lines are appended to, usually train.log; None for none.
        total_steps: where the run ends, for the bar and the ETA; None where unknown.
        stream: where lines are printed; standard output by default.
        clock: returns seconds; never goes back.
    """

    def __init__(
        self,
        log_path: str | Path | None = None,
        *,
        total_steps: int | None = None,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = None if log_path is None else log_file(log_path)
        self._terminal = Terminal(stream)
        self._pace = Pace(total_steps, clock)
        self._epoch: int | None = None
        self._bar: ProgressBar | None = None
        self._bar_is_decided = False

    def write(self, metrics: Mapping[str, float], step: int, category: str) -> None:
        """Print one line."""
        self._pace.reach(step)
        values = "  ".join(f"{_visible(name)} {value:.4g}" for name, value in metrics.items())
        line = "  ".join(
            part for part in (self._where(), category, values, self._pace.text) if part
        )
        if self._file is not None:
            self._file.append(line)
        bar = self._started_bar()
        if bar is None:
            self._terminal.print(line)
        else:
            bar.show_metrics(category, values)
            self._refresh(bar)
            bar.print(line)

    def set_epoch(self, epoch: int) -> None:
        """Show this epoch from now on."""
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
        """Leave the bar as it stands and give the terminal back."""
        if self._bar is not None:
            self._refresh(self._bar)
            self._bar.stop()
            self._bar = None

    def get_state(self) -> dict[str, Any]:
        """Return nothing: what was seen cannot be unseen."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore nothing."""

    def _where(self) -> str:
        total = "" if self._pace.total_steps is None else f"/{self._pace.total_steps}"
        epoch = "" if self._epoch is None else f"  epoch {self._epoch}"
        return f"step {self._pace.step}{total}{epoch}"

    def _refresh(self, bar: ProgressBar) -> None:
        bar.refresh(self._pace.step, self._pace.total_steps, f"{self._where()}  {self._pace.text}")

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
        self.text = ""
        self._clock = clock
        self._start: tuple[float, int] | None = None
        self._mark: tuple[float, int] = (0.0, 0)

    def reach(self, step: int) -> None:
        """Note that a step is done."""
        now = self._clock()
        if self._start is None:
            self._start = self._mark = (now, step)
        self.step = max(step, self.step)
        (began, first), (then, before) = self._start, self._mark
        if self.step > before and now > then:
            rate = (self.step - before) / (now - then)
            self.text = f"{rate:.4g} steps/s"
            if self.total_steps is not None:
                remaining = max(0, self.total_steps - self.step)
                self.text += f"  ETA {_duration(remaining * (now - began) / (self.step - first))}"
            self._mark = (now, self.step)


def _visible(name: str) -> str:
    return name if name.isprintable() else repr(name)[1:-1]


def _duration(seconds: float) -> str:
    """Seconds as H:MM:SS."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
