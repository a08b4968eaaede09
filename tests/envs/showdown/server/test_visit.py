"""A policy on somebody's server: a real one, and what lies between."""

import asyncio
import contextlib
import io
import os
import signal

import pytest

from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.server import ShowdownServer, client, visit
from poke.envs.showdown.server.places import LOGIN, Account
from poke.envs.showdown.server.players import Playing, PolicyPlayer
from poke.envs.showdown.server.visit import Visit
from poke.envs.showdown.watching.gallery import Gallery

from ..policies import Anything

pytestmark = [pytest.mark.showdown, pytest.mark.usefixtures("installed")]


def mover(at=0, call=None):
    return Anything(at=at, call=call, moves=True)


class Guest:
    """Somebody who visits a server, with all that is said of it."""

    def __init__(self, url, name, how, policy=None, *, battles=1, challenged="", **plan):
        battle_format = plan.pop("battle_format", "gen1randombattle")
        playing = Playing(policy or mover(), battle_format, watcher=plan.pop("watcher", None))
        about = {"login": LOGIN, "account": Account(name), "concurrency": 1, "timer": False}
        self.plan = Visit(
            websocket_url=url, playing=playing, how=how, challenged=challenged, battles=battles,
            **(about | plan),
        )  # fmt: skip
        self.seats, self.said = [], []
        self.is_in = asyncio.Event()

    async def __call__(self):
        await visit.play(self.plan, on_result=self.seats.append, say=self._hear)

    def _hear(self, line):
        if line == f"{self.plan.websocket_url} has let {self.plan.account.name} in":
            self.is_in.set()
        else:
            self.said.append(line)

    @property
    def outcomes(self):
        return {seat.room: seat.outcome for seat in self.seats}


