"""What ranks have seen apart is, joined, what one would have seen."""

import threading

import numpy as np

from poke.distributed.moments import CommonMoments
from poke.spaces import RunningMoments


class Pair:
    """Two ranks in two threads, which put arrays together."""

    size = 2

    def __init__(self, rank, parts, barrier):
        self.rank, self._parts, self._barrier = rank, parts, barrier

    def whole(self, own, axis=0):
        self._parts[self.rank] = own
        self._barrier.wait(60)
        return np.concatenate(self._parts, axis)


def test_joined_moments_are_those_of_everything_that_was_seen():
    draw = np.random.default_rng(0)
    seen = 1e4 + draw.standard_normal((3, 2, 40, 5)) * [1e-2, 1, 10, 1, 1]  # a mean far from 0
    one, ranks = RunningMoments((5,)), [RunningMoments((5,)) for _ in range(2)]
    for round_ in seen:
        barrier, parts = threading.Barrier(2), [None, None]
        common = [CommonMoments(m) for m in ranks]
        pairs = [Pair(r, parts, barrier) for r in range(2)]
        for moments, part in zip(ranks, round_, strict=True):
            moments.update(part)
            one.update(part)
        threads = [
            threading.Thread(target=each.join, args=(pair,))
            for each, pair in zip(common, pairs, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for moments in ranks:
        np.testing.assert_allclose(moments.mean, one.mean, rtol=1e-12)
        np.testing.assert_allclose(moments.variance, one.variance, rtol=1e-6)
        assert abs(moments.count - one.count) < 1e-6
    np.testing.assert_array_equal(ranks[0].variance, ranks[1].variance)
