"""The terminal: a line every now and then, and a progress bar where there is somebody to see it."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO


class ConsoleWriter:
    """Prints a line for every row and keeps it in a file.

    Args:
        log_path: file the lines are appended to, usually train.log; None for none.
        total_steps: where the run ends, for the ETA; None where unknown.
        stream: where lines are printed; standard output by default.
    """

    def __init__(
        self,
        log_path: str | Path | None = None,
        *,
        total_steps: int | None = None,
        stream: TextIO | None = None,
    ) -> None:
        self.log_path = None if log_path is None else Path(log_path)
        self.total_steps = total_steps
        self._stream = stream
        self._epoch: int | None = None
        self._start: tuple[float, int] | None = None

    def write(self, metrics: Mapping[str, float], step: int, category: str) -> None:
        """Print one line."""
        line = self._line(metrics, step, category)
        print(line, file=self._stream or sys.stdout, flush=True)
        if self.log_path is not None:
            with open(self.log_path, "a", encoding="utf-8") as file:
                file.write(f"{line}\n")

    def set_epoch(self, epoch: int) -> None:
        """Show this epoch from now on."""
        self._epoch = epoch

    def set_progress(self, step: int) -> None:
        """Learn how far the run is."""
        if self._start is None:
            self._start = (time.monotonic(), step)

    def flush(self) -> None:
        """Every line is flushed as it is printed."""

    def close(self) -> None:
        """Nothing is held open."""

    def get_state(self) -> dict[str, Any]:
        """Return nothing: lines that were seen cannot be unseen."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore nothing."""

    def _line(self, metrics: Mapping[str, float], step: int, category: str) -> str:
        self.set_progress(step)
        where = f"step {step}" if self.total_steps is None else f"step {step}/{self.total_steps}"
        if self._epoch is not None:
            where += f" epoch {self._epoch}"
        values = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        return f"{where}  {category}  {values}{self._pace(step)}"

    def _pace(self, step: int) -> str:
        assert self._start is not None
        began, first = self._start
        elapsed = time.monotonic() - began
        if step <= first or elapsed <= 0:
            return ""
        rate = (step - first) / elapsed
        text = f"  {rate:.4g} steps/s"
        if self.total_steps is not None:
            text += f"  ETA {duration((self.total_steps - step) / rate)}"
        return text


def duration(seconds: float) -> str:
    """Return seconds as H:MM:SS."""
    minutes, seconds = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


class TerminalHandler(logging.StreamHandler[TextIO]):
    """Shows log records on standard output as it is at that moment.

    While a progress bar is up, standard output is the bar's own, which prints records above itself; a
    handler that kept the stream it began with would tear the bar.
    """

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        """Standard output."""
        return sys.stdout

    @stream.setter
    def stream(self, _stream: TextIO) -> None:
        raise AttributeError("a TerminalHandler follows sys.stdout")
