"""Every decision of a hundred real battles a format."""

import asyncio
import re

import numpy as np
import pytest
from poke.envs.showdown.arena import Match, Seat, play
from poke.envs.showdown.observation import encode, num_actions
from poke.envs.showdown.players import POLICIES
from poke_env.data import to_id_str

from poke.envs.showdown import layout

pytestmark = pytest.mark.showdown

NAMES = {table: {i: name for name, i in ids.items()} for table, ids in layout.tables().items()}


def publicly_said(battle):
    """Every name that the server told both players so far, as ids."""
    fields = [f for line in battle._replay_data for field in line for f in re.split("[:,]", field)]
    return {to_id_str(field) for field in fields}


def check_own_side(battle, see):
    for slot, told in enumerate(battle.last_request["side"]["pokemon"]):
        pokemon = battle.team[told["ident"]]
        slot = list(battle.team.values()).index(pokemon)
        left, _, full = told["condition"].split(" ")[0].partition("/")
        fraction = int(left) / int(full) if full else 0.0
        assert abs(see("own", "hp", slot) - 100 * fraction) <= 1, told
        assert (see("own", "hp", slot) == 0) == (fraction == 0)
        assert see("own", "active", slot) == told["active"]
        assert see("own", "fainted", slot) == (fraction == 0)


def check_other_side(battle, see):
    said = publicly_said(battle)
    for slot, pokemon in enumerate(list(battle.opponent_team.values())[: layout.TEAM_SIZE]):
        assert not any(see("opponent", "stats", slot).values())
        assert to_id_str(pokemon.species) in said or to_id_str(pokemon.base_species) in said
        copied = (
            {m for own in battle.team.values() for m in own.moves} if pokemon.transformed else {}
        )
        for move in range(layout.NUM_MOVES):
            if see("opponent", "known", slot, move=move):
                name = NAMES["move"][see("opponent", "move", slot, move=move)]
                assert name in said or name in copied or name.startswith("hiddenpower"), name
        item = NAMES["item"].get(see("opponent", "item", slot), "noitem")
        assert item == "noitem" or item in said, item
    unseen = layout.TEAM_SIZE - len(battle.opponent_team)
    assert not any(see.block("opponent", 5 - i).any() for i in range(unseen))


@pytest.mark.parametrize("battle_format", ["gen1randombattle", "gen9randombattle"])
def test_every_decision_of_a_hundred_battles(server, battle_format, read, in_range):
    seen, results = [], []
    chosen = POLICIES["simple_heuristics"]

    def checked(battle):
        observation = encode(battle)
        assert observation.shape == (layout.SIZE,)
        assert observation.dtype == np.int8
        assert in_range(observation)
        see = read(observation, int(battle_format[3]))
        if len(seen) % 5 == 0:  # reading by name is slow
            check_own_side(battle, see)
            check_other_side(battle, see)
        seen.append(see("global", "turn"))
        return chosen(battle)

    def keep(match, sides):
        results.append(sides)

    def give_up(fault):
        raise fault

    seats = Seat(checked, record=True), Seat(POLICIES["random"], record=True)
    matches = (Match(number, seats) for number in range(100))
    asyncio.run(
        play(
            matches,
            websocket_url=server.websocket_url,
            battle_format=battle_format,
            concurrency=10,
            on_result=keep,
            on_fault=give_up,
        )
    )
    assert len(results) == 100
    decisions = [d for sides in results for side in sides for d in side.decisions]
    assert all(d.action_mask[d.action] for d in decisions)
    assert all(d.action_mask.shape == (num_actions(battle_format),) for d in decisions)
    assert all(in_range(d.observation) for d in decisions)
    assert all({side.player for side in sides} == {0, 1} for sides in results)
    assert all(sides[0].outcome == -sides[1].outcome for sides in results)
    assert sum(sides[0].outcome for sides in results) > 80, "the heuristics beat random play"
    assert len(decisions) > 100 * 2 * 5
    assert len(seen) > 100 * 5
