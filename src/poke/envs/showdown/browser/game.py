"""Battles of a person against a policy, one after another, until it is stopped."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace

from poke.envs.showdown.browser.board import Board
from poke.envs.showdown.browser.person import GivenUp, Person
from poke.envs.showdown.browser.site import Site
from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.pipes.lines import LineWorker
from poke.envs.showdown.server.places import Account
from poke.envs.showdown.server.players import Playing, PolicyPlayer, unless_lost
from poke.envs.showdown.server.seat import Seat
from poke.envs.showdown.watching import Chronicle
from poke.envs.showdown.watching.gallery import short_name
from poke.envs.showdown.watching.page import render_page

_NAMES = ("You", "Agent")


async def host(
    run: str,
    playing: Playing,
    websocket_url: str,
    *,
    on_result: Callable[[Seat], None],
    say: Callable[[str], None],
) -> None:
    """Play battle after battle; cancel it to stop.

    Args:
        run: what the policy is called.
        playing: how it plays; the person's teams are of the same file. Its watcher is told all of the agent's battles.
        websocket_url: of the server.
        on_result: called with the policy's seat after every battle, however it came to that.
        say: is told where the page is.

    Raises:
        ShowdownError: a connection is lost, or the worker that reads battles.
    """
    again = asyncio.Event()
    agent_name = short_name(run)
    board = Board(lambda place, numbers: click(place, numbers))
    person = Person(board, agent_name)
    click = _clicks(person, asyncio.get_running_loop(), again)
    chronicles: list[Chronicle] = []  # of the agent, in the battle under way

    def watch(battle_format: str, player: str) -> Chronicle:
        one = Chronicle(battle_format, player, agent=agent_name)
        chronicles[:] = [playing.watcher(battle_format, player) if playing.watcher else one]
        return chronicles[0]

    # A person is asked in a thread: while it thinks, all else goes on.
    persons = replace(
        playing,
        policy=person,
        seconds=threading.TIMEOUT_MAX,
        watcher=person.watch,
        order=person.order,
        seed=playing.seed + 1,
    )
    with LineWorker() as worker, Site(board) as site:
        own, foe = (
            PolicyPlayer(Account(name), websocket_url, one, worker)
            for name, one in zip(_NAMES, (persons, replace(playing, watcher=watch)), strict=True)
        )
        person.begin()
        say(f"your battle is at {site.url} (Ctrl-C ends it)")
        try:
            while True:
                note = await _battle(own, foe, person, on_result)
                page = board.keep(render_page(chronicles)) if chronicles else None
                person.end(page, note)
                again.clear()
                await unless_lost(again.wait(), own, foe)
                person.begin()
        finally:
            person.give_up()
            await asyncio.gather(own.leave(), foe.leave(), return_exceptions=True)


def _clicks(
    person: Person, loop: asyncio.AbstractEventLoop, again: asyncio.Event
) -> Callable[[str, dict[str, int]], None]:
    """Return what hands clicks, which come in any thread, on to the person and to who waits for another battle."""

    def click(place: str, numbers: dict[str, int]) -> None:
        if place == "choose":
            # What is chosen goes by its rank: "1" for the action, or for who leads.
            ranks = map(str, range(1, len(numbers)))
            chosen = [numbers[rank] for rank in ranks if rank in numbers]
            person.choose(numbers.get("number", -1), chosen)
        elif place == "forfeit":
            person.give_up()
        else:
            loop.call_soon_threadsafe(again.set)

    return click


async def _battle(
    own: PolicyPlayer, foe: PolicyPlayer, person: Person, on_result: Callable[[Seat], None]
) -> str:
    """Play a battle; return what there is to be said of its end: '' where it came to one by itself.

    Raises:
        ShowdownError: a connection is lost, or the worker that reads battles.
    """
    await unless_lost(asyncio.gather(own.logged_in.wait(), foe.logged_in.wait()), own, foe)
    before = foe.last
    mine = asyncio.create_task(own.accept(foe.username))
    try:
        await unless_lost(foe.challenge(own.username), own, foe)
        person.give_up()  # what it is still asked is over with the battle
        await unless_lost(mine, own, foe)
    finally:
        mine.cancel()
        await asyncio.gather(mine, return_exceptions=True)
        if foe.last is not None and foe.last is not before and foe.last.over.is_set():
            on_result(foe.last)
    for who, fault in (("The agent", foe.fault), ("poke", own.fault)):
        if isinstance(fault, ShowdownError):
            raise fault
        if fault is not None and not isinstance(fault, GivenUp):
            return f"{who} gave it up: {fault}"
    return ""
