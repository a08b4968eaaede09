"""Reading ahead: what was expected is read meanwhile, once, and never taken for something else."""

import numpy as np
import pytest
import torch

from poke.data.demonstrations import Demonstrations
from poke.data.observed import MappedObserved
from poke.data.transitions import RecordedTransitions

from ..contracts.parts import recorded


class Counted(np.ndarray):
    """Rows, and in how many readings they were asked for."""

    asked = 0

    def __getitem__(self, key):
        type(self).asked += 1
        return np.asarray(self)[key]


@pytest.fixture
def observed():
    Counted.asked = 0
    rows = np.arange(40, dtype=np.float32).reshape(20, 2)
    return MappedObserved(rows.view(Counted), np.arange(60).reshape(20, 3) % 2 == 0, "cpu")


def check(observed, rows):
    observation, mask = observed.take(rows)
    expected = np.arange(40, dtype=np.float32).reshape(20, 2)[rows.numpy()]
    assert np.array_equal(observation.numpy(), expected)
    assert np.array_equal(mask.numpy(), (np.arange(60).reshape(20, 3) % 2 == 0)[rows.numpy()])


def test_what_was_expected_is_read_once_and_what_was_not_is_read_too(observed):
    first, second, other = (torch.tensor(rows) for rows in ([1, 5, 2], [0, 0], [7, 8]))
    observed.expect(lambda: [first, second])
    check(observed, second)
    check(observed, first)
    assert Counted.asked == 2
    check(observed, other)
    assert Counted.asked == 3
    observed.forget()
    check(observed, first)
    assert Counted.asked == 4


def test_an_error_of_reading_ahead_is_told_by_who_takes(observed):
    def broken():
        raise OSError("the disk")

    observed.expect(broken)
    with pytest.raises(OSError, match="the disk"):
        observed.take(torch.tensor([1]))


@pytest.mark.parametrize("kind", [Demonstrations, RecordedTransitions])
def test_a_source_expects_what_it_serves_next(kind, monkeypatch):
    source = kind(recorded("discrete"), batch_size=16, val_fraction=0.25)
    expected, taken = [], []
    observed = source._observed
    take = observed.take
    monkeypatch.setattr(observed, "expect", lambda following: expected.append(following()))
    monkeypatch.setattr(observed, "take", lambda rows: taken.append(rows) or take(rows))
    epoch = checked = 0
    for _ in range(40):
        expected.clear()
        source.sample()
        state = source.get_state()
        taken.clear()
        source.sample()
        if source.epoch == epoch:
            assert all(torch.equal(a, b) for a, b in zip(expected[0], taken, strict=True))
            checked += 1
        epoch = source.epoch
        again = list(taken)
        source.set_state(state)
        taken.clear()
        source.sample()
        assert all(torch.equal(a, b) for a, b in zip(again, taken, strict=True))
    assert checked > 20
