"""All that one player saw and thought of one battle, in order: what terminals and pages are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from poke.envs.showdown.pipes.lines import LineDecision

# Of a player's channel, what nobody watches: what is asked of it, and when.
_NOT_SHOWN = ("|request|", "|t:|", "|inactive|", "|inactiveoff|", "|debug|")


@dataclass(frozen=True)
class Thoughts:
    """What a policy thought at one decision.

    Args:
        probabilities: ``[num_actions]`` float32, 0 where illegal.
        value: how well it expects to do from here on; None where it judges no states.
    """

    probabilities: npt.NDArray[np.float32]
    value: float | None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Thoughts | None:
        """Return what a policy's `act` told with ``return_info``, None where it tells no probabilities."""
        if "probabilities" not in told:
            return None
        value = told.get("value")
        probabilities = np.asarray(told["probabilities"], np.float32)
        return cls(probabilities, None if value is None else float(value))


@dataclass(frozen=True)
class Moment:
    """One decision.

    Args:
        decision: what had to be chosen.
        thoughts: None where nobody was asked: of an only choice, of a person's.
        action: that was chosen, None for the order of a team.
        choice: as it was sent, such as ``move 2 mega``.
        num_lines: of the chronicle's lines, those that came before it.
    """

    decision: LineDecision
    thoughts: Thoughts | None
    action: int | None
    choice: str
    num_lines: int


@dataclass
class Chronicle:
    """What one player saw and thought of one battle; fill it as the battle goes.

    Args:
        battle_format: such as ``gen1randombattle``.
        player: whose it is: ``p1`` or ``p2``.
        names: of p1 and p2, as far as known; the lines tell them too.
        agent: what the player's policy is called; '' for a person.
        opponent: what the other's is called; '' where only its name is known.
        on_change: called after every decision and at the end, with the chronicle; None for nobody.

    Attributes:
        lines: what was public, as this player was sent it.
        moments: its decisions.
        outcome: 1 won, 0 drawn, -1 lost; None until the battle has ended.
    """

    battle_format: str
    player: str
    names: tuple[str, str] = ("", "")
    agent: str = ""
    opponent: str = ""
    on_change: Callable[[Chronicle], None] | None = None
    lines: list[str] = field(default_factory=list, init=False)
    moments: list[Moment] = field(default_factory=list, init=False)
    outcome: int | None = field(default=None, init=False)

    def line(self, line: str) -> None:
        """Take a line of the protocol as this player was sent it; what is not public is left out."""
        line = line.rstrip("\r\n")
        if line.startswith(_NOT_SHOWN):
            return
        self.lines.append(line)
        if line.startswith(("|player|p1|", "|player|p2|")):
            _, _, seat, name, *_ = line.split("|")
            if name:  # who leaves after the end has none
                first, second = self.names
                self.names = (name, second) if seat == "p1" else (first, name)

    def decided(
        self, decision: LineDecision, thoughts: Thoughts | None, action: int | None, choice: str
    ) -> None:
        """Take a decision, after the lines that came before it.

        Args:
            decision: what had to be chosen.
            thoughts: None where nobody was asked.
            action: that was chosen; None where nobody was asked.
            choice: as it was sent.
        """
        if action is None and decision.mask.sum() == 1:
            action = int(decision.mask.argmax())
        self.moments.append(Moment(decision, thoughts, action, choice, len(self.lines)))
        self._change()

    def ended(self, outcome: int) -> None:
        """Take the end of the battle: 1 won, 0 drawn, -1 lost."""
        self.outcome = outcome
        self._change()

    def _change(self) -> None:
        if self.on_change is not None:
            self.on_change(self)
