"""The table that a terminal shows: which columns fit, and how numbers stand in them.

Step, epoch, the monitor, the loss, the return, pace and ETA come first, in this order; then what
else was asked for, or was told, as long as there is room. A column that is shown stays where it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain

NUMBER_WIDTH = 9  # of 4 significant digits and a sign: -0.001234, -1.234e-5
PACE_WIDTH = 7
TITLE_WIDTH = 16  # a longer title loses its middle
HEADER_EVERY = 20  # rows
DIGITS = 4
# The key metrics besides the monitor: of each, the first name that fits the first pattern that fits any.
LOSS = ("train/loss", "train/*loss")
RETURN = ("train/*return", "*/return_mean", "*/*return")
GAP = 2

# Pieces of text, each with its style: "", "header" or "best".
Line = list[tuple[str, str]]


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Args:
        name: `category/name` of a metric, or what the table itself says: step, epoch, steps/s, ETA.
        width: in characters of the terminal.
        title: what stands above it, in one or two lines.
    """

    name: str
    width: int
    title: tuple[str, ...]


class Table:
    """Rows of fixed columns that never exceed a width.

    Args:
        monitor: `category/name` of the metric whose best value so far is marked; None for none.
        mode: whether less of it is better, "min", or more, "max".
        patterns: of `category/name`: what is shown besides the key metrics; none: what fits.
        total_steps: where the run ends, None where unknown.
        has_epochs: whether there is a column of epochs from the beginning; otherwise it comes with the first.
    """

    def __init__(
        self,
        *,
        monitor: str | None = None,
        mode: str = "min",
        patterns: Sequence[str] = (),
        total_steps: int | None = None,
        has_epochs: bool = False,
    ) -> None:
        self.best: float | None = None
        self._monitor = monitor
        self._sign = 1 if mode == "max" else -1
        self._patterns = tuple(patterns)
        self._has_eta = total_steps is not None
        self._has_epochs = has_epochs
        self._is_unicode = True
        self._step_width = max(len("step"), len(str(total_steps or 0)))
        self._names: dict[str, None] = {}  # in the order in which they were first told
        self._columns: list[Column] = []
        self._width = 0
        self._rows_below_header = HEADER_EVERY

    def add(
        self,
        metrics: Mapping[str, float],
        step: int,
        category: str,
        *,
        width: int,
        is_unicode: bool = True,
        epoch: int | None = None,
        rate: float | None = None,
        seconds_left: float | None = None,
    ) -> list[Line]:
        """Return the lines of a further row: itself, and the header above it where one is due.

        Args:
            metrics: names to values.
            step: the step they belong to.
            category: their category.
            width: of the terminal.
            is_unicode: whether the terminal shows more than ASCII.
            epoch: where there are epochs.
            rate: steps per second, where known.
            seconds_left: until the end, where known.
        """
        values = {f"{category}/{name}": value for name, value in metrics.items()}
        self._is_unicode = is_unicode
        self._fit(values, step, epoch, width)
        texts = {"step": str(step)}
        if epoch is not None:
            texts["epoch"] = str(epoch)
        if rate is not None:
            texts["steps/s"] = number(rate, PACE_WIDTH)
        if seconds_left is not None:
            texts["ETA"] = duration(seconds_left)
        texts |= {name: number(value, NUMBER_WIDTH) for name, value in values.items()}
        improved = self._monitor in values and self._improves(values[self._monitor])
        row: Line = []
        for column in self._columns:
            text = f"{' ' * GAP if row else ''}{texts.get(column.name, ''):>{column.width}}"
            if improved and column.name == self._monitor:
                row.append((f"{text}*", "best"))
            elif row and row[-1][1]:  # the mark stands in the gap
                row.append((text[1:], ""))
            else:
                row.append((text, ""))
        lines = [_cropped(row, width)]
        if self._rows_below_header >= HEADER_EVERY:
            self._rows_below_header = 0
            lines = [*self._header(width), *lines]
        self._rows_below_header += 1
        return lines

    def _improves(self, value: float) -> bool:
        if math.isnan(value):
            return False
        if self.best is not None and self._sign * value <= self._sign * self.best:
            return False
        self.best = value
        return True

    def _fit(self, values: Mapping[str, float], step: int, epoch: int | None, width: int) -> None:
        """Choose the columns anew where a name, a longer step, an epoch or a width is new."""
        known = len(self._names)
        self._names.update(dict.fromkeys(values))
        news = [len(self._names) > known, len(str(step)) > self._step_width]
        news += [epoch is not None and not self._has_epochs, width != self._width]
        if not any(news):
            return
        self._step_width = max(self._step_width, len(str(step)))
        self._has_epochs = self._has_epochs or epoch is not None
        self._width = width
        columns: list[Column] = []
        room = width + GAP
        for column in self._wanted():
            if column.width + GAP <= room or not columns:
                columns.append(column)
                room -= column.width + GAP
        if columns != self._columns:
            self._columns = columns
            self._rows_below_header = HEADER_EVERY

    def _wanted(self) -> list[Column]:
        """Every column that would be shown if there were room, the most wanted first."""
        wanted = [Column("step", self._step_width, ("step",))]
        if self._has_epochs:
            wanted.append(Column("epoch", len("epoch"), ("epoch",)))
        keys = [self._monitor, self._first(LOSS), self._first(RETURN)]
        rest: Sequence[str] = tuple(self._names)
        if self._patterns:
            rest = [n for pattern in self._patterns for n in rest if fnmatchcase(n, pattern)]
        metrics = dict.fromkeys(name for name in chain(keys, rest) if name is not None)
        shown = [self._metric(name) for name in metrics]
        num_keys = len(set(keys) - {None})
        pace = [Column("steps/s", PACE_WIDTH, ("steps/s",))]
        if self._has_eta:
            pace.append(Column("ETA", PACE_WIDTH, ("ETA",)))
        return [*wanted, *shown[:num_keys], *pace, *shown[num_keys:]]

    def _first(self, patterns: Sequence[str]) -> str | None:
        fits = (n for pattern in patterns for n in self._names if fnmatchcase(n, pattern))
        return next(fits, None)

    def _metric(self, name: str) -> Column:
        title = _title(visible(name.removeprefix("train/"), self._is_unicode), self._is_unicode)
        return Column(name, max(NUMBER_WIDTH, *map(_cells, title)), title)

    def _header(self, width: int) -> list[Line]:
        height = max(len(column.title) for column in self._columns)
        lines = []
        for line in range(height, 0, -1):
            pieces = []
            for column in self._columns:
                text = column.title[-line] if line <= len(column.title) else ""
                pieces.append(" " * (column.width - _cells(text)) + text)
            lines.append(_cropped([((" " * GAP).join(pieces), "header")], width))
        return lines


