"""How the latest episodes went."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np


class LatestEpisodes:
    """Mean return and length of the episodes that finished last.

    Args:
        window: over how many.
    """

    def __init__(self, window: int) -> None:
        self._latest: deque[tuple[float, int]] = deque(maxlen=window)
        self._means: dict[str, float] | None = {}  # over these; None: episodes finished since

    def tell(self, finished: Sequence[tuple[float, int]]) -> dict[str, float]:
        """Take in return and length of the episodes of a round; return their number and the means."""
        if finished:
            self._latest.extend(finished)
            self._means = None
        # Rounds of one step are many more than episodes: a mean over a hundred of these costs more than the step.
        if self._means is None:
            returns, lengths = zip(*self._latest, strict=True)
            self._means = {
                "episode_return": float(np.mean(returns)),
                "episode_length": float(np.mean(lengths)),
            }
        return {"episodes": len(finished), **self._means}

    def get_state(self) -> list[tuple[float, int]]:
        """Return the episodes."""
        return list(self._latest)

    def set_state(self, state: Sequence[Sequence[float]]) -> None:
        """Restore what `get_state` returned."""
        self._latest.clear()
        self._latest.extend((episode[0], int(episode[1])) for episode in state)
        self._means = None if self._latest else {}
