"""Let policies battle each other on a running server, several battles at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.players import BattlePlayer, Decision, Policy, outcome

_STALL_SECONDS = 60.0


@dataclass(frozen=True)
class Seat:
    """Who plays: a policy, and whether its decisions are kept."""

    policy: Policy
    record: bool = False


@dataclass(frozen=True)
class Match:
    """One battle to play.

    Args:
        number: the caller's own.
        seats: of the one who challenges and the one who accepts.
    """

    number: int
    seats: tuple[Seat, Seat]


@dataclass(frozen=True)
class Side:
    """What became of one seat of a match.

    Args:
        player: 0 where the server calls it p1, 1 where p2.
        decisions: accepted ones in order; empty where they are not kept.
        outcome: 1 won, 0 drawn, -1 lost.
    """

    player: int
    decisions: list[Decision]
    outcome: int


async def play(
    matches: Iterable[Match],
    *,
    websocket_url: str,
    battle_format: str,
    concurrency: int,
    on_result: Callable[[Match, tuple[Side, Side]], None],
    on_fault: Callable[[Exception], None],
) -> None:
    """Play matches; cancel it to stop, and matches under way are lost.

    Args:
        matches: taken one by one as tables become free.
        websocket_url: of the server.
        battle_format: such as ``gen1randombattle``.
        concurrency: battles at a time.
        on_result: called after every battle, in the order they end.
        on_fault: called when a player raised; the match is then played again, unless this raises.

    Raises:
        ShowdownError: a connection is lost, or a battle stalls.
    """
    queue = iter(matches)

    async def table(index: int) -> None:
        names = f"pokea{index}", f"pokeb{index}"
        pair = tuple(BattlePlayer(name, battle_format, websocket_url) for name in names)
        try:
            await _play_at_table(queue, (pair[0], pair[1]), on_result, on_fault)
        finally:
            await asyncio.gather(*(player.leave() for player in pair))

    tables = [asyncio.create_task(table(index)) for index in range(concurrency)]
    try:
        await asyncio.gather(*tables)
    finally:
        for task in tables:
            task.cancel()
        await asyncio.gather(*tables, return_exceptions=True)


async def _play_at_table(
    queue: Iterator[Match],
    pair: tuple[BattlePlayer, BattlePlayer],
    on_result: Callable[[Match, tuple[Side, Side]], None],
    on_fault: Callable[[Exception], None],
) -> None:
    for match in queue:
        while True:
            for player, seat in zip(pair, match.seats, strict=True):
                player.prepare(seat.policy, record=seat.record)
            await _battle(*pair)
            fault = pair[0].fault or pair[1].fault
            if fault is None:
                break
            on_fault(fault)
        on_result(match, (_side(pair[0]), _side(pair[1])))


async def _battle(first: BattlePlayer, second: BattlePlayer) -> None:
    battle = asyncio.create_task(first.battle_against(second, n_battles=1))
    ends = {battle, first.listening, second.listening}
    try:
        seen = -1
        while not battle.done():
            if first.num_messages == seen:
                raise ShowdownError(f"a battle has stalled for {_STALL_SECONDS:.0f} seconds")
            seen = first.num_messages
            done, _ = await asyncio.wait(
                ends, timeout=_STALL_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if done and battle not in done:
                raise ShowdownError("a player's connection to the server is lost")
        battle.result()
    finally:
        battle.cancel()


def _side(player: BattlePlayer) -> Side:
    (battle,) = player.battles.values()
    return Side(int(battle.player_role == "p2"), player.decisions, outcome(battle))
