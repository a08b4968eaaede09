"""Battles of a script instead of a simulator, for what real ones do too rarely to wait for."""

from dataclasses import dataclass, replace

import numpy as np

from poke.envs.showdown.pipes.workers import ASKED, ENDED, LOST, RECORD, REFUSED


@dataclass(frozen=True)
class Turn:
    """What happens at one point of a battle.

    Args:
        asked: seats.
        refused: actions that are refused, by seat; they vanish from the mask.
        potential: of the first seat, when it is asked.
    """

    asked: tuple[int, ...] = (0, 1)
    refused: tuple[tuple[int, int], ...] = ()
    potential: float = 0.0


class ScriptedWorkers:
    """As `BattleWorkers`: every battle follows the same turns, and the first seat wins it.

    The first byte of an observation is the turn's number, the second the seat.
    """

    def __init__(self, turns, num_battles, num_actions=4):
        self.turns = turns
        self.num_battles = num_battles
        self.taken = []  # (battle, turn, seat, action), refused ones not
        self.lose_now = ()  # battles to be lost at the next exchange
        self.num_lost = 0
        self._all = (1 << num_actions) - 1
        self._starts = {}
        self._queued = {}
        self._battles = {}
        self._closed = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def begin(self, starts):
        for start in starts:
            self._starts[start.battle] = start
            self._queued[start.battle] = None

    def choose(self, battles, seats, actions):
        for battle, seat, action in zip(
            *(np.atleast_1d(a).tolist() for a in (battles, seats, actions)), strict=True
        ):
            state = self._battles[battle]
            assert seat in state["open"], "not asked"
            assert state["masks"][seat] >> action & 1, "not legal"
            state["open"].discard(seat)
            state["chosen"][seat] = action
            self._queued[battle] = None
            start = self._starts[battle]
            self._starts[battle] = replace(start, replay=(*start.replay, (seat, action)))

    def state_of(self, battle):
        return self._starts[battle]

    def exchange(self, *, wait_for_all=True):
        records = []
        queued, self._queued = sorted(self._queued), {}
        for battle in queued:
            if battle not in self._battles:
                self._enter(battle, 0)
                records += [self._record(battle, seat) for seat in self._asked(battle)]
                continue
            records += self._move(battle)
        self.num_lost += len(self.lose_now)
        for battle in self.lose_now:
            records = [record for record in records if record["battle"] != battle]
            records += [self._bare(battle, seat, LOST) for seat in range(2)]
            self._battles.pop(battle, None)
        self.lose_now = ()
        return np.array(records, RECORD) if records else np.empty(0, RECORD)

    def close(self):
        self._closed = True

    def _asked(self, battle):
        players = self._starts[battle].players
        turn = self.turns[self._battles[battle]["turn"]]
        return [seat for seat in turn.asked if players[seat] == "asked"]

    def _enter(self, battle, turn):
        self._battles[battle] = {
            "turn": turn,
            "masks": [self._all] * 2,
            "chosen": {},
            "refused": self._battles.get(battle, {}).get("refused", [0, 0]),
        }
        self._battles[battle]["open"] = set(self._asked(battle))

    def _move(self, battle):
        state = self._battles[battle]
        if state["open"]:
            return []
        turn, refused = self.turns[state["turn"]], []
        for seat, action in list(state["chosen"].items()):
            if (seat, action) in turn.refused:
                del state["chosen"][seat]
                state["masks"][seat] &= ~(1 << action)
                state["refused"][seat] += 1
                state["open"].add(seat)
                refused.append(seat)
        if refused:
            return [self._record(battle, seat, REFUSED) for seat in refused]
        self.taken += [
            (battle, state["turn"], seat, a) for seat, a in sorted(state["chosen"].items())
        ]
        for turn in range(state["turn"] + 1, len(self.turns)):
            self._enter(battle, turn)
            if asked := self._asked(battle):  # else it is the scripted player's alone
                return [self._record(battle, seat) for seat in asked]
        del self._battles[battle]
        ends = [self._bare(battle, seat, ENDED, outcome) for seat, outcome in enumerate((1, -1))]
        for seat, end in enumerate(ends):
            end["refused"] = state["refused"][seat]
        return ends

    def _bare(self, battle, seat, flags, outcome=0):
        record = np.zeros((), RECORD)
        record["battle"], record["seat"], record["flags"], record["outcome"] = (
            battle,
            seat,
            flags,
            outcome,
        )
        return record

    def _record(self, battle, seat, flags=0):
        state = self._battles[battle]
        record = self._bare(battle, seat, ASKED | flags)
        record["mask"] = state["masks"][seat]
        potential = self.turns[state["turn"]].potential
        # A teacher's advice is the legal action with the lowest number.
        taught = self._starts[battle].teachers[seat]
        record["advice"] = (
            (int(record["mask"]) & -int(record["mask"])).bit_length() - 1 if taught else 255
        )
        record["potential"] = potential if seat == 0 else -potential
        record["refused"] = state["refused"][seat]
        record["turn"] = state["turn"]
        record["opponent_action"] = state["turn"]
        record["observation"][:2] = state["turn"], seat
        return record
