"""Which recorded episodes are learned from, and how often each file and each episode is served."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from poke.data.files.described import DataError
from poke.data.files.fingerprint import spread
from poke.data.files.steps import Trajectories


def check_filter(text: str) -> float | None:
    """Return the share that ``best:SHARE`` names; None for ``winners``.

    Raises:
        DataError: it is neither.
    """
    if text == "winners":
        return None
    found = re.fullmatch(r"best:(0?\.\d+|1|1\.0*)", text)
    if not found or not float(found[1]):
        raise DataError(f"data.filter must be winners, or best:SHARE as in best:0.1, not '{text}'")
    return float(found[1])


def chosen_rows(data: Trajectories, filter: str, among: np.ndarray) -> np.ndarray:
    """Return `[N] bool`: the rows of the episodes that a filter keeps, an episode a player.

    Args:
        data: whole episodes.
        filter: ``best:SHARE``, so many of the episodes, by their undiscounted return, of equal ones some from all over
            the recording, and one at least; or ``winners``, those that ended well for their player.
        among: `[N] bool`, rows of whole episodes that are chosen among.

    Raises:
        DataError: the filter is neither, or nobody won.
    """
    share = check_filter(filter)
    number = np.cumsum(data.timestep == 0) - 1
    if share is None:
        won = (data.outcome == 1) & among
        if not won.any():
            raise DataError("data.filter=winners: no episode that is trained on was won")
        return won
    returns = np.bincount(number, weights=data.reward)
    candidates = np.unique(number[among])
    # Of a game that is won or lost most returns are equal: the first of them would be one player's, or an early one's.
    best = candidates[np.lexsort((spread(candidates), -returns[candidates]))]
    kept = best[: max(1, round(share * len(best)))]
    return np.asarray(np.isin(number, kept) & among)


class Parts:
    """Files and episodes that count as they are told to, whatever they hold.

    Args:
        part: `[N] int`, which file a row is of.
        shares: of what is served, by file.
        weight: `[N] float32`, how often a row is served, relative to others of its file; None: all alike.
    """

    def __init__(
        self, part: np.ndarray, shares: Sequence[float], weight: np.ndarray | None = None
    ) -> None:
        self._part = part
        self._shares = np.asarray(shares, np.float64) / sum(shares)
        self._weight = weight

    def order(self, rows: np.ndarray, generator: torch.Generator) -> Tensor:
        """Return `[len(rows)] int64`: places in `rows`, every file's in its share, each gone through before it repeats.

        By weights, each as often as these say, to within one.

        Args:
            rows: that are served.
            generator: is drawn from.

        Raises:
            DataError: a file with a share has none of the rows, or all of its are weighted 0.
        """
        ends = np.round(np.cumsum(self._shares) * len(rows)).astype(int)
        counts = np.diff(ends, prepend=0)
        served = []
        for number, count in enumerate(counts):
            own = torch.from_numpy(np.flatnonzero(self._part[rows] == number))
            if not len(own):
                if count:
                    raise DataError(f"data.shares: file {number + 1} has nothing to train on")
                continue
            if self._weight is not None:
                weight = self._weight[rows[own.numpy()]]
                served.append(own[_by_weight(weight, int(count), generator)])
                continue
            rounds = -(-int(count) // len(own))
            orders = [torch.randperm(len(own), generator=generator) for _ in range(rounds)]
            served += [own[torch.cat(orders)[:count]]] if orders else []
        whole = torch.cat(served)
        return whole[torch.randperm(len(whole), generator=generator)]


def _by_weight(weight: np.ndarray, count: int, generator: torch.Generator) -> Tensor:
    """Return `[count] int64`: places in `weight`, each as often as its share of the count, rounded up or down.

    Systematic sampling (Carpenter, Clifford and Fearnhead, "Improved Particle Filter for Nonlinear Problems", 1999):
    equal weights serve everything once, as without any.
    """
    total = float(weight.sum(dtype=np.float64))
    if not total and count:
        raise DataError("every episode that is trained on is weighted 0")
    ends = np.cumsum(weight, dtype=np.float64) * (count / total if total else 0.0)
    ends[-1] = count  # whatever rounding made of it
    offset = torch.rand(1, generator=generator, dtype=torch.float64).item()
    times = np.diff(np.ceil(ends - offset), prepend=0.0).astype(np.int64)
    return torch.from_numpy(np.repeat(np.arange(len(weight)), times))


def parts_of(
    data: Trajectories, episodes: Sequence[int], shares: Sequence[float] | None
) -> Parts | None:
    """Return how files and episodes count; None where everything is served alike.

    Args:
        data: of all files, one after the other.
        episodes: how many each holds.
        shares: as of `Parts`.

    Raises:
        DataError: there are not as many shares as files, or one is negative.
    """
    if shares is None:
        if data.weight is None:
            return None
        return Parts(np.zeros(len(data), np.int64), [1.0], data.weight)
    if len(shares) != len(episodes):
        raise DataError(
            f"data.shares gives {len(shares)} shares, and data.path names {len(episodes)} files"
        )
    if min(shares) < 0 or not sum(shares):
        raise DataError("data.shares must not be negative, and not all 0")
    ends = np.cumsum(episodes)
    return Parts(np.searchsorted(ends, data.episode, side="right"), shares, data.weight)
