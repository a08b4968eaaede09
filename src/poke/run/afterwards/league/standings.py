"""A league's cross table with ratings, and how a terminal shows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poke.run.afterwards.league.ratings import intervals, rate
from poke.run.afterwards.league.results import Row, matrices

_CELL = 4  # letters of a share, 100 at most
_MAX_NAME = 28


@dataclass(frozen=True)
class Standings:
    """Players from the best rated to the worst, and what is known of them.

    Args:
        players: their names.
        won, drawn: ``[players, players]`` int64: battles that the first won against the second, or that nobody won.
        rating, low, high: ``[players]`` float64: Elo with its 95 % interval.
    """

    players: tuple[str, ...]
    won: npt.NDArray[np.int64]
    drawn: npt.NDArray[np.int64]
    rating: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]

    @property
    def played(self) -> npt.NDArray[np.int64]:
        """``[players, players]`` int64: battles of the two."""
        return self.won + self.won.T + self.drawn

    def share(self, i: int, j: int) -> float | None:
        """The share of battles that i won against j, None where they have not met."""
        played = self.played[i, j]
        return float(self.won[i, j] / played) if played else None


def standings(rows: Iterable[Row], players: Sequence[str], *, seed: int) -> Standings:
    """Rate players.

    Args:
        rows: of battles between them.
        players: their names.
        seed: of the bootstrap.
    """
    won, drawn = matrices(rows, players)
    rating = rate(won, drawn)
    low, high = intervals(won, drawn, seed=seed)
    order = np.argsort(-rating, kind="stable")
    both = np.ix_(order, order)
    return Standings(
        tuple(players[i] for i in order),
        won[both],
        drawn[both],
        rating[order],
        low[order],
        high[order],
    )


def text(table: Standings, width: int) -> str:
    """Return the table as lines of at most so many letters; opponents that do not fit stand in tables below.

    Args:
        table: what is shown.
        width: at least 60.
    """
    names = [_short(name) for name in table.players]
    rows = [
        f"{i + 1:2d} {name:{max(map(len, names))}} {rating:5.0f} {f'[{low:.0f}, {high:.0f}]':>12}"
        for i, (name, rating, low, high) in enumerate(
            zip(names, table.rating, table.low, table.high, strict=True)
        )
    ]
    columns = max(1, (width - len(rows[0])) // _CELL)
    blocks = []
    for start in range(0, len(names), columns):
        shown = range(start, min(start + columns, len(names)))
        head = f"{'Elo':>{len(rows[0]) - 13}}{'95 %':>13}" if start == 0 else " " * len(rows[0])
        lines = [head + "".join(f"{j + 1:{_CELL}d}" for j in shown)]
        for i, row in enumerate(rows):
            lines.append(row + "".join(_cell(table, i, j) for j in shown))
        blocks.append("\n".join(line.rstrip() for line in lines))
    drawn, played = int(table.drawn.sum()) // 2, int(table.played.sum()) // 2
    what = f"% won, who stands left against who stands above; {drawn} of {played} drawn"
    return "\n\n".join([*blocks, what])


def _cell(table: Standings, i: int, j: int) -> str:
    share = None if i == j else table.share(i, j)
    return f"{'.' if share is None else f'{100 * share:.0f}':>{_CELL}}"


def _short(name: str) -> str:
    return name if len(name) <= _MAX_NAME else f"…{name[1 - _MAX_NAME :]}"
