"""Let a policy play on somebody's server, and say how it did."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from poke.envs.showdown.names import BattleError
from poke.envs.showdown.server.places import (
    Account,
    account_from_environment,
    login_url,
    websocket_url,
)
from poke.envs.showdown.watching.gallery import Gallery
from poke.run.afterwards.playing.players import PlayingError, cast, one_line
from poke.run.afterwards.playing.reporting import reporting
from poke.run.afterwards.playing.tally import Tally, told


def visit(
    run: str,
    *,
    server: str,
    login: str,
    how: str,
    challenged: str,
    battles: int | None,
    format: str | None,
    teams: str | None,
    seconds: float | None,
    timer: bool,
    concurrency: int,
    seed: int,
    watch: bool = False,
    page: str | None = None,
    checkpoint: str = "best",
    trust: Sequence[str] = (),
) -> int:
    """Play battles on a server, print each and what all came to, and return the exit status.

    That is 0, or 128 + N after signal N, when battles under way are forfeited.

    Args:
        run: as `poke.load` takes it.
        server: its address, see `poke.envs.showdown.server.places.websocket_url`.
        login: address of the login server that knows registered names.
        how: ``accept``, ``challenge`` or ``ladder``.
        challenged: the name of who is.
        battles: how many; None: until a signal comes.
        format: such as ``gen1randombattle``; None for random battles of the policy's generation.
        teams: a file of teams, for a format that needs them.
        seconds: for a decision; None: as long as it takes.
        timer: ask for the server's timer.
        concurrency: battles at a time.
        seed: of the teams drawn.
        watch: print what happens in each battle and what the policy thinks; one at a time.
        page: a file to be written of the same.
        checkpoint: as of `poke.load`.
        trust: as of `poke.load`.

    Raises:
        PlayingError: it failed, or cannot be.
    """
    account, url, login = _who_and_where(server, login)
    played_by = cast([run], format=format, teams=teams, checkpoint=checkpoint, trust=trust)
    battle_format = played_by.battle_format
    gallery = Gallery(run, page=page, prints=watch)
    tally = Tally()

    def on_result(seat: Any) -> None:
        tally.take(seat)
        print(told(seat), flush=True)

    with (
        reporting(tally, f"{run} as {account.name} in {battle_format}") as stoppable,
        gallery,
    ):
        from poke.envs.showdown.server import players  # brings poke-env
        from poke.envs.showdown.server import visit as visits

        playing = players.Playing(
            played_by.policies[run], battle_format, played_by.teams, seconds, gallery.watcher, seed
        )
        plan = visits.Visit(
            url, login, account, playing, how, challenged, battles, concurrency, timer
        )
        stoppable.run(lambda: visits.play(plan, on_result=on_result, say=_say))
    return stoppable.status


def _who_and_where(server: str, login: str) -> tuple[Account, str, str]:
    try:
        return account_from_environment(), websocket_url(server), login_url(login)
    except BattleError as error:
        raise PlayingError(one_line(error), 2) from None


def _say(line: str) -> None:
    print(f"poke: {line}", file=sys.stderr, flush=True)
