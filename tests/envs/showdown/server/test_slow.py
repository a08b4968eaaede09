"""A machine that is too busy to be quick: nobody is given up on for that."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from poke_env.ps_client import PSClient

from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.server import ShowdownServer, arena
from poke.envs.showdown.server.client import Client
from poke.envs.showdown.server.players import Playing, PolicyPlayer, unless_lost
from poke.envs.showdown.server.seat import Seat

from ....selecting import few
from ..policies import Anything

pytestmark = [pytest.mark.showdown, pytest.mark.usefixtures("installed")]


def play(server, policy, battles, played, opponent="random"):
    playing = Playing(policy, "gen1randombattle")
    setting = arena.Setting(server.websocket_url, playing, opponent, concurrency=1, seed=0)

    def fail(fault):
        raise fault

    asyncio.run(arena.play(setting, battles, on_result=played.append, on_drop=fail))


def test_a_server_that_stands_still_is_waited_for(server, monkeypatch):
    monkeypatch.setattr(arena, "_QUIET_SECONDS", 0.2)
    monkeypatch.setattr(
        arena, "_MAX_QUIET", 10**6
    )  # of a server that answers: that would depend on load
    answer, asked = arena._answer, []

    async def go_on(*players):
        asked.append(players)
        os.kill(server.pid, signal.SIGCONT)
        await answer(*players)

    monkeypatch.setattr(arena, "_answer", go_on)
    played = []
    try:
        play(server, Anything(at=5, call=lambda: os.kill(server.pid, signal.SIGSTOP)), 1, played)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert asked
    assert [one.fault for one in played] == [None]


def test_who_needs_long_to_ask_for_a_connection_gets_it(installed, monkeypatch):
    hasty = Path(__file__).with_name("hasty.cjs")
    monkeypatch.setenv("NODE_OPTIONS", f"--require={hasty}")

    async def ask():
        async def connect():
            return await asyncio.open_connection("127.0.0.1", server.port)

        slow, slow_writer = await connect()
        slow_writer.write(b"GET /showdown HTTP/1.1\r\nHost: here\r\n")
        for _ in range(20):  # meanwhile the server looks around
            reader, writer = await connect()
            writer.write(b"GET /showdown HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
            await reader.read()
            writer.close()
        slow_writer.write(b"Connection: close\r\n\r\n")
        said = await slow.read()
        slow_writer.close()
        return said

    with ShowdownServer() as server:
        assert asyncio.run(ask()).startswith(b"HTTP/1.1 200 OK")


def play_on_a_mortal(battles, prepare):
    """Play on a server that may die; return what was played before, and how that is said."""
    played = []
    mortal = ShowdownServer()
    policy = prepare(lambda: os.kill(mortal.pid, signal.SIGKILL), played)
    with pytest.raises(ShowdownError) as caught, mortal:
        play(mortal, policy, battles, played)
    return len(played), str(caught.value)


def test_a_server_that_dies_takes_no_finished_battle_along_and_is_named(installed):
    def prepare(kill, played):
        class Killer(Anything):
            def act(self, *values, **named):
                if played:
                    kill()
                return super().act(*values, **named)

        return Killer()

    number, said = play_on_a_mortal(3, prepare)
    assert number == 1
    assert said.startswith("the Pokemon Showdown server died of SIGKILL, and said last: ")


@pytest.mark.parametrize("first", few(["own", "opponent"], "own"))
def test_an_end_that_was_heard_does_not_go_with_the_connection(first, installed, monkeypatch):
    """It is read only when the connection is lost already, whoever is the first to notice."""
    lost, noticed = asyncio.Event(), asyncio.Event()

    def holds_end(lines):
        return any(line == "|tie" or line.startswith("|win|") for line in lines)

    def prepare(kill, played):
        hear, take, listen = PolicyPlayer._hear_room, Seat._take, Client.listen
        foe_listen = PSClient.listen

        def die_and_hear(player, room, lines):
            if player.username == "poke0" and holds_end(lines):
                kill()
            hear(player, room, lines)

        async def read_late(seat, lines):
            if holds_end(lines):
                await lost.wait()
                for _ in range(20):  # whoever waits for the loss hears of it first
                    await asyncio.sleep(0)
            await take(seat, lines)

        async def listen_and_tell(client):
            try:
                await listen(client)
            finally:
                if first == "opponent":
                    await noticed.wait()
                lost.set()

        async def foe_listen_and_tell(client):
            await foe_listen(client)
            if first == "own":
                await lost.wait()

        async def notice(*awaited):
            try:
                return await unless_lost(*awaited)
            except ShowdownError:
                noticed.set()
                raise

        monkeypatch.setattr(PolicyPlayer, "_hear_room", die_and_hear)
        monkeypatch.setattr(Seat, "_take", read_late)
        monkeypatch.setattr(Client, "listen", listen_and_tell)
        monkeypatch.setattr(PSClient, "listen", foe_listen_and_tell)
        monkeypatch.setattr(arena, "unless_lost", notice)
        return Anything()

    assert play_on_a_mortal(2, prepare)[0] == 1
