"""When a run has stopped getting better. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


class EarlyStopping:
    """Ends a run when one evaluation after the other was not better than the best so far.

    Args:
        monitor: the metric, by full name.
        mode: min or max: which way is better.
        patience: after how many evaluations in a row that were not better; 0: never.
        min_delta: by how much one must be better to count, in the metric's unit.
    """

    def __init__(self, monitor: str, mode: str, patience: int, min_delta: float = 0.0) -> None:
        self._monitor = monitor
        self._sign = 1.0 if mode == "max" else -1.0
        self._patience = patience
        self._min_delta = min_delta
        self._best: float | None = None
        self._num_without = 0

    def take(self, metrics: Mapping[str, float]) -> None:
        """Learn what an evaluation measured; a NaN is never better."""
        value = metrics.get(self._monitor, math.nan)
        gain = math.inf if self._best is None else self._sign * (value - self._best)
        if math.isfinite(value) and gain > self._min_delta:
            self._best, self._num_without = value, 0
        else:
            self._num_without += 1

    @property
    def reason(self) -> str | None:
        """Why the run is finished; None while it is not."""
        if not self._patience or self._num_without < self._patience:
            return None
        return f"no better {self._monitor} in {self._num_without} evaluations"

    def get_state(self) -> dict[str, Any]:
        """Return the best so far, and how many evaluations came after it."""
        return {"best": self._best, "num_without": self._num_without}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; another patience is heeded."""
        self._best, self._num_without = state["best"], state["num_without"]
