"""One battle of a player on a server: its lines in, its choices out."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from poke.envs.showdown.pipes.hearing import Hearing
from poke.envs.showdown.pipes.lines import LineDecision, LineError, LineTracker, LineWorker
from poke.envs.showdown.server.mind import Mind
from poke.envs.showdown.server.places import said, user_id
from poke.envs.showdown.watching import Chronicle

ADVISER = "simple_heuristics"  # whose choice is made when a policy's time is over
_REFUSED = ("|error|[Invalid choice]", "|error|[Unavailable choice]")
# Of choices that crossed with what made them pointless: they refuse nothing.
_POINTLESS = (
    "|error|[Invalid choice] There's nothing to choose",
    "|error|[Invalid choice] Sorry, too late",
)
# What comes whether a battle goes on or not.
_NO_PROGRESS = ("|error|", "|request|", "|inactive|", "|c|", "|j|", "|l|")
_ENDS = ("|win|", "|tie")

Send = Callable[[str, str, str | None], Awaitable[None]]
Watcher = Callable[[str, str], Chronicle]  # of a format and a seat


@dataclass(frozen=True)
class Played:
    """What became of a battle.

    Args:
        outcome: 1 won, 0 drawn, -1 lost.
        turns: begun.
        decisions: of the policy.
        refused: choices that the server did not take.
        late: decisions whose time was over.
        seconds: spent on the decisions.
        fault: why the policy's player gave it up: it is lost then; None where it did not.
    """

    outcome: int
    turns: int
    decisions: int
    refused: int
    late: int
    seconds: float
    fault: Exception | None = None


class Seat:
    """A player's place in one battle. What it hears is read by `play`, in order.

    A choice that the server refuses leaves fewer legal actions, and the policy is asked again. After a lost connection
    the server sends the battle's whole log once more, and the request that stands: all that is known of the battle
    begins anew with them.

    Attributes:
        room: where it is played.
        fault: what went wrong, for which it was given up or let go.
        is_gone: it was let go, and has no end.
        is_forfeited: this player has given it up, for a fault or because it was told to.
        outcome: 1 won, 0 drawn, -1 lost; None until it has ended.
        opponent: the other's name, as far as known.
        turns, num_decisions, num_refused: so far.
        num_late: decisions whose time was over.
        seconds: spent on decisions, from the request on until the choice is sent.
        over: set when it has ended or is gone.
        has_heard_end: what it has heard, if not read yet, holds the battle's end.

    Args:
        room: as above.
        name: of the player.
        battle_format: such as ``gen1randombattle``.
        mind: decides.
        worker: reads it.
        send: sends a message to a room, with the number of the request it answers.
        watcher: returns what is told of everything; None where nobody watches.
    """

    def __init__(
        self,
        room: str,
        *,
        name: str,
        battle_format: str,
        mind: Mind,
        worker: LineWorker,
        send: Send,
        watcher: Watcher | None = None,
    ) -> None:
        self.room = room
        self.fault: Exception | None = None
        self.is_gone = self.is_forfeited = False
        self.outcome: int | None = None
        self.opponent = ""
        self.turns = self.num_decisions = self.num_refused = self.num_late = 0
        self.seconds = 0.0
        self.over = asyncio.Event()
        self.has_heard_end = False
        self._name = name
        self._format = battle_format
        self._mind = mind
        self._worker = worker
        self._send = send
        self._messages: asyncio.Queue[list[str]] = asyncio.Queue()
        self._early: list[str] = []  # lines from before its seat was known
        self._tracker: LineTracker | None = None
        self._hearing: Hearing | None = None
        self._was_forced = False
        self._has_chosen = False  # what the request of this message asks for
        self._watcher = watcher
        self._chronicle: Chronicle | None = None
        self._num_updates = 0  # heard since the battle, or its log, began
        self._num_known = -1  # of these, that had been told before the log began

    def hear(self, lines: list[str]) -> int:
        """Take a message of its room, and return how many of its lines tell of a battle going on."""
        self._messages.put_nowait(lines)
        self.has_heard_end |= any(line.startswith(_ENDS) for line in lines)
        return sum(not line.startswith(_NO_PROGRESS) for line in lines)

    async def play(self) -> None:
        """Play the battle to its end."""
        try:
            while not self.over.is_set():
                await self._take(await self._messages.get())
        finally:
            if self._tracker is not None:
                self._tracker.close()

    def result(self) -> Played:
        """Return what became of it, once it has ended; given up for a fault it is lost."""
        assert self.outcome is not None
        return Played(
            self.outcome if self.fault is None else -1,
            self.turns,
            self.num_decisions,
            self.num_refused,
            self.num_late,
            self.seconds,
            self.fault,
        )

    async def give_up(self, fault: Exception | None = None) -> None:
        """Forfeit it, for this reason, or because it is time to go."""
        if not self.is_forfeited and not self.over.is_set():
            self.fault, self.is_forfeited = fault, True
            await self._send("/forfeit", self.room, None)

    def lose(self, fault: Exception) -> None:
        """Let go of it: it will have no end, for this reason."""
        if not self.over.is_set():
            self.fault, self.is_gone = fault, True
            self.over.set()

    async def _take(self, lines: list[str]) -> None:
        if lines and lines[0].startswith("|init|battle"):
            self._begin()
        elif lines and lines[0].startswith(("|deinit", "|noinit")):
            self.lose(LookupError("the server has closed its room"))
            return
        self._has_chosen = any(line.startswith("|sentchoice|") for line in lines)
        try:
            for line in lines:
                await self._read(line)
            if self._hearing is not None:
                await self._decide(self._hearing.pause())
        except Exception as error:
            await self.give_up(error)
        if self._hearing is not None:
            self.turns = self._hearing.turn
            if self._hearing.result:
                await self._end(self._hearing.result)

    def _begin(self) -> None:
        if self._tracker is not None:
            self._tracker.close()
            self._num_known, self._num_updates = self._num_updates, 0
        self._early = []
        self._tracker = None

    async def _read(self, line: str) -> None:
        if self._tracker is None:
            self._early.append(line)
            player = self._seat(line)
            if player:
                self._sit(player)
                for one in self._early:
                    await self._read(one)
            return
        assert self._hearing is not None
        self._tell(line)
        if line.startswith("|player|"):
            self._note_opponent(line)
        if line.startswith(_POINTLESS):
            return
        decision = self._hearing.read(line)
        if line.startswith(_REFUSED):
            self.num_refused += 1
            if self._was_forced:
                raise LineError(f"the server refuses the only choice: {said(line)}")
            if line.startswith(_REFUSED[0]):
                # The request stands; where a choice is unavailable another one comes.
                decision = self._tracker.decision()
        await self._decide(decision)

    def _sit(self, player: str) -> None:
        """Begin to follow the battle, from a seat."""
        before = None if self._hearing is None else self._hearing.requests_first
        self._tracker = self._worker.follow(self._format, player, before)
        self._hearing = Hearing(self._tracker, before)
        if self._watcher is not None and self._chronicle is None:
            self._chronicle = self._watcher(self._format, player)

    def _seat(self, line: str) -> str:
        """Return the seat that a line gives to this player, '' where it gives none."""
        kind, _, rest = line.removeprefix("|").partition("|")
        if kind == "request" and rest:
            return str((json.loads(rest) or {}).get("side", {}).get("id", ""))
        seat, _, name = rest.partition("|")
        mine = kind == "player" and user_id(name.partition("|")[0]) == user_id(self._name)
        return seat if mine else ""

    def _note_opponent(self, line: str) -> None:
        name = line.split("|")[3:4]
        if name and name[0] and user_id(name[0]) != user_id(self._name):
            self.opponent = said(name[0])

    def _tell(self, line: str) -> None:
        """Hand a line to who watches, but once: a log that comes again begins with what has been told."""
        self._num_updates += line.startswith("|t:|")  # each update begins so
        is_news = self._num_updates > self._num_known or line.startswith(_ENDS)
        if self._chronicle is not None and is_news:
            self._chronicle.line(line)

    async def _decide(self, decision: LineDecision | None) -> None:
        if decision is None or self.is_forfeited or self._has_chosen:
            return
        assert self._hearing is not None
        assert self._tracker is not None
        begun = time.perf_counter()
        choice, action, thoughts = decision.forced, None, None
        if choice and not decision.mask.any():
            choice = await self._mind.order() or choice
        self._was_forced = choice == decision.forced != ""
        if not choice:
            chosen = await self._mind.choose(decision)
            if chosen is None:
                self.num_late += 1
                chosen = self._tracker.advice(ADVISER), None
            action, thoughts = chosen
            choice = self._tracker.choice(action)
            self.num_decisions += not decision.refused
        if self._chronicle is not None:
            self._chronicle.decided(decision, thoughts, action, choice)
        number = json.loads(self._hearing.request).get("rqid")
        await self._send(f"/choose {choice}", self.room, None if number is None else str(number))
        self.seconds += time.perf_counter() - begun

    async def _end(self, result: str) -> None:
        winner = user_id(result.removeprefix("|win|")) if result.startswith("|win|") else ""
        self.outcome = (1 if winner == user_id(self._name) else -1) if winner else 0
        if self._chronicle is not None:
            self._chronicle.ended(self.outcome)
        self.over.set()
        await self._send(f"/leave {self.room}", "", None)
