"""What a player knows, played by the real simulator: cases that were wrong where battles were read otherwise."""

import pytest

from poke.envs.showdown import layout

pytestmark = pytest.mark.showdown

SEED = "sodium,00000000000000000000000000000001"
# A row of choices a step, one a player.
BATTLES = {
    "recharge": (
        "gen1customgame",
        ["Tauros\n- Hyper Beam\n- Tackle", "Cloyster\n- Splash\n- Rest"],
        [["move 1", "move 1"], ["move 1", "move 1"], ["move 2", "move 1"]],
    ),
    "baton pass": (
        "gen4customgame",
        [
            "Celebi\nAbility: Natural Cure\nEVs: 252 Spe\n- Nasty Plot\n- Baton Pass\n- Substitute\n\n"
            "Blissey\nAbility: Natural Cure\n- Soft-Boiled",
            "Blissey\nAbility: Natural Cure\n- Splash",
        ],
        [
            ["default", "default"],
            ["move 1", "move 1"],
            ["move 3", "move 1"],
            ["move 2", "move 1"],
            ["switch 2", ""],
        ],
    ),
    "diamond storm": (
        "gen6customgame",
        [
            "Diancie\nAbility: Clear Body\n- Diamond Storm\n- Moonblast",
            "Blissey\nAbility: Natural Cure\n- Splash",
        ],
        [["default", "default"], ["move 1", "move 1"]],
    ),
    "tera types": (
        "gen9customgame",
        [
            "Garchomp\nAbility: Rough Skin\nTera Type: Fairy\n- Splash\n\n"
            "Snorlax\nAbility: Immunity\nTera Type: Ghost\n- Splash",
            "Blissey\nAbility: Natural Cure\n- Splash",
        ],
        [["default", "default"]],
    ),
    "one of two": (
        "gen4customgame",
        [
            "Porygon\nAbility: Trace\n- Tackle\n\nPorygon-Z\nAbility: Adaptability\n- Tri Attack\n\n"
            "A1 (Blissey)\nAbility: Natural Cure\n- Splash\n\n"
            "B1 (Blissey)\nAbility: Natural Cure\n- Seismic Toss",
            "Blissey\nAbility: Natural Cure\n- Toxic\n- Splash",
        ],
        [["default", "default"], ["switch 2", "move 2"], ["move 1", "move 2"]],
    ),
    "ditto beside pikachu": (
        "gen1customgame",
        [
            "Ditto\n- Transform\n\nPikachu\n- Thunderbolt\n\n2 (Chansey)\n- Ice Beam",
            "Pikachu\n- Splash\n\nChansey\n- Splash",
        ],
        [["move 1", "move 1"]],
    ),
    "illusion": (
        "gen5customgame",
        [
            "Zoroark\nAbility: Illusion\n- Snarl\n\nBlissey\nAbility: Natural Cure\n- Splash",
            "Machamp\nAbility: Guts\n- Rock Throw\n- Splash",
        ],
        [["default", "default"], ["move 1", "move 2"], ["move 1", "move 1"]],
    ),
}


@pytest.fixture(scope="session")
def know(run_tracker):
    """Play a battle and return what a player knows after the first so many steps."""

    def look(name, player, steps=None):
        battle_format, teams, choices = BATTLES[name]
        generation = int(battle_format[3])
        seen = run_tracker(
            {
                "format": battle_format,
                "seed": SEED,
                "teams": teams,
                "choices": choices[:steps],
                "player": player,
                "layout": layout.describe(generation),
                "tables": layout.tables(),
            }
        )
        assert seen["outside"] == [0, 0]  # nothing is written before or after the observation
        return seen

    return look


def moves(pokemon, feature):
    return {move["id"]: move[feature] for move in pokemon["moves"]}


def test_who_has_recharged_may_act_again(know):
    bound, free = know("recharge", "p1", 1), know("recharge", "p1")
    assert bound["choices"] == ["move 1"]
    assert bound["observation"]["own"][0]["must_recharge"] == 1
    assert moves(bound["observation"]["own"][0], "available") == {"recharge": 1}
    assert free["observation"]["own"][0]["must_recharge"] == 0
    assert moves(free["observation"]["own"][0], "available") == {"hyperbeam": 1, "tackle": 1}
    assert know("recharge", "p2", 1)["observation"]["opponent"][0]["must_recharge"] == 1
    assert know("recharge", "p2")["observation"]["opponent"][0]["must_recharge"] == 0


