"""Pieces of episodes, for policies with a memory. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from poke.data.files.steps import Trajectories


class Sequences:
    """Pieces of episodes, of one length but for each episode's last.

    Args:
        episodes: their rows.
        length: of a piece.
        is_chosen: `[rows]` bool: what is learned from. A piece without any is left out.
    """

    def __init__(self, episodes: Sequence[range], length: int, is_chosen: np.ndarray) -> None:
        begins = [range(rows.start, rows.stop, length) for rows in episodes]
        self._begin = np.concatenate([np.asarray(part, np.int64) for part in begins])
        ends = np.repeat([rows.stop for rows in episodes], [len(part) for part in begins])
        self._end = np.minimum(self._begin + length, ends)
        self._length = length
        self._is_chosen = is_chosen
        before = np.concatenate([[0], np.cumsum(is_chosen)])
        has_some = before[self._end] > before[self._begin]
        self._begin, self._end = self._begin[has_some], self._end[has_some]

    def __len__(self) -> int:
        return len(self._begin)

    def rows(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of sequences by number, and which of them are real: both `[time, len(numbers)]`.

        After a sequence's end its last row is repeated.
        """
        last = self._end[numbers] - 1
        rows = self._begin[numbers] + np.arange(self._length)[:, None]
        within = np.minimum(rows, last)
        return within, (rows <= last) & self._is_chosen[within]


def episodes_of(data: Trajectories) -> list[range]:
    """Return the rows of each player's episodes, in the file's order."""
    begins = np.flatnonzero(data.timestep == 0).tolist()
    return [range(a, b) for a, b in zip(begins, [*begins[1:], len(data)], strict=True)]


def side_by_side(episodes: Sequence[range], batch_size: int) -> Iterator[list[range]]:
    """Yield episodes in turn, as many together as padded to one length have so many rows; one at least."""
    together: list[range] = []
    for rows in episodes:
        longest = max(len(rows), *map(len, together), 0)
        if together and longest * (len(together) + 1) > batch_size:
            yield together
            together = []
        together.append(rows)
    yield together
