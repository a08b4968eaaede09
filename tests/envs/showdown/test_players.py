import asyncio
import json

import numpy as np
import pytest
from poke.envs.showdown.players import POLICIES, BattlePlayer
from poke_env.player import Player
from poke_env.ps_client import PSClient

from poke.config.schema import PLAYERS

from .conftest import describe

OPENING = [
    "init|battle",
    "player|p1|me||",
    "player|p2|you||",
    "teamsize|p1|6",
    "teamsize|p2|6",
    "start",
    "switch|p1a: Snorlax|Snorlax, L74|300/400",
    "switch|p2a: Starmie|Starmie, L68|100/100",
    "turn|1",
]
TEAM = [
    describe("Snorlax", 74, ["bodyslam", "earthquake"], "300/400", active=True),
    describe("Gengar", 70, ["hypnosis"], "250/250"),
]


def request(**extra):
    moves = [{"move": m, "id": m, "pp": 5, "maxpp": 8} for m in ("bodyslam", "earthquake")]
    active = [{"moves": moves, **extra}]
    return "request|" + json.dumps({"side": {"id": "p1", "pokemon": TEAM}, "active": active})


@pytest.fixture
def hear(monkeypatch):
    """Let a player of one policy hear messages of one battle; return it and what it said."""
    said = []

    async def listen(client):
        return None

    async def send(client, message, room="", message_2=None):
        said.append(message)

    monkeypatch.setattr(PSClient, "listen", listen)
    monkeypatch.setattr(PSClient, "send_message", send)

    def run(policy, *messages, record=True):
        async def play():
            player = BattlePlayer("me", "gen1randombattle", "ws://nowhere")
            player.prepare(policy, record=record)
            for message in messages:
                lines = [["", *line.split("|", 2 if line.startswith("request") else -1)]
                         for line in message]  # fmt: skip
                await player._handle_battle_message([[">battle-gen1randombattle-1"], *lines])
            return player

        return asyncio.run(play()), said

    return run


def first_switch(battle):
    return Player.create_order(battle.available_switches[0])


def switch_or_first_move(battle):
    if battle.available_switches and not battle.trapped:
        return first_switch(battle)
    return Player.create_order(battle.available_moves[0])


def test_a_decision_is_kept_once_the_battle_goes_on(hear):
    player, said = hear(switch_or_first_move, OPENING, [request()])
    assert said == ["/choose switch Gengar"]
    assert player.decisions == []
    player, _ = hear(switch_or_first_move, OPENING, [request()], ["turn|2"], [request()])
    (decision,) = player.decisions
    assert decision.action == 1
    assert np.flatnonzero(decision.action_mask).tolist() == [1, 6, 7]
    assert decision.observation.dtype == np.int8


def test_the_last_decision_is_kept_at_the_end(hear):
    player, _ = hear(switch_or_first_move, OPENING, [request()], ["win|me"])
    assert len(player.decisions) == 1


def test_a_choice_refused_for_a_hidden_trap_is_never_kept(hear):
    refusal = "error|[Unavailable choice] Can't switch: The active Pokémon is trapped"
    player, said = hear(
        switch_or_first_move, OPENING, [request()], [refusal], [request(trapped=True)], ["win|me"]
    )
    assert [d.action for d in player.decisions] == [6]
    assert said[-2:] == ["/choose move bodyslam", "/leave battle-gen1randombattle-1"]


def test_a_choice_refused_as_invalid_is_never_kept(hear):
    refusal = "error|[Invalid choice] Can't switch: You can't switch to a fainted Pokémon"
    orders = iter([first_switch, lambda battle: Player.create_order(battle.available_moves[1])])
    player, said = hear(
        lambda battle: next(orders)(battle), OPENING, [request()], [refusal], ["win|me"]
    )
    assert [d.action for d in player.decisions] == [7]
    assert said[:2] == ["/choose switch Gengar", "/choose move earthquake"]


def test_nothing_is_kept_of_a_player_that_is_not_recorded(hear):
    player, _ = hear(switch_or_first_move, OPENING, [request()], ["win|me"], record=False)
    assert player.decisions == []
    assert player.battles["battle-gen1randombattle-1"].won


def test_a_policy_that_raises_gives_the_battle_up_and_is_reported(hear):
    def broken(battle):
        raise RuntimeError("no idea")

    player, said = hear(broken, OPENING, [request()], ["win|you"])
    assert str(player.fault) == "no idea"
    assert said[0] == "/forfeit"
    assert player.battles["battle-gen1randombattle-1"].lost


def test_an_order_that_is_no_legal_action_is_a_fault(hear):
    player, _ = hear(lambda b: Player.choose_default_move(), OPENING, [request()], ["win|you"])
    assert "which the mask does not allow" in str(player.fault)


def test_late_messages_of_a_left_room_are_ignored(hear):
    player, _ = hear(switch_or_first_move, ["deinit"])
    assert player.fault is None
    assert not player.battles


def test_the_schema_names_the_players_there_are():
    assert tuple(POLICIES) == PLAYERS
