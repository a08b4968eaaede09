"""Means and variances that each of several processes learns a part of."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from poke.distributed.ranks import Ranks


class Moments(Protocol):
    """Mean and variance of everything seen so far, see `poke.spaces.RunningMoments`."""

    mean: np.ndarray
    variance: np.ndarray
    count: float


class CommonMoments:
    """What several processes knew in common before each learned more by itself, until that is joined.

    Args:
        moments: the same in every process by now.
    """

    def __init__(self, moments: Moments) -> None:
        self._moments = moments
        self._count = moments.count
        self._mean, self._variance = moments.mean.copy(), moments.variance.copy()

    def join(self, ranks: Ranks) -> None:
        """Make the moments those of what all ranks have seen, together."""
        self.take(ranks.whole(self.sums()[None]))

    def sums(self) -> np.ndarray:
        """Return what the moments hold by now, `[1 + 2 * size]` float64, as `take` takes it."""
        moments = self._moments
        # Around the common mean: around 0 a small variance beside a large mean would be lost.
        shift = moments.mean - self._mean
        return _flat(
            moments.count, moments.count * shift, moments.count * (moments.variance + shift**2)
        )

    def take(self, sums: np.ndarray) -> None:
        """Make the moments those of what several processes have seen.

        Args:
            sums: `[processes, 1 + 2 * size]`, what `sums` returned in each of them.
        """
        moments, shape = self._moments, self._mean.shape
        common = _flat(self._count, 0 * self._mean, self._count * self._variance)
        total = sums.sum(axis=0) - (len(sums) - 1) * common
        moments.count = float(total[0])
        shift, square = (part.reshape(shape) / moments.count for part in np.split(total[1:], 2))
        moments.mean = self._mean + shift
        moments.variance = square - shift**2


def _flat(count: float, *sums: np.ndarray) -> np.ndarray:
    return np.concatenate([[count], *(part.reshape(-1) for part in map(np.asarray, sums))])
