"""What comes n decisions after each recorded one, and what all of them together were worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poke.data.files.steps import Trajectories


@dataclass(frozen=True)
class Ahead:
    """Of each row, what lies n steps ahead of it.

    Args:
        length: `[N] int64`, how many steps that is: n, or to the end of the episode.
        next: `[N] int64`, the row of the next observation; N + f where that is the f-th final one; the row itself where
            the episode terminated, or where nobody knows.
        terminated: `[N] bool`, whether the episode ended on the way.
        known: `[N] bool`, whether it is known what the steps led to.
        decided: `[N] bool`, whether something was done on the next observation.
    """

    length: np.ndarray
    next: np.ndarray
    terminated: np.ndarray
    known: np.ndarray
    decided: np.ndarray


def look_ahead(data: Trajectories, n_step: int) -> Ahead:
    """Return what lies ahead of each row of whole episodes.

    Args:
        data: an episode a player, its rows together and in order.
        n_step: n.
    """
    rows = np.arange(len(data))
    ends = np.append(np.flatnonzero(data.timestep == 0)[1:], len(data)) - 1  # last rows
    last = ends[np.cumsum(data.timestep == 0) - 1]
    length = np.minimum(n_step, last - rows + 1)
    within = rows + length <= last
    terminated = ~within & data.terminated[last]
    following = np.where(within, rows + length, rows)
    known = within | terminated
    if data.finals is not None:
        number = np.full(len(data), -1)
        number[data.finals.rows] = np.arange(len(data.finals.rows))
        final = ~within & ~terminated & (number[last] >= 0)
        following = np.where(final, len(data) + number[last], following)
        known |= final
    return Ahead(length, following, terminated, known, within)


def returns_of(data: Trajectories, gamma: float) -> np.ndarray:
    """Return `[N] float32`: each row's discounted rewards to its episode's end; where that was cut off, to there.

    Args:
        data: as of `look_ahead`.
        gamma: discount factor.
    """
    begins = np.flatnonzero(data.timestep == 0)
    lengths = np.diff(np.append(begins, len(data)))
    returns = np.zeros(len(data))
    going = np.zeros(len(begins))
    # All episodes at once, from their ends backwards.
    order = np.argsort(-lengths, kind="stable")
    begins, lengths, going = begins[order], lengths[order], going[order]
    for back in range(1, int(lengths[0]) + 1):
        count = int(np.searchsorted(-lengths, -back, side="right"))  # as long as that
        rows = begins[:count] + lengths[:count] - back
        going[:count] = data.reward[rows] + gamma * going[:count]
        returns[rows] = going[:count]
    return returns.astype(np.float32)
