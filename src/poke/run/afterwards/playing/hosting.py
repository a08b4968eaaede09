"""Let a person play a policy, on a page that is served to this machine alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from poke.envs.showdown.server import ShowdownServer
from poke.envs.showdown.watching.gallery import Gallery
from poke.run.afterwards.playing.players import cast
from poke.run.afterwards.playing.reporting import reporting
from poke.run.afterwards.playing.tally import Tally, told


def host(
    run: str,
    *,
    format: str | None,
    teams: str | None = None,
    seed: int,
    page: str | None = None,
    checkpoint: str = "best",
    trust: Sequence[str] = (),
) -> int:
    """Print where the page is, play battle after battle there, print each and what all came to.

    Returns the exit status: 128 + N after signal N.

    Args:
        run: as `poke.load` takes it.
        format: such as ``gen1randombattle``; None for random battles of the policy's generation.
        teams: a file of teams, for a format that needs them; both players draw from it.
        seed: of the teams drawn.
        page: a file to be written of what happens in all battles, and what the policy thinks.
        checkpoint: as of `poke.load`.
        trust: as of `poke.load`.

    Raises:
        PlayingError: it failed, or cannot be.
    """
    played_by = cast([run], format=format, teams=teams, checkpoint=checkpoint, trust=trust)
    battle_format = played_by.battle_format
    gallery = Gallery(run, page=page)
    tally = Tally()

    def on_result(seat: Any) -> None:
        tally.take(seat)
        _say(told(seat))

    with reporting(tally, f"{run} against you in {battle_format}") as stoppable, gallery:
        from poke.envs.showdown.browser import game  # brings poke-env
        from poke.envs.showdown.server.players import Playing

        playing = Playing(
            *(played_by.policies[run], battle_format, played_by.teams),
            watcher=gallery.watcher,
            seed=seed,
        )
        with ShowdownServer() as server:
            url = server.websocket_url
            stoppable.run(lambda: game.host(run, playing, url, on_result=on_result, say=_say))
    return stoppable.status


def _say(line: str) -> None:
    print(line, flush=True)
