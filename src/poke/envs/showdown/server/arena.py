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
from poke.envs.showdown.server.players import Playing, PolicyPlayer, unless_lost
from poke.envs.showdown.server.scripted import opponent_player
from poke.envs.showdown.server.seat import Played

# Without a line of a battle; then the server is asked whether it is there.
_QUIET_SECONDS = 30.0
_MAX_QUIET = 2  # times in a row, before the battle is given up
_SILENT_SECONDS = 600.0  # for its answer


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
    before = own.last
    battle = asyncio.create_task(_meet(*((own, foe) if own_challenges else (foe, own))))
    try:
        stalled = await _watched(battle, own, foe)
        battle.result()
    except ShowdownError:
        await own.hear_out()  # the opponent may have been the first to notice
        if own.last is before or own.last is None or own.last.outcome is None:
            raise
        return None  # it had ended before the connection was lost
    finally:
        battle.cancel()
    assert own.last is not None
    if own.last.is_gone:
        return own.fault
    if isinstance(own.fault, ShowdownError):
        raise own.fault
    return stalled or (foe.fault if own.fault is None else None)


async def _watched(battle: asyncio.Task[None], own: PolicyPlayer, foe: Any) -> Exception | None:
    """Wait for a battle's end; return why it was given up where neither went on with it.

    How long that takes says nothing: the machine may be slow, and the server with it. But where the server answers,
    and answers again, and nothing was heard of the battle in between, somebody has fallen silent.
    """
    stalled: TimeoutError | None = None
    num_quiet = 0
    while not battle.done():
        heard = own.num_lines
        await unless_lost(asyncio.wait({battle}, timeout=_QUIET_SECONDS), own, foe)
        if not battle.done():
            await unless_lost(_answer(own, foe), own, foe)
            num_quiet = num_quiet + 1 if own.num_lines == heard else 0
        if num_quiet == _MAX_QUIET:
            if stalled:
                raise ShowdownError("the server does not end a battle that was given up")
            seconds = _MAX_QUIET * _QUIET_SECONDS
            stalled, num_quiet = TimeoutError(f"nothing happened for {seconds:.0f} seconds"), 0
            await own.give_up(stalled)
    return stalled


async def _answer(own: PolicyPlayer, foe: Any) -> None:
    """Wait until the server knows both and answers."""
    try:
        async with asyncio.timeout(_SILENT_SECONDS):
            await foe.logged_in.wait()
            await own.ping()
    except TimeoutError:
        raise ShowdownError(f"the server is silent for {_SILENT_SECONDS:.0f} seconds") from None


async def _meet(challenger: Any, accepter: Any) -> None:
    """Let one challenge the other, and wait until both have played the battle."""
    await challenger.logged_in.wait()
    await accepter.logged_in.wait()
    await asyncio.gather(
        challenger.challenge(accepter.username), accepter.accept(challenger.username)
    )
