"""Battles through a real server, against poke-env's own players."""

import asyncio

import numpy as np
import pytest
from poke_env.ps_client import PSClient

from poke.envs.showdown import layout
from poke.envs.showdown.decoding import check_ranges, decode
from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.pipes.lines import LineWorker
from poke.envs.showdown.server import arena
from poke.envs.showdown.server.players import Playing

from .policies import Anything

pytestmark = pytest.mark.showdown


def play(server, policy, battle_format, opponent, battles, *, on_drop, concurrency=4):
    played = []
    playing = Playing(policy, battle_format)
    setting = arena.Setting(server.websocket_url, playing, opponent, concurrency, seed=0)
    asyncio.run(arena.play(setting, battles, on_result=played.append, on_drop=on_drop))
    return played


def fail(fault):
    raise fault


@pytest.mark.parametrize(
    ("battle_format", "opponent"),
    [
        ("gen1randombattle", "max_base_power"),
        pytest.param("gen4randombattle", "random", marks=pytest.mark.slow),
        pytest.param("gen7randombattle", "random", marks=pytest.mark.slow),
        pytest.param("gen8randombattle", "max_base_power", marks=pytest.mark.slow),
        ("gen9randombattle", "random"),
    ],
)
def test_battles_are_played_to_their_ends(server, battle_format, opponent):
    policy = Anything(0)
    played = play(server, policy, battle_format, opponent, 10, on_drop=fail)
    assert len(played) == 10
    assert all(one.fault is None for one in played)
    assert {one.outcome for one in played} <= {-1, 0, 1}
    decisions, refused = (
        sum(getattr(p, name) for p in played) for name in ("decisions", "refused")
    )
    assert 10 * 5 < decisions <= len(policy.observations) <= decisions + refused
    assert all(one.turns > 0 and one.seconds > 0 for one in played)
    generation = int(battle_format[3])
    check_ranges(np.stack(policy.observations), layout.describe(generation))
    for observation in policy.observations[::20]:
        seen = decode(observation, layout.describe(generation))
        assert len(seen["own"]) == 6
        assert 1 <= len(seen["opponent"]) <= 6
        assert [p["active"] for p in seen["own"]].count(1) == 1


def test_a_strong_opponent_beats_random_play(server):
    played = play(server, Anything(1), "gen1randombattle", "simple_heuristics", 6, on_drop=fail)
    assert sum(one.outcome for one in played) < 0


def test_a_battle_that_nobody_goes_on_with_does_not_count(server, monkeypatch):
    monkeypatch.setattr(arena, "_QUIET_SECONDS", 0.25)
    to_lose = [True]

    dropped = []
    send = PSClient.send_message

    async def lose_one(client, message, room="", message_2=None):
        if to_lose and message.startswith("/choose") and client.username == "poke0":
            to_lose.clear()
            return
        await send(client, message, room, message_2)

    monkeypatch.setattr(PSClient, "send_message", lose_one)
    policy = Anything(2)
    played = play(
        server, policy, "gen1randombattle", "random", 1, on_drop=dropped.append, concurrency=1
    )
    assert [type(fault) for fault in dropped] == [TimeoutError]
    assert len(played) == 1
    assert played[0].fault is None


def test_a_policy_that_breaks_loses_and_the_others_go_on(server):
    class Fragile(Anything):
        def act(self, observation, *, action_mask, state):
            if len(self.observations) == 3:
                self.observations.append(observation)
                raise RuntimeError("out of order")
            return super().act(observation, action_mask=action_mask, state=state)

    played = play(server, Fragile(3), "gen1randombattle", "random", 3, on_drop=fail, concurrency=1)
    assert [str(one.fault) for one in played] == ["out of order", "None", "None"]
    assert played[0].outcome == -1


def test_a_worker_that_dies_ends_it_all(server, monkeypatch):
    decision = LineWorker._ask

    def die_later(worker, kind, question):
        if kind == b"C":
            worker._process.kill()
        return decision(worker, kind, question)

    monkeypatch.setattr(LineWorker, "_ask", die_later)
    with pytest.raises(ShowdownError, match="the worker that reads battles"):
        play(server, Anything(4), "gen1randombattle", "random", 2, on_drop=fail, concurrency=1)