def number(value: float, width: int) -> str:
    """Return a number with 4 significant digits, less where the width has no room for them."""
    if not math.isfinite(value):
        return f"{value}"
    value = float(f"{value:.{DIGITS - 1}e}")
    size = abs(value)
    if size == 0 or 10 ** (1 - DIGITS) <= size < 10**DIGITS:
        text = f"{value:#.{DIGITS}g}".rstrip(".")
    elif size >= 1:
        text = f"{value:.0f}"
    else:
        text = ""
    digits = DIGITS
    while not text or len(text) > width:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        text = f"{mantissa}e{int(exponent)}"
        if digits == 1:
            break
        digits -= 1
    return text


def duration(seconds: float) -> str:
    """Return a time in at most 7 characters: 1:02:03, 12h 34m, 3d 04h."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours < 10:
        return f"{hours}:{minutes:02}:{seconds:02}"
    if hours < 100:
        return f"{hours}h {minutes:02}m"
    return f"{hours // 24}d {hours % 24:02}h"


def visible(name: str, is_unicode: bool = True) -> str:
    """Return a name as one line of what a terminal can show."""
    name = name if name.isprintable() else repr(name)[1:-1]
    return name if is_unicode else name.encode("ascii", "backslashreplace").decode()


def _title(name: str, is_unicode: bool) -> tuple[str, ...]:
    """Break a long name after the / or _ where that makes it the narrowest, and shorten what is still too long."""
    parts: tuple[str, ...] = (name,)
    if _cells(name) > NUMBER_WIDTH:
        places = [match.end() for match in re.finditer("[/_]", name) if match.end() < len(name)]
        halves = [(name[:place], name[place:]) for place in places]
        parts = min([*halves, parts], key=lambda lines: max(map(_cells, lines)))
    return tuple(_shortened(part, is_unicode) for part in parts)


def _shortened(text: str, is_unicode: bool) -> str:
    if _cells(text) <= TITLE_WIDTH:
        return text
    gap = "…" if is_unicode else "~"
    head, tail = text, text
    while _cells(head) > TITLE_WIDTH // 2:
        head = head[:-1]
    while _cells(head) + 1 + _cells(tail) > TITLE_WIDTH:
        tail = tail[1:]
    return f"{head}{gap}{tail}"


def _cells(text: str) -> int:
    """How many places of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _cropped(line: Line, width: int) -> Line:
    """Drop what is past the width, which only a terminal narrower than a step has, and spaces at the end."""
    pieces: Line = []
    for text, style in line:
        pieces.append((text[:width], style))
        width -= len(pieces[-1][0])
    while pieces and not pieces[-1][0].strip():
        pieces.pop()
    if pieces:
        pieces[-1] = (pieces[-1][0].rstrip(), pieces[-1][1])
    return pieces
