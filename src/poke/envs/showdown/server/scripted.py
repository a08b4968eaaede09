"""poke-env's own players as opponents, made to tell what goes wrong in them."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Any

from poke_env.player import MaxBasePowerPlayer, Player, RandomPlayer, SimpleHeuristicsPlayer
from poke_env.teambuilder import Teambuilder

from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.server.client import connection
from poke.envs.showdown.server.places import Account, said

OPPONENTS: dict[str, type[Player]] = {
    "random": RandomPlayer,
    "max_base_power": MaxBasePowerPlayer,
    "simple_heuristics": SimpleHeuristicsPlayer,
}


class OpponentPlayer:
    """Makes a player of poke-env's tell what goes wrong in it and give the battle up, instead of falling silent.

    Attributes:
        fault: what went wrong in the last battle.
        listening: the task that ends with its connection.
    """

    fault: Exception | None = None
    listening: asyncio.Task[None]

    @property
    def logged_in(self: Any) -> asyncio.Event:
        """Set once the server knows it."""
        return self.ps_client.logged_in

    async def challenge(self: Any, name: str) -> None:
        """Challenge somebody, and play the battle to its end."""
        self._forget()
        await self.send_challenges(name, 1)

    async def accept(self: Any, name: str) -> None:
        """Accept somebody's challenge, and play the battle to its end."""
        self._forget()
        await self.accept_challenges(name, 1)

    async def leave(self) -> None:
        """Close the connection."""
        self.listening.cancel()
        await asyncio.gather(self.listening, return_exceptions=True)

    def _forget(self: Any) -> None:
        self.fault = None
        self.reset_battles()

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


class _Teams(Teambuilder):
    """Draws a packed team for every battle."""

    def __init__(self, packed: Sequence[str]) -> None:
        self._packed = packed

    def yield_team(self) -> str:
        return random.choice(self._packed)


def opponent_player(
    opponent: str, name: str, battle_format: str, websocket_url: str, teams: Sequence[str] = ()
) -> Any:
    """Return a player of poke-env's that is connecting; what it draws comes from `random`.

    Args:
        opponent: one of `OPPONENTS`.
        name: unique on the server, at most 18 letters and digits.
        battle_format: such as ``gen1randombattle``.
        websocket_url: of the server.
        teams: packed, to be drawn from; none where the format draws its own.
    """
    kind = OPPONENTS[opponent]
    guarded = type(kind.__name__, (OpponentPlayer, kind), {})
    player = guarded(
        battle_format=battle_format,
        team=_Teams(teams) if teams else None,
        **connection(Account(name), websocket_url),
    )
    _wear_no_avatar(player)
    player.listening = asyncio.create_task(_listen(player.ps_client))
    player.listening.add_done_callback(
        lambda task: task.cancelled() or task.exception()
    )  # it is seen
    return player


async def _listen(client: Any) -> None:
    """Hear the server until the connection is lost, and tell why, which poke-env would only log.

    Raises:
        ShowdownError: why it is.
    """
    overheard = _Overheard()
    # Not the registry's logger of that name: players of earlier battles had the same one.
    client._logger = logging.Logger(client.username, logging.WARNING)
    client.logger.addHandler(overheard)
    await client.listen()
    lost = f"the connection to {client.websocket_url} is lost"
    raise ShowdownError(": ".join([lost, *overheard.why]))


class _Overheard(logging.Handler):
    """Keeps to itself what a client of poke-env's logs.

    Attributes:
        why: what its listening said last, at most one line.
    """

    def __init__(self) -> None:
        super().__init__()
        self.why: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.funcName == "listen":
            self.why = [said(record.getMessage())]


def _wear_no_avatar(player: Any) -> None:
    """Spare it what it does after logging in: on a busy machine it gives up waiting for that, aloud."""

    async def nothing(avatar_name: str | None) -> None:
        return None

    player.ps_client.change_avatar = nothing
