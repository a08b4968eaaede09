"""Battles side by side, each between a learner and an opponent, moved on until the learner is to decide."""

from __future__ import annotations

import string
from typing import Protocol

import numpy as np

from poke.envs.showdown import layout
from poke.envs.showdown.battles.plans import Plan
from poke.envs.showdown.pipes.workers import ASKED, ENDED, LOST, REFUSED, BattleWorkers, Start

# A choice as one letter: the 26 actions of the first seat, then those of the second.
_LETTERS = string.ascii_lowercase + string.ascii_uppercase
_NUM_ACTIONS = 26


class Trained(Protocol):
    """Opponents whose decisions are made on this side of the pipes."""

    def choose(
        self, name: str, tables: np.ndarray, observation: np.ndarray, mask: np.ndarray
    ) -> np.ndarray:
        """Return an action for each table."""
        ...

    def begin(self, table: int) -> None:
        """Forget what was remembered of the battle before."""
        ...


class Tables:
    """Battles under way. What is known of each learner's decision stands in the arrays, a row a table.

    Trained opponents decide only while the learner of their battle is not to: what they choose depends on the order
    of a battle's choices and on which battles were moved together, and on neither workers nor time.

    Args:
        workers: play.
        num_actions: of the generation.
        trained: opponents that are none of the worker's.
    """

    def __init__(self, workers: BattleWorkers, num_actions: int, trained: Trained) -> None:
        self._workers = workers
        self._trained = trained
        self._bits = np.arange(num_actions, dtype=np.uint32)
        num = workers.num_battles
        self.observation = np.zeros((num, 2, layout.SIZE), np.int8)
        self.mask = np.zeros((num, 2, num_actions), np.bool_)
        self.asked = np.zeros((num, 2), np.bool_)
        self.seat = np.zeros(num, np.int64)  # the learner's, and all below likewise
        self.potential = np.zeros(num, np.float32)
        self.outcome = np.zeros(num, np.int64)
        self.ended = np.zeros(num, np.bool_)
        self.lost = np.zeros(num, np.bool_)  # with the worker that played it
        self.was_refused = np.zeros(num, np.bool_)  # its last choice, and it is asked again
        self.turn = np.zeros(num, np.int64)
        self.num_refused = np.zeros(num, np.int64)
        self.opponent_action = np.zeros(num, np.int64)
        self.plans: list[Plan | None] = [None] * num

    def begin(self, table: int, plan: Plan, choices: str = "") -> None:
        """Begin a battle when `wait` is called next; the one before is forgotten.

        Args:
            table: where.
            plan: of the battle.
            choices: already made in it, as `choices` returned them.
        """
        self.plans[table] = plan
        self.seat[table] = plan.seat
        self.asked[table] = False
        self.ended[table] = self.lost[table] = self.was_refused[table] = False
        self.potential[table] = self.turn[table] = self.num_refused[table] = 0
        self.opponent_action[table] = 0
        if not choices:
            self._trained.begin(table)
        replay = tuple(divmod(_LETTERS.index(choice), _NUM_ACTIONS) for choice in choices)
        self._workers.begin([Start(table, plan.seed, plan.players, replay)])

    def choices(self, table: int) -> str:
        """Return all choices that were asked for in a table's battle, refused ones included, a letter each."""
        replay = self._workers.state_of(table).replay
        return "".join(_LETTERS[seat * _NUM_ACTIONS + action] for seat, action in replay)

    def answer(self, tables: np.ndarray, actions: np.ndarray) -> None:
        """Choose for the learners of these tables, who have all been asked."""
        self._choose(tables, self.seat[tables], actions)

    def wait(self, tables: np.ndarray) -> None:
        """Let battles go on until each learner of these tables is asked, or its battle has ended or is lost."""
        while True:
            asked = self.asked[tables, self.seat[tables]]
            going_on = tables[~(asked | self.ended[tables] | self.lost[tables])]
            if not going_on.size:
                return
            self._let_opponents_choose(going_on)
            self._take(self._workers.exchange())

    def _let_opponents_choose(self, tables: np.ndarray) -> None:
        due = tables[self.asked[tables, 1 - self.seat[tables]]]
        if not due.size:
            return
        names = np.array([plan.opponent for t in due if (plan := self.plans[t]) is not None])
        for name in np.unique(names):
            chosen = due[names == name]
            seats = 1 - self.seat[chosen]
            seen, mask = self.observation[chosen, seats], self.mask[chosen, seats]
            self._choose(chosen, seats, self._trained.choose(str(name), chosen, seen, mask))

    def _choose(self, tables: np.ndarray, seats: np.ndarray, actions: np.ndarray) -> None:
        self._workers.choose(tables, seats, actions)
        self.asked[tables, seats] = False

    def _take(self, records: np.ndarray) -> None:
        """Note what the workers tell."""
        tables, seats, flags = records["battle"].astype(np.int64), records["seat"], records["flags"]
        # In two steps, so that only what was asked is copied.
        asked = np.flatnonzero(flags & ASKED)
        places = tables[asked], seats[asked]
        self.observation[places] = records["observation"][asked]
        self.mask[places] = records["mask"][asked, None] >> self._bits & 1
        self.asked[places] = True
        lost = tables[flags & LOST != 0]
        self.lost[lost], self.asked[lost] = True, False
        own = np.flatnonzero((seats == self.seat[tables]) & (flags & LOST == 0))
        tables, flags = tables[own], flags[own]
        self.ended[tables] = flags & ENDED != 0
        self.was_refused[tables] = flags & REFUSED != 0
        self.outcome[tables] = records["outcome"][own]
        self.potential[tables] = records["potential"][own]
        self.turn[tables] = records["turn"][own]
        self.num_refused[tables] = records["refused"][own]
        self.opponent_action[tables] = records["opponent_action"][own]
