"""What an import finds in files of logs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class ImportedSide:
    """One player's decisions of a battle.

    Args:
        player: 0 where it is p1, 1 where p2.
        rows: of `poke.envs.showdown.replays.importer.ROW`.
        outcome: 1 won, 0 drawn, -1 lost.
        name: the player's.
        rating: the player's, None where the log does not say.
    """

    player: int
    rows: npt.NDArray[np.void]
    outcome: int
    name: str
    rating: int | None


@dataclass(frozen=True)
class ImportedBattle:
    """A battle, by either player or both."""

    sides: list[ImportedSide]


@dataclass(frozen=True)
class LeftOut:
    """A file, or what of it was not taken.

    Args:
        path: of the file.
        line: that tells why, from 1 on; 0 for the whole file.
        reason: in words.
    """

    path: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}{f':{self.line}' if self.line else ''}: {self.reason}"


@dataclass
class Summary:
    """What an import found.

    Args:
        files: that were looked at.
        battles: that were taken.
        decisions: in rows.
        unknown: of them, those whose choice the log does not tell.
        below: players that were left out because of their rating.
        left_out: files, with what is wrong with them.
    """

    files: int = 0
    battles: int = 0
    decisions: int = 0
    unknown: int = 0
    below: int = 0
    left_out: list[LeftOut] = field(default_factory=list)
