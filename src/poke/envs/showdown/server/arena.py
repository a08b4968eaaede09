"""Let a policy battle poke-env's players or another policy on a running server, several battles at a time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.pipes.lines import LineWorker
from poke.envs.showdown.server.places import Account
from poke.envs.showdown.server.players import Playing, PolicyPlayer
from poke.envs.showdown.server.scripted import opponent_player
from poke.envs.showdown.server.seat import Played

_STALL_SECONDS = 60.0


@dataclass(frozen=True)
class Setting:
    """What battles are played on.

    Args:
        websocket_url: of the server.
        playing: how the policy plays.
        opponent: one of poke-env's players, see `poke.envs.showdown.server.scripted.OPPONENTS`, or how another policy
            plays.
        concurrency: battles at a time.
        seed: of the opponents' random choices and of the teams; dice, and teams that formats draw, are the server's.
    """

    websocket_url: str
    playing: Playing
    opponent: str | Playing
    concurrency: int
    seed: int


async def play(
    setting: Setting,
    battles: int,
    *,
    on_result: Callable[[Played], None],
    on_drop: Callable[[Exception], None],
) -> None:
    """Play battles, the policy and the opponent challenging in turn; cancel it to stop.

    Args:
        setting: where, and who.
        battles: how many.
        on_result: called after every battle, in the order in which they end.
        on_drop: called when the opponent's player broke, or neither goes on: another battle is played then, unless
            this raises.

    Raises:
        ShowdownError: a connection is lost, or the worker that reads battles.
    """
    random.seed(setting.seed)  # where poke-env's players draw
    numbers = iter(range(battles))
    with LineWorker() as worker:
        tables = [
            asyncio.create_task(_table(index, setting, worker, numbers, on_result, on_drop))
            for index in range(min(setting.concurrency, battles))
        ]
        try:
            await asyncio.gather(*tables)
        finally:
            for task in tables:
                task.cancel()
            await asyncio.gather(*tables, return_exceptions=True)


async def _table(
    index: int,
    setting: Setting,
    worker: LineWorker,
    numbers: Iterator[int],
    on_result: Callable[[Played], None],
    on_drop: Callable[[Exception], None],
) -> None:
    url = setting.websocket_url
    own = _sit_down(f"poke{index}", url, setting.playing, worker, setting.seed + 2 * index)
    foe: Any
    if isinstance(setting.opponent, Playing):
        foe = _sit_down(f"foe{index}", url, setting.opponent, worker, setting.seed + 2 * index + 1)
    else:
        about = setting.playing
        foe = opponent_player(
            setting.opponent, f"foe{index}", about.battle_format, url, about.teams
        )
    try:
        for number in numbers:
            while (fault := await _battle(own, foe, own_challenges=number % 2 == 0)) is not None:
                on_drop(fault)
            assert own.last is not None
            on_result(own.last.result())
    finally:
        await asyncio.gather(own.leave(), foe.leave(), return_exceptions=True)


def _sit_down(
    name: str, websocket_url: str, playing: Playing, worker: LineWorker, seed: int
) -> PolicyPlayer:
    return PolicyPlayer(Account(name), websocket_url, replace(playing, seed=seed), worker)


async def _battle(own: PolicyPlayer, foe: Any, *, own_challenges: bool) -> Exception | None:
    """Play a battle; return why it does not count, None where it does."""
    battle = asyncio.create_task(_meet(*((own, foe) if own_challenges else (foe, own))))
    ends = {battle, own.listening, foe.listening}
    stalled: TimeoutError | None = None
    try:
        while not battle.done():
            heard = own.num_lines
            done, _ = await asyncio.wait(
                ends, timeout=_STALL_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if done and battle not in done:
                raise ShowdownError("a player's connection to the server is lost")
            if not done and own.num_lines == heard:
                if stalled:
                    raise ShowdownError(
                        f"the server is silent for {2 * _STALL_SECONDS:.0f} seconds"
                    )
                stalled = TimeoutError(f"nothing happened for {_STALL_SECONDS:.0f} seconds")
                await own.give_up(stalled)
        battle.result()
    finally:
        battle.cancel()
    assert own.last is not None
    if own.last.is_gone:
        return own.fault
    if isinstance(own.fault, ShowdownError):
        raise own.fault
    return stalled or (foe.fault if own.fault is None else None)


async def _meet(challenger: Any, accepter: Any) -> None:
    """Let one challenge the other, and wait until both have played the battle."""
    await challenger.logged_in.wait()
    await accepter.logged_in.wait()
    await asyncio.gather(
        challenger.challenge(accepter.username), accepter.accept(challenger.username)
    )
