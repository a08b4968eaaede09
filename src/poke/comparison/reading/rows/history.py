"""The rows of one metrics file in numbers.

An empty cell and a cell that says ``nan`` differ: the first was never measured, the second is a run
that broke. Both are NaN in float64, so an empty cell carries a payload of its own (as R's NA does),
which survives copies and files.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

EMPTY_BITS = np.uint64(0x7FF8_0000_0000_07A2)
EMPTY: float = np.array([EMPTY_BITS]).view(np.float64)[0]


def is_empty(values: np.ndarray) -> np.ndarray:
    """Return where a float64 array holds ``EMPTY``."""
    return np.ascontiguousarray(values).view(np.uint64) == EMPTY_BITS


@dataclass(slots=True)
class History:
    """The rows of one metrics file.

    Args:
        names: names of the metrics, without step and time.
        matrix: ``[2 + num_names, num_rows] float64``: steps, times (seconds since 1970, UTC), then
            the
            metrics; an empty cell is ``EMPTY``.
        problems: what could not be read, one line each.
    """

    names: list[str] = field(default_factory=list)
    matrix: np.ndarray = field(default_factory=lambda: np.empty((2, 0)))
    problems: list[str] = field(default_factory=list)

    @property
    def steps(self) -> np.ndarray:
        """``[num_rows] float64``."""
        return self.matrix[0]

    @property
    def times(self) -> np.ndarray:
        """``[num_rows] float64``, seconds since 1970, NaN where the file tells no time."""
        return self.matrix[1]

    @property
    def values(self) -> np.ndarray:
        """``[num_names, num_rows] float64``."""
        return self.matrix[2:]

    def column(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return steps, times and values of the rows in which this metric was measured."""
        values = self.values[self.names.index(name)]
        filled = ~is_empty(values)
        return self.steps[filled], self.times[filled], values[filled]

    def at(self, name: str, step: float) -> tuple[float, float]:
        """Return the newest value of a metric at or before ``step`` and its step, NaN where there is none."""
        if name not in self.names:
            return np.nan, np.nan
        steps, _, values = self.column(name)
        reached = np.flatnonzero(steps <= step)
        return (values[reached[-1]], steps[reached[-1]]) if reached.size else (np.nan, np.nan)