@pytest.mark.parametrize(("player", "group"), [("p1", "own"), ("p2", "opponent")])
def test_baton_pass_hands_over_stages_and_substitute(know, player, group):
    team = {p["species"]: p for p in know("baton pass", player)["observation"][group]}
    assert (team["blissey"]["active"], team["celebi"]["active"]) == (1, 0)
    assert team["blissey"]["boosts"] == {"spa": 4}
    assert team["blissey"]["effects"] == {"SUBSTITUTE": 1}
    assert team["celebi"]["boosts"] == team["celebi"]["effects"] == {}


@pytest.mark.parametrize(("player", "group"), [("p1", "own"), ("p2", "opponent")])
def test_a_move_without_an_effect_on_its_user_is_a_move(know, player, group):
    (diancie,) = know("diamond storm", player)["observation"][group]
    (move, *_) = diancie["moves"]
    assert (move["id"], move["base_power"]) == ("diamondstorm", 50)
    assert (len(diancie["moves"]) == 2) is (group == "own")  # the other was not seen yet


def test_the_own_tera_types_are_known_and_the_others_not(know):
    own = know("tera types", "p1")["observation"]["own"]
    assert {p["species"]: p["tera_type"] for p in own} == {"garchomp": "FAIRY", "snorlax": "GHOST"}
    assert all(p["terastallized"] == 0 for p in own)
    opponent = know("tera types", "p2")["observation"]["opponent"]
    assert [p["species"] for p in opponent] == ["garchomp", "snorlax"]  # shown at team preview
    assert all(p["tera_type"] == "" for p in opponent)


def test_names_that_begin_alike_and_equal_species_are_told_apart(know):
    seen = know("one of two", "p1")
    own = seen["observation"]["own"]
    assert [p["species"] for p in own] == ["porygonz", "porygon", "blissey", "blissey"]
    assert [list(moves(p, "id").values()) for p in own] == [
        ["triattack"], ["tackle"], ["splash"], ["seismictoss"],
    ]  # fmt: skip
    assert seen["choices"] == ["switch 2", "switch 3", "switch 4", "move 1"]
    opponent = know("one of two", "p2")["observation"]["opponent"]
    assert [(p["species"], list(moves(p, "id"))) for p in opponent] == [
        ("porygon", ["tackle"]),
        ("porygonz", ["triattack"]),
    ]


def test_slots_not_names_say_who_comes_in(know):
    seen = know("ditto beside pikachu", "p1")
    assert seen["choices"] == ["switch 2", "switch 3", "move 1"]
    own = seen["observation"]["own"]
    assert [p["species"] for p in own] == ["pikachu", "pikachu", "chansey"]
    assert own[0]["effects"] == {"TRANSFORM": 1}
    (ditto,) = know("ditto beside pikachu", "p2")["observation"]["opponent"]
    assert (ditto["species"], moves(ditto, "pp")) == ("pikachu", {"splash": 100})


def test_what_an_illusion_did_is_its_own(know):
    masked = know("illusion", "p2", 2)["observation"]["opponent"]
    assert [(p["species"], p["active"]) for p in masked] == [("zoroark", 0), ("blissey", 1)]
    assert moves(masked[1], "id") == {"snarl": "snarl"}
    broken = know("illusion", "p2")["observation"]["opponent"]
    assert [(p["species"], p["active"], p["revealed"]) for p in broken] == [
        ("zoroark", 1, 1),
        ("blissey", 0, 0),
    ]
    assert (list(moves(broken[0], "id")), list(moves(broken[1], "id"))) == (["snarl"], [])
    assert (broken[1]["hp"], broken[0]["ability"]) == (100, "illusion")
    own = know("illusion", "p1", 2)["observation"]["own"]
    assert [(p["species"], p["active"]) for p in own] == [("zoroark", 1), ("blissey", 0)]
