"""Ratings of players from the battles between them.

The model of Bradley and Terry, "Rank Analysis of Incomplete Block Designs", Biometrika 1952, on the scale of Elo, "The
Rating of Chessplayers, Past and Present", 1978: who is rated 400 points above another beats it ten times as often. A
drawn battle is half a battle won. The ratings are the most probable ones, by Newton's method; their mean is 1,000.

The intervals are from a bootstrap (Efron, "Bootstrap Methods: Another Look at the Jackknife", The Annals of Statistics
1979): the battles of each two are drawn again, with replacement, and rated.

Deliberate deviation: between every two that have met one battle more is counted, half won by either, and is drawn again
with the others: else who has won all battles would be rated infinitely high, and with certainty.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

MEAN = 1000.0
_SCALE = 400 / math.log(10)
_PRIOR = 0.5  # battles won by either of two, besides those played
_MAX_STEPS = 100
_MAX_MOVE = 1.0  # of Newton's, in logits: far from the maximum it leaps too far
_SMALL = 1e-9


def rate(won: npt.ArrayLike, drawn: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return ratings.

    Args:
        won: ``[..., players, players]``: battles that the first won against the second.
        drawn: likewise, the same both ways.

    Returns:
        ``[..., players]`` float64.
    """
    wins, draws = np.asarray(won, np.float64), np.asarray(drawn, np.float64)
    played = wins + np.swapaxes(wins, -1, -2) + draws
    met = played > 0
    score = wins + draws / 2 + _PRIOR * met
    played = played + 2 * _PRIOR * met
    strength = np.zeros(played.shape[:-1])
    for _ in range(_MAX_STEPS):
        chance = 1 / (1 + np.exp(strength[..., None, :] - strength[..., :, None]))
        slope = (score - played * chance).sum(axis=-1)
        bend = played * chance * (1 - chance)
        # Ones all over: they fix the mean, which no battle tells of.
        hessian = np.eye(played.shape[-1]) * bend.sum(axis=-1)[..., None] - bend + 1.0
        move = np.linalg.solve(hessian, slope[..., None])[..., 0].clip(-_MAX_MOVE, _MAX_MOVE)
        strength = strength + move
        if np.abs(move).max(initial=0) < _SMALL:
            break
    return MEAN + _SCALE * (strength - strength.mean(axis=-1, keepdims=True))


def intervals(
    won: npt.ArrayLike, drawn: npt.ArrayLike, *, seed: int, samples: int = 1000
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the ends of the ratings' 95 % intervals, each ``[players]`` float64.

    Args:
        won: as of `rate`, ``[players, players]`` int64.
        drawn: as of `rate`, ``[players, players]`` int64.
        seed: of the bootstrap.
        samples: of it.
    """
    wins, draws = np.asarray(won, np.int64), np.asarray(drawn, np.int64)
    generator = np.random.default_rng(seed)
    drawn_wins = np.zeros((samples, *wins.shape))
    drawn_draws = np.zeros_like(drawn_wins)
    for i, j in zip(*np.triu_indices(len(wins), 1), strict=True):
        counts = np.array([wins[i, j], draws[i, j], wins[j, i]])
        if not counts.sum():
            continue
        chances = (counts + np.array([_PRIOR, 0, _PRIOR])) / (counts.sum() + 2 * _PRIOR)
        again = generator.multinomial(counts.sum(), chances, size=samples)
        drawn_wins[:, i, j], drawn_wins[:, j, i] = again[:, 0], again[:, 2]
        drawn_draws[:, i, j] = drawn_draws[:, j, i] = again[:, 1]
    low, high = np.quantile(rate(drawn_wins, drawn_draws), [0.025, 0.975], axis=0)
    return low, high
