"""Windows: which samples of a category a row sums up, and how.

A `Stream` holds a category's rows of samples once; each of its windows, one a sink frequency,
remembers how many of them it has folded into its totals. A window folds at its own boundaries and
every `FOLD_ROWS` rows, at points that depend on nothing but the calls made: so neither another
window nor a checkpoint changes the last bit of what it writes.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from poke.training.logging.naming import Naming
from poke.training.logging.values import Held, Kind, fetch

FOLD_ROWS = 128
NONFINITE = "/nonfinite"  # ends the name that counts what a name's mean left out

# Of a name's finite samples: fold a column, merge two folds, finish a fold of so many samples.
Column = Sequence[Any]
REDUCTIONS: dict[
    str, tuple[Callable[[Column], Any], Callable[[Any, Any], Any], Callable[[Any, int], Any]]
]
REDUCTIONS = {
    "mean": (sum, lambda a, b: a + b, lambda total, count: total / count),
    "sum": (sum, lambda a, b: a + b, lambda total, _: total),
    "min": (min, min, lambda least, _: least),
    "max": (max, max, lambda most, _: most),
    "last": (itemgetter(-1), lambda _, b: b, lambda last, _: last),
    "count": (len, lambda a, b: a + b, lambda count, _: count),
}

Conflict = tuple[str, Any, Any]  # a name and two values for it

# A name's fold, number of finite samples, number of non-finite ones.
Total = tuple[Any, int, int]


def fold_rows(rows: Sequence[Mapping[str, Any]], naming: Naming) -> dict[str, Total]:
    """Fold rows of numbers, whose names may differ from row to row, into one total a name."""
    return _fold_columns(_columns(rows), naming)


def _fold_columns(columns: Mapping[str, Column], naming: Naming) -> dict[str, Total]:
    totals: dict[str, Total] = {}
    for key, column in columns.items():
        named = naming[key]
        if named is not None:
            name, how = named
            total = _fold_column(column, REDUCTIONS[how][0])
            if name in totals:  # two keys of one name, such as 1 and "1"
                merge(totals, {name: total}, naming)
            else:
                totals[name] = total
    return totals


def merge(into: dict[str, Total], totals: Mapping[str, Total], naming: Naming) -> None:
    """Add later totals to earlier ones, in place."""
    for name, (value, count, nonfinite) in totals.items():
        if name in into:
            earlier, earlier_count, earlier_nonfinite = into[name]
            if earlier_count and count:
                value = _reduction(naming, name)[1](earlier, value)
            elif earlier_count:
                value = earlier
            count += earlier_count
            nonfinite += earlier_nonfinite
        into[name] = (value, count, nonfinite)


def finish(totals: Mapping[str, Total], naming: Naming) -> dict[str, float]:
    """Return the row that totals make; a name without finite samples is NaN."""
    row: dict[str, float] = {}
    for name, (value, count, nonfinite) in totals.items():
        row[name] = float(_reduction(naming, name)[2](value, count)) if count else math.nan
        if nonfinite:
            row[f"{name}{NONFINITE}"] = float(nonfinite)
    return row


def _reduction(naming: Naming, name: str) -> Any:
    named = naming[name]
    return REDUCTIONS[named[1] if named else "mean"]


def _columns(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Column]:
    """Turn rows into columns."""
    first = rows[0]
    # Fast path: rows of the same names, which nearly all are, turn at C speed; into what the loop below makes of them.
    if len(first) > 1 and set(map(len, rows)) == {len(first)}:
        try:
            return dict(zip(first, zip(*map(itemgetter(*first), rows), strict=True), strict=True))
        except KeyError:
            pass
    columns: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    return columns


def _fold_column(column: Column, fold: Callable[[Column], Any]) -> Total:
    total = _finite_sum(column)
    if total is not None:
        return total if fold is sum else fold(column), len(column), 0
    finite = [float(value) for value in column if _finite_sum((value,)) is not None]
    return (fold(finite) if finite else 0.0), len(finite), len(column) - len(finite)


def _finite_sum(column: Column) -> float | None:
    """The sum, None where it is not finite."""
    try:
        total = float(sum(column))
    except OverflowError:  # an int beyond every float
        return None
    return total if math.isfinite(total) else None


def checked_frequency(name: str, value: int | None) -> int:
    """Return the steps between a sink's rows, 0 for none.

    Raises:
        ValueError: the value is neither a non-negative int nor None.
    """
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} must be a whole number >= 0, not {value!r}")
    return value


class Window:
    """What one frequency of sinks has yet to be told of a category.

    Args:
        frequency: steps between rows, at least 1.
    """

    def __init__(self, frequency: int) -> None:
        self.frequency = frequency
        self.boundary = 0  # the first step of all closes the first window
        self.ended = False
        self.folded = 0
        self.totals: dict[str, Total] = {}

    def get_state(self) -> dict[str, Any]:
        """Return what is under way, as plain values."""
        totals = {name: list(total) for name, total in self.totals.items()}
        return {"ended": self.ended, "folded": self.folded, "totals": totals}

    def set_state(self, state: Mapping[str, Any], step: int) -> None:
        """Go on from what `get_state` returned, at the step of then; the boundary is that of the present frequency."""
        self.ended = state["ended"]
        self.folded = state["folded"]
        self.totals = {name: tuple(total) for name, total in state["totals"].items()}
        self.boundary = (step // self.frequency + 1) * self.frequency


class Stream:
    """One category's samples and windows.

    Args:
        frequencies: window names to their steps between rows.
        naming: the keys' names and reductions.
    """

    def __init__(self, frequencies: Mapping[str, int], naming: Naming) -> None:
        self.naming = naming
        self.windows = {name: Window(frequency) for name, frequency in frequencies.items()}
        self.step = -1
        self.wake = 0  # the first step at which `advance` has something to do
        # Names to numbers, or the numbers alone of `keys`, as `pick` takes them out of a dict. Fast path: a tuple saves
        # the logger a dict a step, and folds to what the dict would.
        self.rows: list[dict[str, Any] | tuple[Any, ...]] = []
        self.keys: tuple[str, ...] = ()
        self.pick: Callable[[Mapping[str, Any]], tuple[Any, ...]] = tuple
        self._is_uniform = True  # all of the rows are numbers alone
        self.full = FOLD_ROWS  # the number of rows at which `fold_full` has something to do
        self.current: dict[str, Any] | tuple[Any, ...] = {}  # what the present step has been told
        self.kind = Kind.MIXED  # what the last row's values were
        self.held = False  # some of the rows hold device tensors
        self.suspects: list[
            Conflict
        ] = []  # values on a device, to be compared once they have arrived

    def ended(self) -> list[str]:
        """The windows that the present step ends."""
        return [name for name, window in self.windows.items() if window.ended]

    def advance(self, step: int) -> None:
        """Move to a step at or past `wake`: mark the windows it ends."""
        for window in self.windows.values():
            window.ended = step >= window.boundary
            if window.ended:
                window.boundary = (step // window.frequency + 1) * window.frequency
        self._set_wake()

    def take(self, names: Sequence[str]) -> dict[str, dict[str, float]]:
        """Close windows and return their rows, leaving out empty ones."""
        self._fold([self.windows[name] for name in names])
        rows = {}
        for name in names:
            window = self.windows[name]
            if window.totals:
                rows[name] = finish(window.totals, self.naming)
            window.totals = {}
            window.ended = False
        self._set_wake()
        return rows

    def fold_full(self) -> None:
        """Fold the windows that `FOLD_ROWS` rows are waiting for."""
        length = len(self.rows)
        if not self.windows:
            self.rows.clear()
            self._is_uniform = True
        self._fold([w for w in self.windows.values() if length - w.folded >= FOLD_ROWS])

    def follow(self, row: dict[str, Any]) -> tuple[Any, ...]:
        """Take rows of this one's keys as numbers alone from now on; return this one's."""
        keys = tuple(row)
        if keys != self.keys:
            if self.rows:
                self.rows[:] = [self._named(each) for each in self.rows]
                self._is_uniform = False
            self.keys = keys
            self.pick = itemgetter(*keys) if len(keys) > 1 else _picker(keys[0])
        return tuple(row.values())

    def add(self, row: dict[str, Any]) -> None:
        """Take a row by its names."""
        self.rows.append(row)
        self._is_uniform = False

    def add_to_current(self, row: Mapping[str, Any]) -> None:
        """Remember a further row of the present step."""
        self.current = {**self._named(self.current), **row}

    def fetch(self) -> None:
        """Bring what is still on a device."""
        if self.held:
            fetch(row for row in self.rows if isinstance(row, dict))
            self.held = False

    def _named(self, row: dict[str, Any] | tuple[Any, ...]) -> dict[str, Any]:
        return row if isinstance(row, dict) else dict(zip(self.keys, row, strict=True))

    def conflicts(self, row: Mapping[Any, Any]) -> list[Conflict]:
        """Return the names that a further row of the present step gives a second value."""
        found = []
        current = self._named(self.current)
        for name in row.keys() & current.keys():
            earlier, value = current[name], row[name]
            if isinstance(earlier, Held) or isinstance(value, Held):
                self.suspects.append((name, earlier, value))
            elif _differ(earlier, value):
                found.append((name, earlier, value))
        return found

    def settle(self) -> list[Conflict]:
        """Return the names that turn out to have had two values, now that they were fetched."""
        suspects, self.suspects = self.suspects, []
        pairs = [(name, _arrived(earlier), _arrived(value)) for name, earlier, value in suspects]
        return [(name, earlier, value) for name, earlier, value in pairs if _differ(earlier, value)]

    def get_state(self) -> dict[str, Any]:
        """Return step, rows not yet told to every sink and windows, as plain values."""
        self.fetch()
        rows = [
            {name: _plain(value) for name, value in self._named(row).items()} for row in self.rows
        ]
        windows = {name: window.get_state() for name, window in self.windows.items()}
        return {"step": self.step, "rows": rows, "windows": windows}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `get_state` returned, of this category whatever frequencies its sinks had then."""
        self.step = state["step"]
        self.rows = [dict(row) for row in state["rows"]]
        self._is_uniform = not self.rows
        for name, window in self.windows.items():
            # A frequency that was off when the state was made starts with an empty window.
            fresh = {"ended": False, "folded": len(self.rows), "totals": {}}
            window.set_state(state["windows"].get(name, fresh), self.step)
        self._drop_folded()
        self._set_wake()

    def _set_wake(self) -> None:
        windows = self.windows.values()
        if any(window.ended for window in windows):
            self.wake = 0
        else:
            self.wake = min((window.boundary for window in windows), default=sys.maxsize)

    def _fold(self, windows: Sequence[Window]) -> None:
        self.fetch()
        chunks: dict[int, dict[str, Total]] = {}
        length = len(self.rows)
        for window in windows:
            start = window.folded
            if start == length:
                continue
            if start not in chunks:
                chunks[start] = self._totals(self.rows[start:] if start else self.rows)
            if window.totals:
                merge(window.totals, chunks[start], self.naming)
            else:
                window.totals = dict(chunks[start])
            window.folded = length
        self._drop_folded()

    def _totals(self, rows: Sequence[dict[str, Any] | tuple[Any, ...]]) -> dict[str, Total]:
        if not self._is_uniform:
            return fold_rows([self._named(row) for row in rows], self.naming)
        # Equal to the above: the columns of rows that all have the same keys, at C speed.
        columns = dict(zip(self.keys, zip(*rows, strict=True), strict=True))
        return _fold_columns(columns, self.naming)

    def _drop_folded(self) -> None:
        least = min((window.folded for window in self.windows.values()), default=0)
        if least:
            del self.rows[:least]
            self._is_uniform = self._is_uniform or not self.rows
            for window in self.windows.values():
                window.folded -= least
        self.full = FOLD_ROWS + min((w.folded for w in self.windows.values()), default=0)


def _picker(key: str) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    return lambda metrics: (metrics[key],)


def _plain(value: Any) -> int | float:
    return value if type(value) in (float, int, bool) else float(value)


def _arrived(value: Any) -> Any:
    return value.number if isinstance(value, Held) else value


def _differ(earlier: Any, value: Any) -> bool:
    return bool(earlier != value and (earlier == earlier or value == value))
