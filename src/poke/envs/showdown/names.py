"""Opponents by the names that a config gives them. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCRIPTED = ("random", "max_base_power", "simple_heuristics")  # players of the worker's
SELF, LEAGUE = "self", "league"  # the policy that learns, and its past


class BattleError(ValueError):
    """Battles that cannot be played as asked for; the message is one line."""


def shares_of(opponent: Any) -> dict[str, float]:
    """Return opponents with their shares of the battles, which need not add up to anything.

    Args:
        opponent: a name, which has all; or a mapping of names to shares.

    Raises:
        BattleError: it is neither, or nobody has a share.
    """
    if isinstance(opponent, str) and opponent:
        return {opponent: 1.0}
    shares = opponent if isinstance(opponent, Mapping) else {}
    numbers = [n for n in shares.values() if isinstance(n, int | float) and math.isfinite(n)]
    if not shares or len(numbers) < len(shares) or min(numbers) < 0 or not sum(numbers):
        raise BattleError(
            "env.opponent is a name, or names with shares of the battles, as in "
            f"{{simple_heuristics: 80, self: 4}}, not {opponent!r}"
        )
    return {str(name): float(share) for name, share in shares.items() if share}


def is_run(name: str) -> bool:
    """Whether a name of an opponent is the place of a run."""
    return name not in (*SCRIPTED, SELF, LEAGUE)


def label(name: str) -> str:
    """Return an opponent's name as metrics have it: of a run its last part alone."""
    return Path(name).name if is_run(name) else name


def first_win_rate(opponents: Any) -> str:
    """Return the metric of evaluation that tells how often the first of its opponents is beaten."""
    first = opponents if isinstance(opponents, str) else next(iter(opponents or ()), "nobody")
    return f"eval/{label(str(first))}/win_rate"
