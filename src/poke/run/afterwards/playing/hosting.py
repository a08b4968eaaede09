"""Let a person play a policy, on a page that is served to this machine alone."""

from __future__ import annotations

from collections.abc import Sequence

from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.server import ShowdownServer
from poke.run.afterwards.playing.players import (
    PlayingError,
    check_fit,
    format_for,
    loaded,
    one_line,
    teams_for,
)
from poke.run.afterwards.playing.stopping import Stoppable


def host(
    run: str,
    *,
    format: str | None,
    teams: str | None = None,
    seed: int,
    checkpoint: str = "best",
    trust: Sequence[str] = (),
) -> int:
    """Print where the page is, play battle after battle there, and return the exit status: 128 + N after signal N.

    Args:
        run: as `poke.load` takes it.
        format: such as ``gen1randombattle``; None for random battles of the policy's generation.
        teams: a file of teams, for a format that needs them; both players draw from it.
        seed: of the teams drawn.
        checkpoint: as of `poke.load`.
        trust: as of `poke.load`.

    Raises:
        PlayingError: it failed, or cannot be.
    """
    policy = loaded(run, checkpoint=checkpoint, trust=trust)
    battle_format = format_for(policy, format)
    check_fit(run, policy, battle_format)
    packed = teams_for(battle_format, teams)
    try:
        with Stoppable().heeding() as stoppable:
            from poke.envs.showdown.browser import game  # brings poke-env
            from poke.envs.showdown.server.players import Playing

            playing = Playing(policy, battle_format, packed, seed=seed)
            with ShowdownServer() as server:
                stoppable.run(lambda: game.host(run, playing, server.websocket_url, say=_say))
    except ImportError as error:
        raise PlayingError(
            f"playing needs {error.name}: pip install 'poke[showdown]'", 1
        ) from error
    except (ShowdownError, ValueError, OSError) as error:
        raise PlayingError(one_line(error), 1) from error
    return stoppable.status


def _say(line: str) -> None:
    print(line, flush=True)
