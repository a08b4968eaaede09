"""Means and variances that every rank learns a part of."""

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
    """What ranks knew in common before each learned more by itself, until they join that.

    Args:
        moments: the same on every rank by now.
        ranks: the processes that learn together.
    """

    def __init__(self, moments: Moments, ranks: Ranks) -> None:
        self._moments, self._ranks = moments, ranks
        self._count = moments.count
        self._mean, self._variance = moments.mean.copy(), moments.variance.copy()

    def join(self) -> None:
        """Make the moments those of what all ranks have seen, together."""
        moments, shape = self._moments, self._mean.shape
        # Sums around the common mean: around 0 a small variance beside a large mean would be lost.
        shift = moments.mean - self._mean
        own = [moments.count, moments.count * shift, moments.count * (moments.variance + shift**2)]
        before = [self._count, 0 * shift, self._count * self._variance]
        flat, common = (np.concatenate([np.ravel(part) for part in sums]) for sums in (own, before))
        total = self._ranks.whole(flat[None]).sum(axis=0) - (self._ranks.size - 1) * common
        moments.count = float(total[0])
        shift, square = (part.reshape(shape) / moments.count for part in np.split(total[1:], 2))
        moments.mean = self._mean + shift
        moments.variance = square - shift**2
