"""Let a policy battle on a server of its own, which is started and stopped, and say how it did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from poke.envs.showdown.names import is_run
from poke.envs.showdown.server import ShowdownServer
from poke.envs.showdown.watching.gallery import Gallery
from poke.run.afterwards.playing.players import cast
from poke.run.afterwards.playing.reporting import reporting
from poke.run.afterwards.playing.tally import Tally
from poke.run.afterwards.progress import shown


def play(
    run: str,
    *,
    opponent: str,
    battles: int,
    format: str | None,
    teams: str | None = None,
    seconds: float | None = None,
    concurrency: int,
    seed: int,
    watch: bool = False,
    page: str | None = None,
    checkpoint: str = "best",
    trust: Sequence[str] = (),
) -> int:
    """Play battles on a server of its own, print what they came to, and return the exit status.

    That is 0, or 128 + N after signal N, when what was played so far is printed.

    Args:
        run: as `poke.load` takes it.
        opponent: one of poke-env's players, or another run.
        battles: how many; the two challenge in turn.
        format: such as ``gen1randombattle``; None for random battles of the policy's generation.
        teams: a file of teams, for a format that needs them; both players draw from it.
        seconds: for a decision; None: as long as it takes.
        concurrency: battles at a time.
        seed: of the opponent's random choices.
        watch: print what happens in each battle and what the policy thinks; one at a time.
        page: a file to be written of the same.
        checkpoint: as of `poke.load`, of both.
        trust: as of `poke.load`.

    Raises:
        PlayingError: it failed, or cannot be.
    """
    names = [name for name in (run, opponent) if is_run(name)]
    played_by = cast(names, format=format, teams=teams, checkpoint=checkpoint, trust=trust)
    battle_format = played_by.battle_format
    gallery = Gallery(run, opponent=opponent, page=page, prints=watch)
    tally = Tally()
    with (
        reporting(tally, f"{run} against {opponent} in {battle_format}") as stoppable,
        _progress(battles, watch) as show,
    ):
        show(tally)
        from poke.envs.showdown.server import arena, players  # bring poke-env

        def on_result(played: arena.Played) -> None:
            tally.add(played)
            show(tally)

        playing = {
            name: players.Playing(policy, battle_format, played_by.teams, seconds)
            for name, policy in played_by.policies.items()
        }
        foe = playing.get(opponent, opponent)
        own = replace(playing[run], watcher=gallery.watcher)
        with gallery, ShowdownServer() as server:
            setting = arena.Setting(server.websocket_url, own, foe, concurrency, seed)
            stoppable.run(
                lambda: arena.play(setting, battles, on_result=on_result, on_drop=tally.drop)
            )
    return stoppable.status


def _progress(battles: int, watch: bool) -> AbstractContextManager[Callable[[Any], None]]:
    """Return what shows how far it is; where battles are printed, that would stand in between."""
    return nullcontext(lambda tally: None) if watch else shown(battles)
