"""Metrics in memory, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class MemoryWriter:
    """Keeps every row in `rows`, a list of (metrics, step, category)."""

    def __init__(self) -> None:
        self.rows: list[tuple[dict[str, float], int, str]] = []

    def write(self, metrics: Mapping[str, float], step: int, category: str) -> None:
        """Keep a row."""
        self.rows.append((dict(metrics), step, category))

    def flush(self) -> None:
        """Nothing is pending, ever."""

    def close(self) -> None:
        """Leave the rows readable."""

    def get_state(self) -> dict[str, Any]:
        """Return the rows."""
        return {"rows": [[dict(metrics), step, category] for metrics, step, category in self.rows]}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go back to the rows of a state."""
        self.rows = [(dict(metrics), step, category) for metrics, step, category in state["rows"]]
