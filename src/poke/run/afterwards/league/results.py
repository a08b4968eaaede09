"""What a league's battles came to: ``league.csv``, a row for so many battles of two players."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poke.run.files import write_text


@dataclass(frozen=True)
class Row:
    """Battles of two players, and what they came to.

    Args:
        first, second: who.
        first_is, second_is: fingerprints of their files, their names for scripted players: a run that has been trained
            on is another player.
        format: of the battles.
        teams: fingerprint of the file of teams, '' where the format draws its own.
        seed: of the battles.
        start: the first battle's number; they follow one another.
        battles: how many.
        won, drawn, lost: by the first, of these.
        turns: of all of them.
        refused: choices that the simulator did not take from the one of the two that is a run, the first if both are.
    """

    first: str
    second: str
    first_is: str
    second_is: str
    format: str
    teams: str
    seed: int
    start: int
    battles: int
    won: int
    drawn: int
    lost: int
    turns: int
    refused: int

    @property
    def begin(self) -> tuple[object, ...]:
        """Who plays what, and from which battle on: no two rows of a file have the same."""
        return tuple(asdict(self).values())[: _NAMES.index("battles")]


_NAMES = [field.name for field in fields(Row)]
_NUMBERS = {field.name for field in fields(Row) if field.type == "int"}


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a file, none where there is none.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no league's.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    try:
        read = csv.DictReader(io.StringIO(text), strict=True)
        if read.fieldnames != _NAMES:
            raise ValueError(f"its columns are not {', '.join(_NAMES)}")
        return [_row(values) for values in read]
    except (ValueError, TypeError, csv.Error) as error:
        raise ValueError(f"{path} is no league's: {' '.join(str(error).split())}") from None


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Replace a file's rows, whole or not at all.

    Raises:
        OSError: the file system refused; what stood there stands.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, _NAMES, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_text(path, text.getvalue())


def matrices(
    rows: Iterable[Row], players: Sequence[str]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return who won how often against whom, and how often nobody did, both ``[players, players]``."""
    place = {name: i for i, name in enumerate(players)}
    won, drawn = np.zeros((2, len(players), len(players)), np.int64)
    for row in rows:
        i, j = place[row.first], place[row.second]
        won[i, j] += row.won
        won[j, i] += row.lost
        drawn[i, j] += row.drawn
        drawn[j, i] += row.drawn
    return won, drawn


def _row(values: Mapping[str, str]) -> Row:
    return Row(**{n: int(v) if n in _NUMBERS else v for n, v in values.items()})  # type: ignore[arg-type]
