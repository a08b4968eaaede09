"""What a table needs to know of a run's metrics: last, lowest and highest values, and where they stood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poke.comparison.reading.rows.history import EMPTY, History, is_empty

BLOCK_CELLS = 1 << 17  # summed up at once: what a long file needs besides itself stays small
LAST, LAST_STEP, LOWEST, LOWEST_STEP, HIGHEST, HIGHEST_STEP = range(6)


@dataclass(slots=True)
class Summary:
    """Last, lowest and highest value of every metric of a run.

    Args:
        names: names of the metrics.
        numbers: ``[6, num_names] float64``: last value (which may be NaN where a run broke) and its
            step, lowest finite
            value and its step, highest finite value and its step; ``EMPTY`` and NaN where there is
            none.
        step: the last step of the file, NaN where it has no rows.
    """

    names: list[str]
    numbers: np.ndarray
    step: float

    def measured(self) -> list[str]:
        """Return the names of the metrics that have at least one value."""
        return [
            name
            for name, empty in zip(self.names, is_empty(self.numbers[LAST]), strict=True)
            if not empty
        ]

    def last(self, name: str) -> tuple[float, float]:
        """Return the last value of a metric and its step, NaN where it was never measured."""
        return self._pair(name, LAST)

    def best(self, name: str, mode: str) -> tuple[float, float]:
        """Return the lowest (``mode="min"``) or highest finite value of a metric and its step."""
        return self._pair(name, LOWEST if mode == "min" else HIGHEST)

    def _pair(self, name: str, row: int) -> tuple[float, float]:
        if name not in self.names:
            return float("nan"), float("nan")
        column = self.names.index(name)
        return float(self.numbers[row, column]), float(self.numbers[row + 1, column])

    def extend(self, later: Summary) -> Summary:
        """Return the summary of these rows followed by those of ``later``, which has the same metrics."""
        mine, new = self.numbers, later.numbers
        numbers = mine.copy()
        # a lowest or highest of the later rows must be better to replace: the first step that
        # reached it counts
        for row, replace in (
            (LAST, ~is_empty(new[LAST])),
            (LOWEST, (new[LOWEST] < mine[LOWEST]) | np.isnan(mine[LOWEST])),
            (HIGHEST, (new[HIGHEST] > mine[HIGHEST]) | np.isnan(mine[HIGHEST])),
        ):
            numbers[row : row + 2] = np.where(replace, new[row : row + 2], mine[row : row + 2])
        return Summary(self.names, numbers, self.step if np.isnan(later.step) else later.step)


def summarize_history(history: History) -> Summary:
    """Return the summary of a run's rows."""
    values, steps = history.values, history.steps
    num_names, num_rows = values.shape
    numbers = np.full((6, num_names), np.nan)
    numbers[LAST] = EMPTY
    if not num_rows or not num_names:
        return Summary(history.names, numbers, float(steps[-1]) if num_rows else float("nan"))
    together = max(1, BLOCK_CELLS // num_rows)
    for start in range(0, num_names, together):
        part = slice(start, start + together)
        _summarize(values[part], steps, numbers[:, part])
    return Summary(history.names, numbers, float(steps[-1]))


def _summarize(values: np.ndarray, steps: np.ndarray, numbers: np.ndarray) -> None:
    """Fill in the numbers of some metrics.

    Args:
        values: ``[num_names, num_rows] float64``.
        steps: ``[num_rows] float64``.
        numbers: ``[6, num_names] float64``, as in ``Summary``; changed where there are values.
    """
    columns = np.arange(len(values))
    if np.isfinite(values).all():  # most files: half the time of what follows, which tells the same
        places = (values.shape[1] - 1, values.argmin(axis=1), values.argmax(axis=1))
        for row, place in zip((LAST, LOWEST, HIGHEST), places, strict=True):
            numbers[row], numbers[row + 1] = values[columns, place], steps[place]
        return
    filled = ~is_empty(values)
    last = steps.size - 1 - filled[:, ::-1].argmax(axis=1)
    has = filled.any(axis=1)
    numbers[LAST] = values[columns, last]
    numbers[LAST_STEP] = np.where(has, steps[last], np.nan)
    finite = np.isfinite(values)
    has = finite.any(axis=1)
    for row, sign in ((LOWEST, 1.0), (HIGHEST, -1.0)):
        first = np.where(finite, sign * values, np.inf).argmin(axis=1)
        numbers[row] = np.where(has, values[columns, first], np.nan)
        numbers[row + 1] = np.where(has, steps[first], np.nan)
