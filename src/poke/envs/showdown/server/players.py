"""Players of battles on a server: a policy of ours, and poke-env's own as opponents.

Of poke-env only what speaks to the server is asked: sockets, login, challenges. What our player knows, and what it may
choose, comes from the worker that reads its lines.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any, Protocol

import numpy as np
from poke_env import AccountConfiguration, ServerConfiguration
from poke_env.player import MaxBasePowerPlayer, Player, RandomPlayer, SimpleHeuristicsPlayer
from poke_env.ps_client import PSClient

from poke.envs.showdown.pipes.hearing import Hearing
from poke.envs.showdown.pipes.lines import LineDecision, LineError, LineTracker, LineWorker

OPPONENTS: dict[str, type[Player]] = {
    "random": RandomPlayer,
    "max_base_power": MaxBasePowerPlayer,
    "simple_heuristics": SimpleHeuristicsPlayer,
}
_REFUSED = ("|error|[Invalid choice]", "|error|[Unavailable choice]")
# What comes whether a battle goes on or not.
_NO_PROGRESS = ("|error|", "|request|", "|inactive|", "|c|", "|j|", "|l|")


class Policy(Protocol):
    """What `poke.load` returns, as far as it is asked here."""

    def initial_state(self) -> Any:
        """Return a memory of nothing; None for a policy without memory."""
        ...

    def act(self, observation: np.ndarray, *, action_mask: np.ndarray, state: Any) -> Any:
        """Choose one of the legal actions."""
        ...


def connection(name: str, websocket_url: str) -> dict[str, Any]:
    """Return what a client or a player of poke-env takes to connect under a name, with no patience to lose.

    Args:
        name: unique on the server, at most 18 letters and digits.
        websocket_url: of the server.
    """
    return {
        "account_configuration": AccountConfiguration(name, None),
        "server_configuration": ServerConfiguration(websocket_url, ""),
        "loop": asyncio.get_running_loop(),
        "log_level": logging.CRITICAL + 1,  # what goes wrong is told by `fault`
        "start_listening": False,
        "open_timeout": None,
        "ping_interval": None,
    }


class PolicyPlayer:
    """Plays one battle at a time by a policy. Make it in a running event loop; it lives in that loop until `leave`.

    A choice that the server refuses leaves fewer legal actions, and the policy is asked again.

    Attributes:
        fault: what went wrong in the last battle, which was then given up.
        outcome: of the last battle: 1 won, 0 drawn, -1 lost; None until it has ended.
        turns, num_decisions, num_refused: of the last battle.
        seconds: spent on its decisions, from the request on until the choice is sent.
        num_lines: heard so far that tell of a battle going on.
        listening: the task that ends with the connection.

    Args:
        name: as of `connection`.
        battle_format: such as ``gen1randombattle``.
        websocket_url: of the server.
        policy: chooses.
        worker: reads battles, for any number of players.
    """

    def __init__(
        self,
        name: str,
        battle_format: str,
        websocket_url: str,
        policy: Policy,
        worker: LineWorker,
    ) -> None:
        self.name = name
        self._format = battle_format
        self._policy = policy
        self._worker = worker
        self._client = PSClient(
            **connection(name, websocket_url),
            on_battle_message=self._hear,
            on_challenge_request=self._hear_challenge,
        )
        _wear_no_avatar(self._client)
        self._challengers: asyncio.Queue[str] = asyncio.Queue()
        self._room = ""  # where it plays
        self._over = asyncio.Event()
        self._early: list[str] = []  # lines from before its seat was known
        self._tracker: LineTracker | None = None
        self._hearing: Hearing | None = None
        self._memory: Any = None
        self._was_forced = False
        self.fault: Exception | None = None
        self.outcome: int | None = None
        self.turns = self.num_decisions = self.num_refused = self.num_lines = 0
        self.seconds = 0.0
        self.listening = asyncio.create_task(self._client.listen())

    @property
    def logged_in(self) -> asyncio.Event:
        """Set once the server knows it."""
        return self._client.logged_in

    async def battle(self, opponent: Player, *, challenges: bool) -> None:
        """Play a battle to its end.

        Args:
            opponent: whom to play.
            challenges: this one challenges, instead of the opponent.
        """
        self._over.clear()
        self._room, self.fault, self.outcome = "", None, None
        self.turns = self.num_decisions = self.num_refused = 0
        self.seconds = 0.0
        opponent.reset_battles()
        if challenges:
            await self.logged_in.wait()
            await opponent.ps_client.logged_in.wait()
            accepted = asyncio.create_task(opponent.accept_challenges(self.name, 1))
            await self._client.challenge(opponent.username, self._format, None)
        else:
            accepted = asyncio.create_task(
                opponent.send_challenges(self.name, 1, to_wait=self.logged_in)
            )
            await self._client.accept_challenge(await self._challengers.get(), None)
        try:
            await self._over.wait()
            await accepted
        finally:
            accepted.cancel()

    async def give_up(self, fault: Exception) -> None:
        """Forfeit the battle, for this reason."""
        if self.fault is None:
            self.fault = fault
            await self._client.send_message("/forfeit", self._room)

    async def leave(self) -> None:
        """Close the connection; what still arrives is not heeded."""
        self._room = ""
        if not self.listening.done() and self._client.logged_in.is_set():
            await self._client.websocket.close()
        self.listening.cancel()
        await asyncio.gather(self.listening, return_exceptions=True)

    async def _hear_challenge(self, message: list[str]) -> None:
        challenger = message[2].strip()
        if challenger != self.name and message[5:6] == [self._format]:
            await self._challengers.put(challenger)

    async def _hear(self, messages: list[list[str]]) -> None:
        """Take a message of a battle's room."""
        room, *lines = ("|".join(parts) for parts in messages)
        if lines and lines[0].startswith("|init|battle"):
            self._room = room[1:]
            self._tracker = self._hearing = None
            self._early = []
            self._memory = self._policy.initial_state()
        if room[1:] != self._room or self._over.is_set():
            return
        self.num_lines += sum(not line.startswith(_NO_PROGRESS) for line in lines)
        try:
            for line in lines:
                await self._read(line)
            if self._hearing is not None:
                await self._decide(self._hearing.pause())
        except Exception as error:
            await self.give_up(error)
        if self._hearing is not None and self._hearing.result:
            await self._end(self._hearing)

    async def _read(self, line: str) -> None:
        if self._hearing is None:
            self._early.append(line)
            player = self._seat(line)
            if player:
                self._tracker = self._worker.follow(self._format, player)
                self._hearing = Hearing(self._tracker)
                for one in self._early:
                    await self._read(one)
            return
        assert self._tracker is not None
        decision = self._hearing.read(line)
        if line.startswith(_REFUSED):
            self.num_refused += 1
            if self._was_forced:
                raise LineError(f"the server refuses the only choice: {line}")
            if line.startswith(_REFUSED[0]):
                # The request stands; where a choice is unavailable another one comes.
                decision = self._tracker.decision()
        await self._decide(decision)

    def _seat(self, line: str) -> str:
        """Return the seat that a line gives to this player, '' where it gives none."""
        kind, _, rest = line.removeprefix("|").partition("|")
        if kind == "request" and rest:
            return str((json.loads(rest) or {}).get("side", {}).get("id", ""))
        seat, _, name = rest.partition("|")
        return seat if kind == "player" and name.partition("|")[0] == self.name else ""

    async def _decide(self, decision: LineDecision | None) -> None:
        if decision is None or self.fault is not None:
            return
        assert self._hearing is not None
        assert self._tracker is not None
        begun = time.perf_counter()
        choice = decision.forced
        self._was_forced = bool(choice)
        if not choice:
            action = self._policy.act(
                decision.observation, action_mask=decision.mask, state=self._memory
            )
            choice = self._tracker.choice(int(action))
            self.num_decisions += not decision.refused
        number = json.loads(self._hearing.request).get("rqid")
        await self._client.send_message(
            f"/choose {choice}", self._room, None if number is None else str(number)
        )
        self.seconds += time.perf_counter() - begun

    async def _end(self, hearing: Hearing) -> None:
        winner = hearing.result.removeprefix("|win|") if hearing.result.startswith("|win|") else ""
        self.outcome = (1 if winner == self.name else -1) if winner else 0
        self.turns = hearing.turn
        assert self._tracker is not None
        self._tracker.close()
        await self._client.send_message(f"/leave {self._room}")
        self._over.set()


