"""A policy as a user of a Showdown server: it challenges, is challenged, and plays several battles at a time.

Of poke-env only what speaks to the server is asked: sockets, login, challenges. What the player knows, and what it may
choose, comes from the worker that reads its lines.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.pipes.lines import LineWorker
from poke.envs.showdown.server.client import Client
from poke.envs.showdown.server.mind import Mind, Policy
from poke.envs.showdown.server.places import LOGIN, Account, user_id
from poke.envs.showdown.server.seat import Seat, Watcher

__all__ = ["Playing", "Policy", "PolicyPlayer", "unless_lost"]


_END_SECONDS = 10.0  # to read what was heard last
_GOING_SECONDS = 2 * _END_SECONDS  # to hear that, and to read it


@dataclass(frozen=True)
class Playing:
    """How a policy plays.

    Args:
        policy: chooses.
        battle_format: such as ``gen1randombattle``.
        teams: packed, to be drawn from; none where the format draws its own.
        seconds: for a decision, after which a scripted player's choice is made; None: as long as it takes.
        watcher: returns what is told of all that happens in a battle; None where nobody watches.
        seed: of the teams drawn.
        order: asked in a thread for the order of the team at its preview, as a server takes it: ``team 3,1,2``; None:
            it stays as it is.
    """

    policy: Policy
    battle_format: str
    teams: Sequence[str] = ()
    seconds: float | None = None
    watcher: Watcher | None = None
    seed: int = 0
    order: Callable[[], str] | None = None


class PolicyPlayer:
    """Plays by a policy. Make it in a running event loop; it lives in that loop until `leave`.

    Attributes:
        listening: the task that ends with its connection.
        seats: battles under way, by room.
        begun: battles that have begun, to be taken by who waits for them.
        challengers: who challenges it to its format.
        popups: what the server tells it.
        declined: who has no challenge of its own any more: it was taken back, accepted or declined.
        last: the battle that `challenge` or `accept` played last.
        num_lines: heard so far that tell of battles going on.

    Args:
        account: under which it plays; unique on the server.
        websocket_url: of the server.
        playing: how.
        worker: reads battles, for any number of players.
        login: address of the login server.
        patience_seconds: to connect again after a connection is lost.
        timer: ask for the server's timer in each battle: who leaves loses.
        on_login: called whenever the server has let it in.
        on_lost: hears why the connection is lost.
        on_refused: hears who challenges to another format, and to which.
    """

    def __init__(
        self,
        account: Account,
        websocket_url: str,
        playing: Playing,
        worker: LineWorker,
        *,
        login: str = LOGIN,
        patience_seconds: float = 0.0,
        timer: bool = False,
        on_login: Callable[[], None] = lambda: None,
        on_lost: Callable[[str], None] = lambda why: None,
        on_refused: Callable[[str, str], None] = lambda name, battle_format: None,
    ) -> None:
        self.username = account.name
        self.seats: dict[str, Seat] = {}
        self.begun: asyncio.Queue[Seat] = asyncio.Queue()
        self.challengers: asyncio.Queue[str] = asyncio.Queue()
        self.popups: asyncio.Queue[str] = asyncio.Queue()
        self.declined: asyncio.Queue[str] = asyncio.Queue()
        self.last: Seat | None = None
        self.num_lines = 0
        self._playing = playing
        self._worker = worker
        self._timer = timer
        self._on_login = on_login
        self._on_refused = on_refused
        self._random = random.Random(playing.seed)
        self._tasks: set[asyncio.Task[None]] = set()
        self._client = Client(
            account,
            websocket_url,
            login=login,
            patience_seconds=patience_seconds,
            on_room=self._hear_room,
            on_challenge=self._hear_challenge,
            on_popup=self.popups.put_nowait,
            on_login=self._rejoin,
            on_lost=on_lost,
        )
        self.listening: asyncio.Task[None] = asyncio.create_task(self._listen())

    @property
    def logged_in(self) -> asyncio.Event:
        """Set while the server knows it."""
        return self._client.logged_in

    @property
    def fault(self) -> Exception | None:
        """Why it gave the last battle up."""
        return None if self.last is None else self.last.fault

    async def ping(self) -> None:
        """Wait until the server knows it and answers: what it has not heard then was not said."""
        await self.logged_in.wait()
        await self._client.ping()

    async def challenge(self, name: str) -> None:
        """Challenge somebody, and play the battle to its end."""
        await self.send_challenge(name)
        self.last = await self.begun.get()
        await self.last.over.wait()

    async def accept(self, name: str) -> None:
        """Accept somebody's challenge, and play the battle to its end."""
        while user_id(await self.challengers.get()) != user_id(name):
            continue
        await self.accept_challenge(name)
        self.last = await self.begun.get()
        await self.last.over.wait()

    async def send_challenge(self, name: str) -> None:
        """Challenge somebody."""
        await self.logged_in.wait()
        await self._client.challenge(name, self._playing.battle_format, self._team())

    async def accept_challenge(self, name: str) -> None:
        """Accept somebody's challenge."""
        await self.logged_in.wait()
        await self._client.accept_challenge(name, self._team())

    async def search(self) -> None:
        """Ask the server for an opponent on its ladder."""
        await self.logged_in.wait()
        await self._client.search_ladder_game(self._playing.battle_format, self._team())

    async def take_back(self, challenged: str = "") -> None:
        """Search for nobody any more, and challenge nobody."""
        await self._client.send_message("/cancelsearch")
        if challenged:
            await self._client.send_message(f"/cancelchallenge {challenged}")

    async def give_up(self, fault: Exception | None = None) -> None:
        """Forfeit all battles under way, for this reason, or because it is time to go."""
        for seat in list(self.seats.values()):
            await seat.give_up(fault)

    async def hear_out(self) -> None:
        """Wait for a connection that is going, until all that it brought is read; not for long."""
        await asyncio.wait({self.listening}, timeout=_GOING_SECONDS)

    async def leave(self) -> None:
        """Close the connection; what still arrives is not heeded."""
        if not self.listening.done():
            await self._client.leave()
        self.listening.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(self.listening, *self._tasks, return_exceptions=True)

    async def _listen(self) -> None:
        try:
            await self._client.listen()
        except ShowdownError:
            # A battle whose end was heard does not go with the connection.
            ending = [seat.over.wait() for seat in self.seats.values() if seat.has_heard_end]
            with suppress(TimeoutError):
                async with asyncio.timeout(_END_SECONDS):
                    await asyncio.gather(*ending)
            raise

    def _team(self) -> str | None:
        return self._random.choice(self._playing.teams) if self._playing.teams else None

    def _hear_challenge(self, challenger: str, challenged: str, battle_format: str) -> None:
        me = user_id(self.username)
        if not battle_format:
            self.declined.put_nowait(challenged if challenger == me else challenger)
        elif challenged == me and battle_format == self._playing.battle_format:
            self.challengers.put_nowait(challenger)
        elif challenged == me:
            self._on_refused(challenger, battle_format)

    def _hear_room(self, room: str, lines: list[str]) -> None:
        """Take a message of a battle's room; one that begins is played, others are not heeded."""
        seat = self.seats.get(room)
        if seat is None and lines[:1] == ["|init|battle"] and self._is_played(room):
            seat = self._sit_down(room)
        if seat is not None:
            self.num_lines += seat.hear(lines)

    def _is_played(self, room: str) -> bool:
        return room.split("-")[1:2] == [self._playing.battle_format]

    def _sit_down(self, room: str) -> Seat:
        playing = self._playing
        mind = Mind(
            playing.policy,
            seconds=playing.seconds,
            explains=playing.watcher is not None,
            order=playing.order,
        )
        seat = Seat(
            room,
            name=self.username,
            battle_format=playing.battle_format,
            mind=mind,
            worker=self._worker,
            send=self._client.send_message,
            watcher=playing.watcher,
        )
        self.seats[room] = seat
        self.begun.put_nowait(seat)
        self._start(self._play(seat))
        return seat

    async def _play(self, seat: Seat) -> None:
        if self._timer:
            await self._client.send_message("/timer on", seat.room)
        try:
            await seat.play()
        except Exception as error:
            seat.lose(error)
        finally:
            del self.seats[seat.room]

    def _rejoin(self) -> None:
        """Enter the rooms of battles under way again; servers lead a user back to most of them, not to all."""
        self._on_login()
        for room in self.seats:
            self._start(self._client.send_message(f"/join {room}"))

    def _start(self, coroutine: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def unless_lost(awaited: Awaitable[Any], *players: Any) -> Any:
    """Wait for something that takes the players' connections, and return its result.

    Args:
        awaited: cancelled where one is lost.
        players: each with its task ``listening``.

    Raises:
        ShowdownError: one is lost.
    """
    task = asyncio.ensure_future(awaited)
    listening = {player.listening for player in players}
    try:
        await asyncio.wait({task, *listening}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        for one in listening:
            if one.done():
                one.result()
        raise ShowdownError("a player's connection to the server is lost")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
