"""Battles that are played to be counted: so many of them, side by side, each to its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from poke.envs.showdown.battles.plans import Plan
from poke.envs.showdown.battles.tables import Tables
from poke.envs.showdown.installation import ShowdownError

_TRIES = 3  # of a battle whose worker dies


@dataclass
class Tally:
    """What battles came to, for who is the learner of their plans."""

    battles: int = 0
    won: int = 0
    drawn: int = 0
    turns: int = 0
    refused: int = 0

    def add(self, outcome: int, turns: int, refused: int) -> None:
        """Count a battle.

        Args:
            outcome: 1 won, 0 drawn, -1 lost.
            turns: begun.
            refused: choices of the learner's that the simulator did not take.
        """
        self.battles += 1
        self.won += outcome > 0
        self.drawn += outcome == 0
        self.turns += turns
        self.refused += refused


@dataclass(frozen=True)
class ScriptedPlan(Plan):
    """A battle whose learner's seat is a scripted player's too: nobody is asked on this side of the pipes.

    Args:
        player: of the worker's.
    """

    player: str = ""

    @property
    def players(self) -> tuple[str, str]:
        """Who decides in either seat."""
        both = (self.player, self.opponent)
        return both if self.seat == 0 else both[::-1]


def play_all(
    tables: Tables,
    plans: Sequence[Plan],
    policy: Any,
    *,
    generator: np.random.Generator | None = None,
    on_end: Callable[[int, int, int], None],
) -> None:
    """Play battles, as many side by side as there are tables; one whose worker dies is played again.

    Args:
        tables: where; a battle's course does not depend on how many there are.
        plans: of the battles.
        policy: the learner of all of them; None where every plan is a `ScriptedPlan`.
        generator: what the policy's choices are drawn from; None: it chooses what is most probable.
        on_end: called with each battle's outcome for the learner, turns and refused choices, in the order in which they
            end. What it raises ends the playing.

    Raises:
        ShowdownError: a battle was lost with its worker again and again.
    """
    memory = None if policy is None else policy.initial_state(len(tables.plans))
    schedule = _Schedule(tables, plans, on_end)
    awaited = schedule.begin(memory)
    while awaited.size:
        tables.wait(awaited)
        due = schedule.settle(memory)
        if not due.size:  # all have just begun
            awaited = schedule.playing
            continue
        seats = tables.seat[due]
        state: Any = None if memory is None else memory.copy(due)
        choice = policy.choose(
            tables.observation[due, seats],
            action_mask=tables.mask[due, seats],
            state=state,
            explore=generator is not None,
            generator=generator,
        )
        if memory is not None:
            memory.values[due] = state.values
        tables.answer(due, choice.action)
        # What has just begun is asked by then too, without being waited for.
        awaited = due


class _Schedule:
    """Hands the battles out to the tables."""

    def __init__(
        self, tables: Tables, plans: Sequence[Plan], on_end: Callable[[int, int, int], None]
    ) -> None:
        self._tables = tables
        self._plans = plans
        self._on_end = on_end
        self._next = 0
        self._tries = np.zeros(len(tables.plans), np.int64)
        self.playing = np.arange(min(len(plans), len(tables.plans)))

    def begin(self, memory: Any) -> np.ndarray:
        """Begin at every table, and return these."""
        for table in self.playing.tolist():
            self._begin(table, memory)
        return self.playing

    def settle(self, memory: Any) -> np.ndarray:
        """Tell of what has ended, begin what comes next, and return the tables whose policy is asked.

        Raises:
            ShowdownError: a battle was lost with its worker again and again.
        """
        tables, done = self._tables, []
        for table in self.playing[tables.lost[self.playing]].tolist():
            self._tries[table] += 1
            plan = tables.plans[table]
            if self._tries[table] == _TRIES or plan is None:
                raise ShowdownError(f"a battle was lost {_TRIES} times: {plan}")
            _forget(memory, table)
            tables.begin(table, plan)
        for table in self.playing[tables.ended[self.playing]].tolist():
            self._on_end(
                int(tables.outcome[table]), int(tables.turn[table]), int(tables.num_refused[table])
            )
            if self._next < len(self._plans):
                self._begin(table, memory)
            else:
                done.append(table)
        self.playing = np.setdiff1d(self.playing, done)
        return self.playing[tables.asked[self.playing, tables.seat[self.playing]]]

    def _begin(self, table: int, memory: Any) -> None:
        _forget(memory, table)
        self._tries[table] = 0
        self._tables.begin(table, self._plans[self._next])
        self._next += 1


def _forget(memory: Any, table: int) -> None:
    if memory is not None:
        memory.reset([table])
