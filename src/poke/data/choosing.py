"""Which recorded episodes are learned from, and how much each of several files counts."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from poke.data.steps import DataError, Trajectories


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
        filter: ``best:SHARE``, so many of the episodes, by their undiscounted return, the earlier of equal ones first
            and one at least; or ``winners``, those that ended well for their player.
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
    best = candidates[np.argsort(-returns[candidates], kind="stable")]
    kept = best[: max(1, round(share * len(best)))]
    return np.asarray(np.isin(number, kept) & among)


class Parts:
    """Files that count as they are told to, whatever they hold.

    Args:
        part: `[N] int`, which file a row is of.
        shares: of what is served, by file.
    """

    def __init__(self, part: np.ndarray, shares: Sequence[float]) -> None:
        self._part = part
        self._shares = np.asarray(shares, np.float64) / sum(shares)

    def order(self, rows: np.ndarray, generator: torch.Generator) -> Tensor:
        """Return `[len(rows)] int64`: places in `rows`, every file's in its share, each gone through before it repeats.

        Args:
            rows: that are served.
            generator: is drawn from.

        Raises:
            DataError: a file with a share has none of the rows.
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
            rounds = -(-int(count) // len(own))
            orders = [torch.randperm(len(own), generator=generator) for _ in range(rounds)]
            served += [own[torch.cat(orders)[:count]]] if orders else []
        whole = torch.cat(served)
        return whole[torch.randperm(len(whole), generator=generator)]


def parts_of(
    data: Trajectories, episodes: Sequence[int], shares: Sequence[float] | None
) -> Parts | None:
    """Return how files count; None where each counts as much as it holds.

    Args:
        data: of all files, one after the other.
        episodes: how many each holds.
        shares: as of `Parts`.

    Raises:
        DataError: there are not as many shares as files, or one is negative.
    """
    if shares is None:
        return None
    if len(shares) != len(episodes):
        raise DataError(
            f"data.shares gives {len(shares)} shares, and data.path names {len(episodes)} files"
        )
    if min(shares) < 0 or not sum(shares):
        raise DataError("data.shares must not be negative, and not all 0")
    ends = np.cumsum(episodes)
    return Parts(np.searchsorted(ends, data.episode, side="right"), shares)