class Line:
    """A way to a server that can be cut."""

    def __init__(self, port):
        self.server_port = port
        self.ends = []
        self.is_open = True

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}/showdown/websocket"
        return self

    async def __aexit__(self, *error):
        self.cut()
        self.server.close()

    def cut(self):
        for end in self.ends:
            end.transport.abort()
        self.ends.clear()

    async def _connect(self, reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", self.server_port)
        self.ends += [writer, back]
        await asyncio.gather(self._pass(reader, back), self._pass(there, writer))

    async def _pass(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    """No second is waited that no server asks for."""
    monkeypatch.setattr(client, "_FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(visit, "_DECLINED_SECONDS", 0.5)


async def meet(*guests):
    """Let all play, each from when the one before is there; fail with the first that fails."""
    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        for guest in guests:
            group.create_task(guest())
            await guest.is_in.wait()


def test_one_challenges_and_one_accepts_several_battles_at_a_time(server):
    url = server.websocket_url
    ann = Guest(url, "Ann", "accept", battles=3, concurrency=2)
    ben = Guest(url, "Ben 10", "challenge", challenged="ann", battles=3, concurrency=2, timer=True)
    asyncio.run(meet(ann, ben))
    assert len(ann.seats) == 3
    assert ann.outcomes == {room: -outcome for room, outcome in ben.outcomes.items()}
    assert {seat.opponent for seat in ann.seats} == {"Ben 10"}
    assert all(seat.turns > 0 and seat.num_decisions > 0 and not seat.fault for seat in ann.seats)
    assert ann.said == ben.said == []


def test_the_ladder_finds_an_opponent_and_is_watched(server, tmp_path):
    printed = io.StringIO()
    page = tmp_path / "ladder.html"
    with Gallery("runs/best", page=page, prints=True, output=printed) as gallery:
        url, watchers = server.websocket_url, {"Cid": gallery.watcher, "Dot": None}
        guests = [
            Guest(url, name, "ladder", timer=True, watcher=watcher)
            for name, watcher in watchers.items()
        ]
        asyncio.run(meet(*guests))
    (first,), (second,) = (guest.seats for guest in guests)
    assert (first.room, first.outcome) == (second.room, -second.outcome)
    assert printed.getvalue().count("── Turn ") == first.turns
    assert "▸ " in printed.getvalue()
    assert page.stat().st_size > 10_000


def test_after_a_lost_connection_battles_go_on(server, monkeypatch):
    send, sent = client.Client.send_message, []

    async def note(self, message, *where):
        sent.append((self.username, message))
        await send(self, message, *where)

    monkeypatch.setattr(client.Client, "send_message", note)

    async def play():
        async with Line(server.port) as line:
            eve = Guest(line.url, "Eve", "accept", mover(6, line.cut), battles=2)
            flo = Guest(server.websocket_url, "Flo", "challenge", battles=2, challenged="Eve")
            await meet(eve, flo)
        return eve, flo

    eve, flo = asyncio.run(play())
    assert len(eve.said) == 1
    assert eve.said[0].startswith("the connection is lost")
    # This server leads who comes back to its battle by itself; not all do.
    joined = [message for name, message in sent if name == "Eve" and message.startswith("/join ")]
    assert joined == [f"/join {eve.seats[0].room}"]
    assert eve.outcomes == {room: -outcome for room, outcome in flo.outcomes.items()}
    assert not any(seat.fault or seat.is_forfeited for seat in [*eve.seats, *flo.seats])


@pytest.mark.slow
def test_a_server_that_dies_takes_no_finished_battle_along(installed, monkeypatch):
    monkeypatch.setattr(visit, "_PATIENCE_SECONDS", 0.1)
    with ShowdownServer() as mortal:
        url = mortal.websocket_url

        async def play():
            gus = Guest(url, "Gus", "accept", battles=None)
            hal = Guest(url, "Hal", "challenge", battles=None, challenged="Gus")

            def kill():
                if gus.seats:  # the second battle has begun
                    os.kill(mortal.pid, signal.SIGKILL)

            policy = gus.plan.playing.policy
            policy.act = spied(policy.act, kill)
            first = asyncio.create_task(gus())
            await gus.is_in.wait()
            return gus, hal, await asyncio.gather(first, hal(), return_exceptions=True)

        gus, hal, errors = asyncio.run(play())
    assert all(isinstance(error, ShowdownError) for error in errors), errors
    assert str(errors[0]).startswith(f"the connection to {url} is lost: ")
    for guest in (gus, hal):
        assert guest.seats[0].outcome is not None
        assert [seat.is_gone for seat in guest.seats] == [False] * (len(guest.seats) - 1) + [True]


def spied(act, call):
    def spying(*values, **named):
        call()
        return act(*values, **named)

    return spying


def test_who_is_stopped_forfeits_and_hears_of_it(server):
    async def play():
        url = server.websocket_url
        ida = Guest(url, "Ida", "accept", mover(5, lambda: task.cancel()), battles=None)
        joe = Guest(url, "Joe", "challenge", challenged="Ida")
        task = asyncio.create_task(ida())
        await ida.is_in.wait()
        await joe()
        with pytest.raises(asyncio.CancelledError):
            await task
        return ida, joe

    ida, joe = asyncio.run(play())
    assert [(seat.outcome, seat.is_forfeited) for seat in ida.seats] == [(-1, True)]
    assert [seat.outcome for seat in joe.seats] == [1]


def test_nobody_is_kept_waiting_by_a_challenge_that_cannot_be(server):
    guest = Guest(server.websocket_url, "Kim", "challenge", challenged="nobody at all")
    with pytest.raises(
        ShowdownError, match="the server says: The user 'nobody at all' was not found"
    ):
        asyncio.run(guest())


def test_who_is_declined_is_told(server):
    async def play():
        url = server.websocket_url
        pat = PolicyPlayer(Account("Pat"), url, Playing(mover(), "gen1randombattle"), None)
        await pat.logged_in.wait()
        quin = asyncio.create_task(Guest(url, "Quin", "challenge", challenged="Pat")())
        await pat._client.send_message(f"/reject {await pat.challengers.get()}")
        try:
            await quin
        finally:
            await pat.leave()

    with pytest.raises(ShowdownError, match="Pat declined the challenge"):
        asyncio.run(play())


def test_challenges_to_other_formats_are_not_accepted(server):
    async def play():
        url = server.websocket_url
        leo = Guest(url, "Leo", "accept", battles=None)
        mia = Guest(url, "Mia", "challenge", challenged="Leo", battle_format="gen4randombattle")
        tasks = [asyncio.create_task(leo())]
        await leo.is_in.wait()
        tasks.append(asyncio.create_task(mia()))
        while not leo.said:
            await asyncio.sleep(0.01)
            assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return leo

    leo = asyncio.run(play())
    assert leo.said == ["mia challenges to gen4randombattle: not accepted"]
    assert leo.seats == []


def test_a_name_that_another_has_is_said(server):
    async def play():
        url = server.websocket_url
        first = PolicyPlayer(Account("Ned"), url, Playing(mover(), "gen1randombattle"), None)
        await first.logged_in.wait()
        try:
            await Guest(url, "Ned", "accept")()
        finally:
            await first.leave()

    with pytest.raises(ShowdownError) as caught:
        asyncio.run(play())
    said = str(caught.value)
    assert said.startswith(f"{server.websocket_url} does not let Ned in: it does not give the name")
    assert 'Someone is already using the name "Ned"' in said
