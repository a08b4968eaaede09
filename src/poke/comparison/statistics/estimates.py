"""Statistics for a few seeds: intervals by bootstrap, interquartile means, and comparisons with a baseline.

Stratified bootstrap, interquartile mean and probability of improvement follow Agarwal et al. 2021,
"Deep reinforcement learning at the edge of the statistical precipice"; Welch's test follows Colas
et al. 2019, "A hitchhiker's guide to statistical comparisons of reinforcement learning algorithms".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

NUM_RESAMPLES = 9999
CONFIDENCE = 0.95

Statistic = Callable[[np.ndarray], np.ndarray]


def mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over the last axis."""
    return values.mean(axis=-1)


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over the last axis of what is left when a quarter is cut off either end."""
    num = values.shape[-1]
    cut = int(0.25 * num)
    return np.sort(values, axis=-1)[..., cut : num - cut].mean(axis=-1)


def resample(strata: Sequence[np.ndarray], generator: np.random.Generator) -> np.ndarray:
    """Draw bootstrap samples, each stratum from its own values.

    Args:
        strata: arrays ``[num_values] float64``, values that are repeats of one another.
        generator: the source of chance.

    Returns:
        ``[NUM_RESAMPLES, total number of values] float64``.
    """
    return np.concatenate(
        [
            values[generator.integers(0, len(values), (NUM_RESAMPLES, len(values)))]
            for values in strata
        ],
        axis=-1,
    )


def interval(strata: Sequence[np.ndarray], statistic: Statistic = mean) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of a statistic; equal input gives equal output.

    Args:
        strata: arrays ``[num_values] float64``, resampled each by itself.
        statistic: reduces the last axis.
    """
    return _percentiles(statistic(resample(strata, np.random.default_rng(0))))


class Estimate(NamedTuple):
    """What a few repeats tell of a mean.

    Args:
        n: number of values.
        mean: their mean.
        std: their standard deviation (with n - 1), NaN for one value.
        low: lower end of the 95 % interval of the mean, NaN below three values.
        high: its upper end.
        iqm: interquartile mean, NaN below four values.
    """

    n: int
    mean: float
    std: float
    low: float
    high: float
    iqm: float


def estimate(strata: Sequence[np.ndarray]) -> Estimate:
    """Return what the values tell, resampling each stratum by itself."""
    values = np.concatenate(strata)
    finite = bool(np.isfinite(values).all())
    low, high = interval(strata) if len(values) >= 3 and finite else (math.nan, math.nan)
    return Estimate(
        len(values),
        float(values.mean()),
        float(values.std(ddof=1)) if len(values) > 1 and finite else math.nan,
        low,
        high,
        float(interquartile_mean(values)) if len(values) >= 4 and finite else math.nan,
    )


def difference_interval(
    strata: Sequence[np.ndarray], baseline: Sequence[np.ndarray], statistic: Statistic = mean
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a statistic's difference to a baseline's."""
    generator = np.random.default_rng(0)
    return _percentiles(
        statistic(resample(strata, generator)) - statistic(resample(baseline, generator))
    )


def improvement(values: np.ndarray, baseline: np.ndarray, mode: str) -> float:
    """Return the probability that a run drawn from ``values`` is better than one drawn from ``baseline``.

    Args:
        values: ``[num_values] float64``.
        baseline: ``[num_baseline] float64``.
        mode: ``min`` or ``max``, which way is better. A tie counts half.
    """
    sign = 1.0 if mode == "max" else -1.0
    gaps = sign * (values[:, None] - baseline[None, :])
    return float((gaps > 0).mean() + 0.5 * (gaps == 0).mean())


def welch_p(first: np.ndarray, second: np.ndarray) -> float:
    """Return the two-sided p-value of Welch's unequal-variances t-test.

    Args:
        first: ``[num_first] float64``.
        second: ``[num_second] float64``.

    Returns:
        The p-value; NaN with fewer than two values on a side or no spread at all.
    """
    if min(len(first), len(second)) < 2:
        return math.nan
    errors = np.array([first.var(ddof=1) / len(first), second.var(ddof=1) / len(second)])
    total = errors.sum()
    if not total > 0:
        return math.nan
    t = (first.mean() - second.mean()) / math.sqrt(total)
    freedom = total**2 / (errors**2 / (np.array([len(first), len(second)]) - 1)).sum()
    return _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values (Holm 1979); a NaN stays NaN and counts as no comparison."""
    order = sorted((p, index) for index, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    highest = 0.0
    for rank, (p, index) in enumerate(order):
        highest = max(highest, min(1.0, p * (len(order) - rank)))
        adjusted[index] = highest
    return adjusted


def _percentiles(samples: np.ndarray) -> tuple[float, float]:
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(samples, [tail, 100 - tail])
    return float(low), float(high)


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function by Lentz's continued fraction (DLMF 8.17.22)."""
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side of the mean
        return 1.0 - _incomplete_beta(b, a, 1.0 - x)
    tiny = 1e-300
    numerator, denominator = 1.0, 1.0 / max(1.0 - (a + b) * x / (a + 1), tiny)
    fraction = denominator
    for m in range(1, 500):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            denominator = 1.0 / (1.0 + term * denominator or tiny)
            numerator = 1.0 + term / numerator or tiny
            fraction *= denominator * numerator
        if abs(denominator * numerator - 1.0) < 1e-14:
            break
    scale = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    return math.exp(scale) * fraction / a
