"""Let a policy play on somebody's server: against who challenges it, against one it challenges, or on the ladder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.pipes.lines import LineWorker
from poke.envs.showdown.server.places import Account, user_id
from poke.envs.showdown.server.players import Playing, PolicyPlayer
from poke.envs.showdown.server.seat import Seat

ACCEPT, CHALLENGE, LADDER = "accept", "challenge", "ladder"
_PATIENCE_SECONDS = 300.0  # a server gives who is away five minutes, all together
_BEGIN_SECONDS = 30.0  # from an accepted challenge to its battle
_DECLINED_SECONDS = 10.0  # from a challenge that is no more to the battle that has come of it
_AGAIN_SECONDS = 10.0  # between challenges, where a server wants that
_GOODBYE_SECONDS = 10.0  # for the ends of forfeited battles
# What servers say of a challenge or search that stands already, of one that comes too soon after another, and
# of who is not there.
_STANDS = ("You are already challenging", "Couldn't search: You are already searching")
_TOO_SOON, _AWAY = "less than 10 seconds", "was not found"


@dataclass(frozen=True)
class Visit:
    """Where a policy plays, and whom.

    Args:
        websocket_url: of the server.
        login: address of the login server.
        account: under which it plays.
        playing: how.
        how: `ACCEPT`, `CHALLENGE` or `LADDER`.
        challenged: who is, if `how` says so.
        battles: how many; None: until it is cancelled.
        concurrency: at a time.
        timer: ask for the server's timer in each battle.
    """

    websocket_url: str
    login: str
    account: Account
    playing: Playing
    how: str
    challenged: str
    battles: int | None
    concurrency: int
    timer: bool


async def play(
    visit: Visit, *, on_result: Callable[[Seat], None], say: Callable[[str], None]
) -> None:
    """Play battles; cancel it to stop: battles under way are forfeited then, and challenges taken back.

    Args:
        visit: where, and whom.
        on_result: called with every battle that is over, however it came to that.
        say: told in a line what a user should know.

    Raises:
        ShowdownError: the server cannot be reached or does not let the player in; the connection is lost for longer
            than a battle would wait; nobody is there to be challenged.
    """
    with LineWorker() as worker:
        stay: _Stay | None = None

        def on_lost(why: str) -> None:
            if stay is not None:
                stay.lose(why)

        player = PolicyPlayer(
            visit.account,
            visit.websocket_url,
            visit.playing,
            worker,
            login=visit.login,
            patience_seconds=_PATIENCE_SECONDS,
            timer=visit.timer,
            on_login=lambda: say(f"{visit.websocket_url} has let {visit.account.name} in"),
            on_lost=on_lost,
            on_refused=lambda name, other: say(f"{name} challenges to {other}: not accepted"),
        )
        stay = _Stay(visit, player, on_result, say)
        try:
            await stay.last()
        except asyncio.CancelledError:
            await stay.say_goodbye()
            raise
        finally:
            stay.end()
            await player.leave()


class _Stay:
    """Keeps so many battles going, until enough have ended."""

    def __init__(
        self,
        visit: Visit,
        player: PolicyPlayer,
        on_result: Callable[[Seat], None],
        say: Callable[[str], None],
    ) -> None:
        self._visit = visit
        self._player = player
        self._on_result = on_result
        self._say = say
        self._ended = 0
        self._has_begun = False  # any battle
        self._refusal: Exception | None = None  # why nobody is asked any more
        self._overs: dict[asyncio.Task[Any], Seat] = {}
        self._beginning = asyncio.create_task(player.begun.get())
        self._inviting: asyncio.Task[None] | None = None

    async def last(self) -> None:
        """Play until enough battles have ended, or nobody is left to play.

        Raises:
            ShowdownError: as of `play`.
        """
        while self._is_wanted(0) or self._overs:
            if self._inviting is None and self._is_wanted(len(self._overs)):
                self._inviting = asyncio.create_task(self._invite())
            waited: set[asyncio.Task[Any]] = {self._player.listening, self._beginning, *self._overs}
            if self._inviting is not None:
                waited.add(self._inviting)
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            self._settle()
        if self._refusal is not None:
            raise self._refusal

    async def say_goodbye(self) -> None:
        """Forfeit what is under way and wait for its end, but not for long."""
        if not self._player.logged_in.is_set():
            return
        await self._player.take_back(self._visit.challenged)
        await self._player.give_up()
        if self._overs:
            await asyncio.wait(self._overs, timeout=_GOODBYE_SECONDS)
        self._settle_ended()

    def end(self) -> None:
        """Wait for nothing any more; tell of battles that have no end."""
        for task in (self._beginning, self._inviting, *self._overs):
            if task is not None:
                task.cancel()
        for seat in self._overs.values():
            seat.lose(ShowdownError("it was left"))
            self._on_result(seat)

    def _is_wanted(self, playing: int) -> bool:
        """Whether another battle is, where so many are played."""
        if self._refusal is not None or playing >= self._visit.concurrency:
            return False
        return self._visit.battles is None or self._ended + playing < self._visit.battles

    def _settle(self) -> None:
        """Take note of all that has happened."""
        self._settle_ended()
        if self._beginning.done():
            seat = self._beginning.result()
            self._has_begun = True
            self._overs[asyncio.create_task(seat.over.wait())] = seat
            self._beginning = asyncio.create_task(self._player.begun.get())
            self._uninvite()  # it was for this battle, or there may be enough now
        if self._player.listening.done():
            self._player.listening.result()
            raise ShowdownError("the connection to the server is lost")
        if self._inviting is not None and self._inviting.done():
            error = self._inviting.exception()
            if isinstance(error, ShowdownError):
                self._refusal = error
            elif error is not None:
                raise error
            self._inviting = None

    def _settle_ended(self) -> None:
        for task in [task for task in self._overs if task.done()]:
            seat = self._overs.pop(task)
            self._ended += seat.outcome is not None
            self._on_result(seat)
            if isinstance(seat.fault, ShowdownError) and not seat.is_gone:
                raise seat.fault  # the worker that reads battles

    def lose(self, why: str) -> None:
        """Take note that the connection is lost, and with it all challenges."""
        self._say(f"the connection is lost ({why}): trying again")
        _empty(self._player.challengers)
        self._uninvite()

    def _uninvite(self) -> None:
        if self._inviting is not None:
            self._inviting.cancel()
            self._inviting = None

    async def _invite(self) -> None:
        """See to it that a battle begins; cancelled when one does, and when the connection is lost.

        Raises:
            ShowdownError: the server says why it cannot.
        """
        player, visit = self._player, self._visit
        tries_left = round(_PATIENCE_SECONDS / _AGAIN_SECONDS)
        while True:
            await player.logged_in.wait()
            if visit.how == ACCEPT:
                name = await player.challengers.get()
                _empty(player.popups)
                await player.accept_challenge(name)
                said = await self._answer(_BEGIN_SECONDS)
                self._say(f"the challenge of {name} comes to nothing: {said}")
                continue
            _empty(player.popups)
            _empty(player.declined)
            if visit.how == CHALLENGE:
                await player.send_challenge(visit.challenged)
            else:
                await player.search()
            said = await self._answer(None)
            while said.startswith(_STANDS):
                said = await self._answer(None)
            # Who has been played may be away for as long as a lost connection takes to be mended.
            tries_left -= 1
            if not (_TOO_SOON in said or (_AWAY in said and self._has_begun and tries_left)):
                raise ShowdownError(f"the server says: {said}")
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _answer(self, seconds: float | None) -> str:
        """Wait for what the server has against a battle.

        Args:
            seconds: after which nothing will come of it; None: it may take as long as it likes.
        """
        popup = asyncio.create_task(self._player.popups.get())
        declined = asyncio.create_task(self._decline())
        tasks: set[asyncio.Task[Any]] = {popup, declined}
        try:
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if popup.done():
                return popup.result()
            if declined.done():
                return f"{self._visit.challenged} declined the challenge"
            return f"no battle begins within {seconds:g} seconds"
        finally:
            for task in tasks:
                task.cancel()

    async def _decline(self) -> None:
        """Wait until the challenged one has declined: the challenge is no more, and no battle begins."""
        challenged = user_id(self._visit.challenged)
        while await self._player.declined.get() != challenged or not challenged:
            continue
        await asyncio.sleep(_DECLINED_SECONDS)


def _empty(queue: asyncio.Queue[str]) -> None:
    while not queue.empty():
        queue.get_nowait()
