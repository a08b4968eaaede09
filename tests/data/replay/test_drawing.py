"""Which transitions are drawn: how often, with what weights, and the same after a restart."""

import copy

import numpy as np
import pytest
import torch

from poke.data.replay.drawing import EPSILON, Prioritized, Uniform


def told(capacity, alpha, rng, *, beta=0.5, rounds=30):
    """A drawing that was told of many errors, and the priorities by definition."""
    drawing = Prioritized(capacity, alpha, beta)
    priority, greatest = np.zeros(capacity), 1.0
    for k in range(rounds):
        # New ones, as one environment adds them, or many.
        new = (np.arange([1, 3, capacity][k % 3]) + rng.integers(capacity)) % capacity
        drawing.add(new)
        priority[new] = greatest
        places = rng.integers(capacity, size=rng.integers(1, 9))
        error = rng.exponential(3.0, size=len(places)).astype(np.float32)
        drawing.tell(places, error)
        for place, wrong in zip(places, error, strict=True):  # the last of equal ones counts
            priority[place] = (float(wrong) + EPSILON) ** alpha
        greatest = max(greatest, max((error.astype(float) + EPSILON) ** alpha))
    return drawing, priority


@pytest.mark.parametrize("capacity", [1, 2, 3, 7, 64, 100, 1000])
@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_transitions_are_drawn_in_proportion_to_their_priorities(capacity, alpha):
    rng = np.random.default_rng(capacity)
    drawing, priority = told(capacity, alpha, rng)
    num_draws, batch = 1000, 50
    drawn = [drawing.draw(batch, capacity, rng)[0] for _ in range(num_draws)]
    count = np.bincount(np.concatenate(drawn), minlength=capacity)
    chance = priority / priority.sum()
    mean = chance * num_draws * batch
    # Six deviations of a binomial, and some room for what is hardly ever drawn; ranges of equal mass only narrow it.
    assert (np.abs(count - mean) <= 6 * np.sqrt(mean) + 4).all()


def test_a_batch_has_one_of_each_range_of_equal_mass():
    drawing = Prioritized(64, 1.0, 0.5)
    drawing.add(np.arange(64))
    places, _ = drawing.draw(16, 64, np.random.default_rng(0))
    assert (places // 4).tolist() == list(range(16))


def test_what_has_no_priority_is_never_drawn():
    rng = np.random.default_rng(0)
    for _ in range(200):
        capacity = int(rng.integers(2, 300))
        some = np.flatnonzero(rng.random(capacity) < 0.1)
        if not len(some):
            continue
        drawing = Prioritized(capacity, 0.5, 0.5)
        drawing.add(some)
        drawing.tell(some, rng.exponential(10.0 ** rng.integers(-8, 8), len(some)))
        places, weight = drawing.draw(512, capacity, rng)
        assert np.isin(places, some).all()
        assert np.isfinite(weight).all()


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_weights_take_the_bias_away(beta):
    rng = np.random.default_rng(3)
    drawing, priority = told(50, 0.7, rng, beta=beta)
    places, weight = drawing.draw(32, 50, rng)
    by_definition = (50 * priority[places] / priority.sum()) ** -beta
    np.testing.assert_allclose(weight, by_definition / by_definition.max(), rtol=1e-5)
    assert weight.dtype == np.float32
    if beta == 1.0:  # then a weighted mean is the plain one
        values = rng.normal(size=50)
        sums = np.zeros(2)
        for _ in range(4000):
            places, _ = drawing.draw(32, 50, rng)
            weight = 1 / (50 * priority[places] / priority.sum())
            sums += (weight * values[places]).mean(), 1
        assert sums[0] / sums[1] == pytest.approx(values.mean(), abs=0.02)


def test_errors_that_are_not_finite_change_nothing():
    rng = np.random.default_rng(0)
    drawing, _ = told(20, 0.6, rng)
    before = copy.deepcopy(drawing.get_state())
    drawing.tell(np.arange(3), np.full(3, np.nan, np.float32))
    assert torch.equal(drawing.get_state()["priority"], before["priority"])
    drawing.tell(np.arange(3), np.array([np.inf, 2.0, np.nan], np.float32))
    after = drawing.get_state()
    assert after["greatest"] == before["greatest"]
    assert np.flatnonzero(after["priority"] != before["priority"]).tolist() == [1]


@pytest.mark.parametrize("capacity", [1, 2, 5, 33, 1000])
def test_a_restored_drawing_draws_the_same_bit_for_bit(capacity):
    rng = np.random.default_rng(capacity)
    drawing, _ = told(capacity, 0.6, rng)
    other = Prioritized(capacity, 0.6, 0.5)
    other.add(np.arange(capacity))
    other.set_state(copy.deepcopy(drawing.get_state()))
    for _ in range(50):
        seed = int(rng.integers(1 << 30))
        (places, weight), (others, theirs) = (
            d.draw(16, capacity, np.random.default_rng(seed)) for d in (drawing, other)
        )
        assert places.tolist() == others.tolist()
        assert weight.tolist() == theirs.tolist()
        error = rng.exponential(size=16)
        for d in (drawing, other):
            d.tell(places, error)
            d.add(places[:1])


def test_uniform_draws_any_alike():
    rng = np.random.default_rng(0)
    places, weight = Uniform().draw(20_000, 10, rng)
    assert weight is None
    assert (np.abs(np.bincount(places, minlength=10) - 2000) < 300).all()
    assert len(np.bincount(places)) == 10
