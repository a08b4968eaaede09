"""Let a policy play on somebody's server, and say how it did."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.names import BattleError
from poke.envs.showdown.server.places import account_from_environment, login_url, websocket_url
from poke.envs.showdown.watching.gallery import Gallery
from poke.run.afterwards.playing.players import (
    PlayingError,
    check_fit,
    format_for,
    loaded,
    one_line,
    teams_for,
)
from poke.run.afterwards.playing.stopping import Stoppable
from poke.run.afterwards.playing.tally import Tally


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
    """Play battles on a server, print each and what all came to, and return the exit status: 0, or 128 + N after
    signal N, when battles under way are forfeited.

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
        checkpoint, trust: as of `poke.load`.

    Raises:
        PlayingError: it failed, or cannot be.
    """
    try:
        account = account_from_environment()
        url, login = websocket_url(server), login_url(login)
    except BattleError as error:
        raise PlayingError(one_line(error), 2) from None
    policy = loaded(run, checkpoint=checkpoint, trust=trust)
    battle_format = format_for(policy, format)
    check_fit(run, policy, battle_format)
    packed = teams_for(battle_format, teams)
    gallery = Gallery(run, page=page, prints=watch)
    watcher = gallery.watch if watch or page is not None else None
    tally, who = Tally(), f"{run} as {account.name} in {battle_format}"

    def on_result(seat: Any) -> None:
        tally.take(seat)
        print(_told(seat), flush=True)

    try:
        with Stoppable().heeding() as stoppable, gallery:
            from poke.envs.showdown.server import players  # brings poke-env
            from poke.envs.showdown.server import visit as visits

            playing = players.Playing(policy, battle_format, packed, seconds, watcher, seed)
            plan = visits.Visit(
                url, login, account, playing, how, challenged, battles, concurrency, timer
            )
            stoppable.run(lambda: visits.play(plan, on_result=on_result, say=_say))
    except ImportError as error:
        raise PlayingError(
            f"playing needs {error.name}: pip install 'poke[showdown]'", 1
        ) from error
    except (ShowdownError, ValueError, OSError) as error:
        tally.print(who)
        raise PlayingError(one_line(error), 1) from None
    tally.print(who)
    return stoppable.status


def _told(seat: Any) -> str:
    """Return the line of a battle that is over."""
    against = f"against {seat.opponent or 'nobody'}"
    if seat.outcome is None:
        how = f"lost sight of {against} ({one_line(seat.fault)})"
    elif seat.is_forfeited:
        how = f"forfeited {against}" + (f" ({one_line(seat.fault)})" if seat.fault else "")
    else:
        how = f"{('drawn', 'won', 'lost')[seat.outcome]} {against}"
    return f"{how} in {seat.turns} turns: {seat.room}"


def _say(line: str) -> None:
    print(f"poke: {line}", file=sys.stderr, flush=True)
