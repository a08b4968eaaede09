"""What battles came to, and how that is said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from poke.envs.showdown.battles.evaluation import wilson
from poke.envs.showdown.installation import ShowdownError


@dataclass
class Tally:
    """What battles came to so far; the names are those that a progress bar asks for.

    Attributes:
        battles: that have ended and count.
        forfeited: that were given up because it was time to go; they do not count.
        dropped: that do not count because they broke, and `last_fault` how.
        given_up: why those were that count and that the player gave up.
    """

    battles: int = 0
    won: int = 0
    drawn: int = 0
    turns: int = 0
    decisions: int = 0
    refused: int = 0
    late: int = 0
    seconds: float = 0.0
    forfeited: int = 0
    dropped: int = 0
    last_fault: str = ""
    given_up: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether no battle is over."""
        return not (self.battles or self.forfeited or self.dropped)

    def add(self, played: Any) -> None:
        """Count a battle, a `poke.envs.showdown.server.seat.Played`."""
        self.battles += 1
        self.won += played.outcome > 0
        self.drawn += played.outcome == 0
        self.turns += played.turns
        self.decisions += played.decisions
        self.refused += played.refused
        self.late += played.late
        self.seconds += played.seconds
        if played.fault is not None:
            self.given_up.append(_said(played.fault))

    def take(self, seat: Any) -> None:
        """Take note of a battle that is over, a `poke.envs.showdown.server.seat.Seat`, however it came to that."""
        if seat.outcome is None:
            self.dropped += 1
            self.last_fault = _said(seat.fault)
        elif seat.is_forfeited and seat.fault is None:
            self.forfeited += 1
        else:
            self.add(seat.result())

    def drop(self, fault: Exception) -> None:
        """Take note of a battle that does not count.

        Raises:
            ShowdownError: there are too many of them.
        """
        self.dropped += 1
        self.last_fault = _said(fault)
        if self.dropped > 10 + self.battles // 20:
            raise ShowdownError(f"too many battles break: {self.last_fault}")

    def report(self, who: str) -> list[str]:
        """Return the lines that say it.

        Args:
            who: plays whom, in which format.
        """
        lines = [] if self.battles else ["no battle was played"]
        if self.battles:
            low, high = wilson(self.won, self.battles)
            lines += [
                f"{who}: won {self.won} of {self.battles}, {100 * self.won / self.battles:.1f} % "
                f"[{100 * low:.1f}, {100 * high:.1f}], {self.drawn} drawn",
                f"{self.turns / self.battles:.1f} turns a battle, {self.refused} choices refused, "
                f"{self.seconds / max(1, self.decisions):.4f} seconds a decision",
            ]
        if self.late:
            lines.append(f"{self.late} decisions took too long: simple_heuristics' choice was made")
        if self.given_up:
            lines.append(f"{len(self.given_up)} of them given up (last: {self.given_up[-1]})")
        if self.forfeited:
            lines.append(f"{self.forfeited} battles more were forfeited, and do not count")
        if self.dropped:
            lines.append(f"{self.dropped} battles more do not count (last: {self.last_fault})")
        return lines

    def print(self, who: str) -> None:
        """Print `report`."""
        for line in self.report(who):
            print(line, flush=True)


def told(seat: Any) -> str:
    """Return the line of a battle that is over, a `poke.envs.showdown.server.seat.Seat`."""
    against = f"against {seat.opponent or 'nobody'}"
    if seat.outcome is None:
        how = f"lost sight of the battle {against} ({_line(seat.fault)})"
    elif seat.is_forfeited:
        how = f"forfeited {against}" + (f" ({_line(seat.fault)})" if seat.fault else "")
    else:
        how = f"{('drawn', 'won', 'lost')[seat.outcome]} {against}"
    return f"{how} in {seat.turns} turns: {seat.room}"


def _said(fault: Exception) -> str:
    return f"{type(fault).__name__}: {_line(fault)}"


def _line(fault: Exception) -> str:
    return " ".join(str(fault).split())
