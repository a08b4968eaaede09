"""Let a policy battle poke-env's players on a running server, several battles at a time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.pipes.lines import LineWorker
from poke.envs.showdown.server.players import Policy, PolicyPlayer, opponent_player

_STALL_SECONDS = 60.0


@dataclass(frozen=True)
class Played:
    """What became of a battle.

    Args:
        outcome: 1 won, 0 drawn, -1 lost.
        turns: begun.
        decisions: of the policy.
        refused: choices that the server did not take.
        seconds: spent on the decisions.
        fault: why the policy's player gave it up: it is lost then; None where it did not.
    """

    outcome: int
    turns: int
    decisions: int
    refused: int
    seconds: float
    fault: Exception | None = None


@dataclass(frozen=True)
class Setting:
    """What battles are played on.

    Args:
        websocket_url: of the server.
        battle_format: such as ``gen1randombattle``.
        opponent: one of poke-env's players, see `poke.envs.showdown.server.players.OPPONENTS`.
        policy: whom it plays.
        concurrency: battles at a time.
        seed: of the opponents' random choices; teams and dice are the server's.
    """

    websocket_url: str
    battle_format: str
    opponent: str
    policy: Policy
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
    where = setting.battle_format, setting.websocket_url
    own = PolicyPlayer(f"poke{index}", *where, setting.policy, worker)
    foe = opponent_player(setting.opponent, f"foe{index}", *where)
    try:
        for number in numbers:
            while (fault := await _battle(own, foe, own_challenges=number % 2 == 0)) is not None:
                on_drop(fault)
            outcome = own.outcome if own.fault is None else -1
            assert outcome is not None
            on_result(
                Played(
                    outcome, own.turns, own.num_decisions, own.num_refused, own.seconds, own.fault
                )
            )
    finally:
        foe.listening.cancel()
        await asyncio.gather(own.leave(), foe.listening, return_exceptions=True)


async def _battle(own: PolicyPlayer, foe: Any, *, own_challenges: bool) -> Exception | None:
    """Play a battle; return why it does not count, None where it does."""
    foe.fault = None
    battle = asyncio.create_task(own.battle(foe, challenges=own_challenges))
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
    if isinstance(own.fault, ShowdownError):
        raise own.fault
    return stalled or (foe.fault if own.fault is None else None)
