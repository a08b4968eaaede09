"""Which formats are played; the others are refused by name."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

_GENERATION = re.compile(r"gen([1-9])[a-z0-9]+")
_NOT_SINGLES = ("doubles", "triples", "multi", "vgc", "freeforall", "2v2")


class FormatError(ValueError):
    """A format that is not played, or teams that are not valid in it; the message is one line."""


def generation(battle_format: str) -> int:
    """Return the generation that a format is played in, by its name alone.

    Raises:
        FormatError: it is no format's name, or that of a format of more than one Pokemon a side. A name that passes
            may still be refused by the simulator, which alone knows all formats.
    """
    found = _GENERATION.fullmatch(battle_format)
    if not found:
        raise FormatError(
            f"format {battle_format} is unknown: formats are named as gen1randombattle is"
        )
    for kind in _NOT_SINGLES:
        if kind in battle_format:
            raise FormatError(
                f"format {battle_format} is not played: it is {kind}, only singles are"
            )
    return int(found.group(1))


def read_teams(path: str | Path) -> dict[str, str]:
    """Return a file of teams as workers take it.

    Raises:
        FormatError: it cannot be read.
    """
    try:
        return {"name": str(path), "text": Path(path).read_text()}
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise FormatError(f"teams {path} cannot be read: {str(why).lower()}") from None


def refusal(said: dict[str, Any]) -> FormatError:
    """Return a worker's refusal as an error, with the nearest name of a format that is played."""
    message, wanted = said["message"], said["message"].split()[1]
    near = difflib.get_close_matches(wanted, said["known"], n=1)
    return FormatError(f"{message}: did you mean {near[0]}?" if near else message)
