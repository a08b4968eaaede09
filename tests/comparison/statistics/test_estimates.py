import math

import numpy as np
import pytest

from poke.comparison.statistics import estimates

scipy_stats = pytest.importorskip("scipy.stats", reason="scipy is the oracle of these tests")


def samples(*sizes, scale=0.1):
    generator = np.random.default_rng(3)
    return [generator.normal(place, scale, size) for place, size in enumerate(sizes)]


@pytest.mark.parametrize("size", [4, 5, 10, 37])
def test_interquartile_mean_is_the_trimmed_mean(size):
    (values,) = samples(size)

    assert estimates.interquartile_mean(values) == pytest.approx(
        scipy_stats.trim_mean(values, 0.25)
    )


@pytest.mark.parametrize("statistic", [estimates.mean, estimates.interquartile_mean])
@pytest.mark.parametrize("size", [5, 10, 30])
def test_intervals_agree_with_scipy(size, statistic):
    (values,) = samples(size, scale=0.02)

    ours = estimates.interval([values], statistic)
    oracle = scipy_stats.bootstrap(
        (values,),
        lambda sample, axis: statistic(np.moveaxis(sample, axis, -1)),
        method="percentile",
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    ).confidence_interval

    assert ours == pytest.approx((oracle.low, oracle.high), abs=1e-3)


def test_difference_intervals_agree_with_scipy():
    first, second = samples(8, 12, scale=0.02)

    ours = estimates.difference_interval([first], [second])
    oracle = scipy_stats.bootstrap(
        (first, second),
        lambda one, two, axis: one.mean(axis=axis) - two.mean(axis=axis),
        method="percentile",
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    ).confidence_interval

    assert ours == pytest.approx((oracle.low, oracle.high), abs=1e-3)


def test_strata_are_resampled_each_by_itself():
    low, high = np.array([0.0, 0.0, 0.0]), np.array([1.0, 1.0, 1.0])

    assert estimates.interval([low, high]) == (0.5, 0.5)
    assert estimates.interval([np.concatenate([low, high])]) != (0.5, 0.5)


def test_intervals_are_the_same_each_time():
    (values,) = samples(6)

    assert estimates.interval([values]) == estimates.interval([values])


@pytest.mark.parametrize("sizes", [(2, 2), (3, 5), (10, 4), (50, 60)])
@pytest.mark.parametrize("shift", [0.0, 0.05, 0.3, 5.0])
def test_welch_agrees_with_scipy(sizes, shift):
    first, second = samples(*sizes)
    second = 3 * (second - 1) + shift

    oracle = scipy_stats.ttest_ind(first, second, equal_var=False).pvalue

    assert estimates.welch_p(first, second) == pytest.approx(oracle, rel=1e-9, abs=1e-300)


def test_welch_is_silent_without_spread_or_repeats():
    assert math.isnan(estimates.welch_p(np.array([1.0]), np.array([1.0, 2.0])))
    assert math.isnan(estimates.welch_p(np.array([1.0, 1.0]), np.array([2.0, 2.0])))


def test_holm_multiplies_by_the_number_of_comparisons_left():
    adjusted = estimates.holm([0.04, 0.01, math.nan, 0.03, 0.9])

    assert adjusted[:2] == pytest.approx([0.09, 0.04])
    assert math.isnan(adjusted[2])
    assert adjusted[3:] == pytest.approx([0.09, 0.9])


def test_probability_of_improvement_agrees_with_mann_whitney():
    first, second = samples(7, 9)
    first = np.round(first + 1, 1)
    second = np.round(second, 1)
    oracle = scipy_stats.mannwhitneyu(first, second).statistic / (7 * 9)

    assert estimates.improvement(first, second, "max") == pytest.approx(oracle)
    assert estimates.improvement(first, second, "min") == pytest.approx(1 - oracle)


def test_few_values_get_no_interval():
    assert math.isnan(estimates.estimate([np.array([1.0, 2.0])]).low)
    assert math.isnan(estimates.estimate([np.array([1.0, 2.0, 3.0])]).iqm)
    assert math.isnan(estimates.estimate([np.array([1.0])]).std)
    assert math.isnan(estimates.estimate([np.array([1.0, np.nan, 2.0])]).mean)
