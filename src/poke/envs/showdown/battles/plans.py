"""What decides a battle before its first choice: seeds, who sits where, and who the opponent is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from poke.envs.showdown.names import SCRIPTED
from poke.envs.showdown.pipes.workers import Seeds


@dataclass(frozen=True)
class Plan:
    """A battle to be played. With the choices made in it, it is the battle's whole state.

    Args:
        seed: as of `poke.envs.showdown.pipes.workers.Start`.
        seat: the learner's, 0 or 1.
        opponent: who is met.
    """

    seed: Seeds
    seat: int
    opponent: str

    @property
    def players(self) -> tuple[str, str]:
        """Who decides in either seat: a scripted player's name, or ``asked``."""
        other = self.opponent if self.opponent in SCRIPTED else "asked"
        return ("asked", other) if self.seat == 0 else (other, "asked")

    def to_state(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Plan:
        """Return what `to_state` was taken of."""
        return cls(**{**state, "seed": tuple(state["seed"])})
