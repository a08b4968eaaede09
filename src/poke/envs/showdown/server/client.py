"""A connection to a Showdown server that lasts: poke-env's client, with patience, and with an ear for refusals."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from poke_env import AccountConfiguration, ServerConfiguration
from poke_env.ps_client import PSClient
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.server.places import LOGIN, PASSWORD, Account, is_here, said, user_id

_FIRST_WAIT_SECONDS, _LAST_WAIT_SECONDS = 1.0, 30.0
_OPEN_SECONDS = 30.0
_CLOSE_SECONDS = 2.0
_PING_SECONDS = 20.0
_PONG_SECONDS = 60.0


class ConnectionLost(Exception):
    """Nothing that waiting could not mend; the message is one line."""


def connection(account: Account, websocket_url: str, login: str = LOGIN) -> dict[str, Any]:
    """Return what a client or a player of poke-env takes to connect.

    Args:
        account: who.
        websocket_url: of the server.
        login: address of the login server that knows the account, if it has a password.
    """
    return {
        "account_configuration": AccountConfiguration(account.name, account.password),
        "server_configuration": ServerConfiguration(websocket_url, login),
        "loop": asyncio.get_running_loop(),
        "log_level": logging.CRITICAL + 1,  # it would log what is told to a login server
        "start_listening": False,
        "open_timeout": None,
        "ping_interval": None,
    }


class Client(PSClient):
    """Speaks to a server for one user. `listen` lasts as long as the connection may.

    What the server says is handed on in its order, and never waited for: hearers put it where they look.

    Attributes:
        num_logins: how often the server has let it in.

    Args:
        account: who.
        websocket_url: of the server.
        login: as of `connection`.
        patience_seconds: to connect again after a connection is lost; 0: a lost one is the end.
        on_room: hears a battle's room and lines.
        on_challenge: hears who challenges whom, and to which format; '' where a challenge is no more.
        on_popup: hears what the server tells its user.
        on_login: called when the server has let it in.
        on_lost: hears why the connection is lost, before it is tried again.
    """

    def __init__(
        self,
        account: Account,
        websocket_url: str,
        *,
        login: str = LOGIN,
        patience_seconds: float = 0.0,
        on_room: Callable[[str, list[str]], None],
        on_challenge: Callable[[str, str, str], None],
        on_popup: Callable[[str], None] = lambda text: None,
        on_login: Callable[[], None] = lambda: None,
        on_lost: Callable[[str], None] = lambda why: None,
    ) -> None:
        super().__init__(**connection(account, websocket_url, login))
        self.num_logins = 0
        self._is_leaving = False
        self._patience_seconds = patience_seconds
        self._on_room, self._on_challenge = on_room, on_challenge
        self._on_popup, self._on_login, self._on_lost = on_popup, on_login, on_lost

    async def listen(self) -> None:
        """Hear the server until the connection is lost for good.

        Raises:
            ShowdownError: why it is.
        """
        clock = asyncio.get_running_loop().time
        wait, deadline = _FIRST_WAIT_SECONDS, 0.0
        while True:
            try:
                await self._listen_once()
                why = "the server has closed it"
            except (OSError, TimeoutError, WebSocketException, ConnectionLost) as error:
                why = said(str(error)) or type(error).__name__
            if self._is_leaving:
                return
            if self.logged_in.is_set():
                self.logged_in.clear()
                wait, deadline = _FIRST_WAIT_SECONDS, clock() + self._patience_seconds
                self._on_lost(why)
            if not self.num_logins:
                raise ShowdownError(f"{self.websocket_url} does not let {self.username} in: {why}")
            if clock() + wait > deadline:
                raise ShowdownError(f"the connection to {self.websocket_url} is lost: {why}")
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LAST_WAIT_SECONDS)

    async def ping(self) -> None:
        """Wait until the server, which has let it in, answers: all that it had said before has been heard then."""
        with suppress(ConnectionClosed):
            await (await self.websocket.ping())

    async def leave(self) -> None:
        """Close the connection, which is no loss then."""
        self._is_leaving = True
        if self.logged_in.is_set():
            await self.websocket.close()

    async def send_message(
        self, message: str, room: str = "", message_2: str | None = None
    ) -> None:
        """Send; what cannot be sent any more is lost with the connection, as `listen` tells."""
        with suppress(ConnectionClosed):
            await super().send_message(message, room, message_2)

    async def change_avatar(self, avatar_name: str | None) -> None:
        """Leave it: poke-env waits here until it is logged in, and on a busy machine gives up waiting, aloud."""

    async def log_in(self, split_message: list[str]) -> None:
        """Log in by what the server has sent to be signed.

        Raises:
            ConnectionLost: the login server does not answer as one.
        """
        try:
            await super().log_in(split_message)
        except (OSError, LookupError, TypeError, ValueError) as error:
            # Without the cause: it holds the request, and that the password.
            address = self.server_configuration.authentication_url
            why = f"the login server {address} does not answer as one ({type(error).__name__})"
            raise ConnectionLost(why) from None

    async def _listen_once(self) -> None:
        # A server on this machine may be slow for want of a processor, but not be cut off unnoticed.
        here = is_here(self.websocket_url)
        async with connect(
            self.websocket_url,
            max_queue=None,
            open_timeout=None if here else _OPEN_SECONDS,
            ping_interval=None if here else _PING_SECONDS,
            ping_timeout=_PONG_SECONDS,
            close_timeout=_CLOSE_SECONDS,
            proxy=None if here else True,
        ) as websocket:
            self.websocket = websocket
            async for message in websocket:
                lines = str(message).split("\n")
                if lines[0].startswith(">"):
                    if lines[0].startswith(">battle-"):
                        self._on_room(lines[0][1:], lines[1:])
                    continue
                for line in lines:
                    await self._hear(line)

    async def _hear(self, line: str) -> None:
        """Take a line that is of no room.

        Raises:
            ConnectionLost: the server does not let it in.
        """
        kind, *parts = line.removeprefix("|").split("|")
        if kind == "challstr":
            await self.log_in(["", kind, *parts])
        elif kind == "updateuser" and parts[1:2] == ["1"]:
            if user_id(parts[0].partition("@")[0]) == user_id(self.username):
                self._let_in()
        elif kind == "nametaken":
            raise ConnectionLost(self._why_not(said("|".join(parts[1:]))))
        elif kind == "popup":
            self._on_popup(said("|".join(parts).replace("||", " ")))
        elif kind == "pm" and len(parts) > 2 and parts[2].split(" ")[0] == "/challenge":
            first, second = (user_id(name.partition("@")[0]) for name in parts[:2])
            self._on_challenge(first, second, parts[2].removeprefix("/challenge").strip())

    def _let_in(self) -> None:
        if not self.logged_in.is_set():
            self.logged_in.set()
            self.num_logins += 1
            self._on_login()

    def _why_not(self, why: str) -> str:
        if self.account_configuration.password:
            return f"it does not take the name with this password, and says: {why}"
        return f"it does not give the name to who has no password ({PASSWORD}), and says: {why}"
