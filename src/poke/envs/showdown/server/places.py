"""Where a server is, and who plays there. Imports no poke-env, so that mistakes are told without it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from poke.envs.showdown.names import BattleError

USERNAME, PASSWORD = "POKE_SHOWDOWN_USERNAME", "POKE_SHOWDOWN_PASSWORD"
LOGIN = "https://play.pokemonshowdown.com/action.php?"
_SOCKETS = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
_PATH = "/showdown/websocket"
_MAX_NAME = 18
_MAX_SAID = 200


class Secret(str):
    """A text that no message, log or traceback shows: it represents itself by stars."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


@dataclass(frozen=True)
class Account:
    """Who plays.

    Args:
        name: on the server.
        password: None where the name is not registered.
    """

    name: str
    password: Secret | None = None


def account_from_environment() -> Account:
    """Return whom `USERNAME` and `PASSWORD` name: there is no other way to say it, none that would leave a trace.

    Raises:
        BattleError: nobody, or by a name that no server takes.
    """
    name = os.environ.get(USERNAME, "").strip()
    if not name:
        raise BattleError(
            f"{USERNAME} is not set: it is the name to play under ({PASSWORD} is its password, if it is registered)"
        )
    if (
        not re.search("[a-zA-Z]", name)
        or len(user_id(name)) > _MAX_NAME
        or re.search(r"[|,\n]", name)
    ):
        raise BattleError(
            f"{USERNAME} is no server's name: one has a letter, at most {_MAX_NAME} letters and digits, no '|' and ','"
        )
    return Account(name, Secret(os.environ[PASSWORD]) if os.environ.get(PASSWORD) else None)


def websocket_url(server: str) -> str:
    """Return where to connect: ``ws://localhost:8000/showdown/websocket`` for ``http://localhost:8000``.

    Args:
        server: beginning with ws://, wss://, http:// or https://.

    Raises:
        BattleError: it is no such address.
    """
    parts = _split(server)
    if parts is None or parts.scheme not in _SOCKETS or not parts.hostname:
        raise BattleError(
            "--server is the address of a server, such as wss://sim3.psim.us or ws://localhost:8000"
        )
    if "@" in parts.netloc:  # not repeated: it may be a password
        raise BattleError(f"--server holds a name: who plays is told by {USERNAME} and {PASSWORD}")
    path = parts.path if parts.path.strip("/") else _PATH
    return f"{_SOCKETS[parts.scheme]}://{parts.netloc}{path}"


def login_url(address: str) -> str:
    """Return a login server's address, where a password may be sent to it.

    Raises:
        BattleError: others could read the password on its way.
    """
    parts = _split(address)
    if parts is None or not parts.hostname or "@" in parts.netloc:
        raise BattleError(f"--login is the address of a login server, such as {LOGIN}")
    if parts.scheme == "https" or (parts.scheme == "http" and is_here(address)):
        return address
    raise BattleError("--login begins with https://: the password goes there")


def is_here(address: str) -> bool:
    """Whether an address is of this machine."""
    parts = _split(address)
    return parts is not None and parts.hostname in ("localhost", "127.0.0.1", "::1")


def user_id(name: str) -> str:
    """Return what a server takes for the same user: small letters and digits."""
    return re.sub("[^a-z0-9]", "", name.lower())


def said(text: str) -> str:
    """Return what others wrote as one short line that a terminal shows and does not obey."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _MAX_SAID else f"{line[: _MAX_SAID - 1]}…"


def _split(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        _ = parts.port  # read by whoever connects: a ValueError where it is no number
    except ValueError:
        return None
    return parts
