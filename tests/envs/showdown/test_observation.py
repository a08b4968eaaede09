import pytest

from poke.envs.showdown import layout
from poke.envs.showdown.observation import encode, num_actions

TABLES = layout.tables()


def test_the_own_side_is_known_in_full(conversation, read):
    see = read(encode(conversation.ask()))
    assert see("own", "species") == TABLES["species"]["snorlax"]
    assert see("own", "hp") == 75
    assert see("own", "status") == {**dict.fromkeys(layout.STATUSES, 0), "PAR": 1}
    assert see("own", "active") == see("own", "revealed") == see("own", "known") == 1
    assert see("own", "level") == 74
    assert see("own", "stats")["atk"] == 160 // 8
    assert see("own", "base_stats")["hp"] == 160 // 2
    assert [t for t, there in see("own", "types").items() if there] == ["NORMAL"]
    assert see("own", "species", slot=1) == TABLES["species"]["gengar"]
    assert (see("own", "available", slot=1), see("own", "revealed", slot=1)) == (1, 0)
    assert (see("own", "fainted", slot=2), see("own", "hp", slot=2)) == (1, 0)
    assert see("own", "available", slot=2) == 0
    assert see("global", "own_remaining") == 2


def test_moves_are_described_as_actions_count_them(conversation, read):
    see = read(encode(conversation.ask()))
    assert see("own", "move", move=0) == TABLES["move"]["bodyslam"]
    assert see("own", "move", move=2) == TABLES["move"]["earthquake"]
    assert see("own", "known", move=3) == 0
    assert see("own", "type", move=2) == TABLES["type"]["GROUND"]
    assert see("own", "base_power", move=0) == 43  # 85 halved, rounded up
    assert (see("own", "stab", move=0), see("own", "stab", move=2)) == (1, 0)
    assert see("own", "category", move=1) == {"PHYSICAL": 0, "SPECIAL": 0, "STATUS": 1}
    assert see("own", "status", move=0)["PAR"] == 30
    assert see("own", "heal", move=1) == 50
    assert see("own", "effectiveness", move=0) == 16
    assert see("own", "damage", move=0) > see("own", "damage", move=1) == 0


def test_effectiveness_is_that_on_the_opposing_active(conversation, read):
    conversation.say("switch|p2a: Gengar|Gengar, L68|100/100")
    see = read(encode(conversation.ask()))
    assert see("own", "effectiveness", move=0) == 0
    assert see("own", "effectiveness", move=2) == 32
    assert see("own", "damage", move=0) == 0 < see("own", "damage", move=2)


def test_of_the_opponent_only_what_was_revealed_is_there(conversation, read):
    see = read(encode(conversation.ask()))
    assert see("opponent", "species") == TABLES["species"]["starmie"]
    assert see("opponent", "hp") == 100
    assert not any(see("opponent", "stats").values())
    assert not any(see("opponent", "known", move=m) for m in range(4))
    assert see("opponent", "item") == 0
    assert not any(see.block("opponent", slot).any() for slot in range(1, 6))
    assert see("global", "opponent_seen") == 1
    assert see("global", "opponent_remaining") == 6

    conversation.say("move|p2a: Starmie|Blizzard|p1a: Snorlax", "-damage|p1a: Snorlax|200/400")
    conversation.say("-damage|p2a: Starmie|43/100")
    conversation.team[0]["condition"] = "200/400 par"
    see = read(encode(conversation.ask()))
    assert see("opponent", "move", move=0) == TABLES["move"]["blizzard"]
    assert see("opponent", "last_used", move=0) == 1
    assert see("opponent", "known", move=1) == 0
    assert (see("opponent", "hp"), see("own", "hp")) == (43, 50)


def test_only_full_health_is_100_and_only_none_is_0(conversation, read):
    for condition, percent in {"399/400": 99, "400/400": 100, "1/400": 1, "0 fnt": 0}.items():
        conversation.team[0]["condition"] = condition
        assert read(encode(conversation.ask()))("own", "hp") == percent


@pytest.mark.parametrize("pseudo", ["recharge", "struggle", "fight"])
def test_a_pseudo_move_stands_where_its_action_is(conversation, read, in_range, pseudo):
    observation = encode(conversation.ask(moves=[pseudo], trapped=True))
    see = read(observation)
    assert in_range(observation)
    assert see("own", "move", move=0) == TABLES["move"][pseudo]
    assert (see("own", "pseudo", move=0), see("own", "available", move=0)) == (1, 1)
    assert not any(see("own", "known", move=m) for m in range(1, 4))
    assert see("global", "trapped") == 1
    assert see("own", "available", slot=1) == 0


def test_names_in_no_table_are_unknown(conversation, read, in_range):
    conversation.team[0]["item"] = "iteminventedtomorrow"
    conversation.team[0]["baseAbility"] = "abilityinventedtomorrow"
    observation = encode(conversation.ask())
    assert in_range(observation)
    assert read(observation)("own", "item") == 0
    assert read(observation)("own", "ability") == 0


def test_no_item_is_not_an_unknown_item(conversation, read):
    see = read(encode(conversation.ask()))
    assert see("own", "item") == TABLES["item"]["noitem"]
    assert see("opponent", "item") == 0
    conversation.say("-enditem|p2a: Starmie|Leftovers")
    see = read(encode(conversation.ask()))
    assert see("opponent", "item") == TABLES["item"]["noitem"]


def test_a_forced_switch_and_the_field_are_seen(conversation, read):
    conversation.say("-sidestart|p2: you|Spikes", "-sidestart|p2: you|Spikes", "turn|9")
    conversation.say("-sidestart|p1: me|Reflect", "-weather|RainDance")
    conversation.say("-boost|p2a: Starmie|spe|2", "-start|p2a: Starmie|confusion")
    see = read(encode(conversation.ask(forceSwitch=[True])))
    assert see("global", "force_switch") == 1
    assert see("global", "opponent_side")["SPIKES"] == 2
    assert see("global", "own_side")["REFLECT"] == 1
    assert see("global", "weather")["RAINDANCE"] == 1
    assert see("global", "turn") == 9
    assert see("opponent", "boosts")["spe"] == 2
    assert see("opponent", "effects")["CONFUSION"] == 1
    assert not any(see("own", "available", move=m) for m in range(4))


def test_matchup_is_from_both_sides(conversation, read):
    # Starmie's types on Gengar: water 1, psychic 2; Gengar's on Starmie: ghost 0 in gen 1, poison 1
    see = read(encode(conversation.ask()))
    assert (see("own", "offence", slot=1), see("own", "defence", slot=1)) == (16, 32)
    assert see("own", "faster", slot=1) == -1  # base speed 110 against 115
    assert see("own", "matchup", slot=1) == round(24 * (1 - 2 - 0.1))
    assert see("opponent", "offence") == 16
    assert see("opponent", "faster") == 1


def test_the_opponent_before_it_appears_is_empty(conversation, read, in_range):
    conversation.battle._opponent_team.clear()
    observation = encode(conversation.ask())
    assert in_range(observation)
    assert not any(read(observation).block("opponent", slot).any() for slot in range(6))


def test_the_action_space_grows_with_the_generation():
    assert [num_actions(f"gen{g}randombattle") for g in (1, 5, 6, 7, 8, 9)] == [
        10, 10, 14, 18, 22, 26,
    ]  # fmt: skip