class OpponentPlayer:
    """Makes a player of poke-env's tell what goes wrong in it and give the battle up, instead of falling silent."""

    fault: Exception | None = None

    async def _handle_battle_message(self: Any, split_messages: list[list[str]]) -> None:
        header, *lines = split_messages
        tag = header[0][1:]
        if tag not in self.battles and [line[1:2] for line in lines[:1]] != [["init"]]:
            return  # of a battle that is over
        # Line by line, so that one that cannot be handled does not take the battle's end with it.
        for line in lines:
            try:
                await super()._handle_battle_message([header, line])  # type: ignore[misc]
            except Exception as error:
                if self.fault is None:
                    self.fault = error
                    await self.ps_client.send_message("/forfeit", tag)


def opponent_player(opponent: str, name: str, battle_format: str, websocket_url: str) -> Any:
    """Return a player of poke-env's and the task that ends with its connection.

    Args:
        opponent: one of `OPPONENTS`.
        name: as of `connection`.
        battle_format: such as ``gen1randombattle``.
        websocket_url: of the server.
    """
    kind = OPPONENTS[opponent]
    guarded = type(kind.__name__, (OpponentPlayer, kind), {})
    player = guarded(battle_format=battle_format, **connection(name, websocket_url))
    _wear_no_avatar(player.ps_client)
    player.listening = asyncio.create_task(player.ps_client.listen())
    return player


def _wear_no_avatar(client: PSClient) -> None:
    """Spare a client what it does after logging in: on a busy machine it gives up waiting for that, aloud."""

    async def nothing(avatar_name: str | None) -> None:
        return None

    client.change_avatar = nothing  # type: ignore[method-assign]
