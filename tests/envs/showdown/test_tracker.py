"""What a player knows, played by the real simulator: cases that were wrong where battles were read otherwise."""

import pytest

from poke.envs.showdown import layout

pytestmark = pytest.mark.showdown

SEED = "sodium,00000000000000000000000000000001"
# What abilities forbid others to use.
FORBIDDEN = {
    "Damp": "Explosion",
    "Dazzling": "Quick Attack",
    "Queenly Majesty": "Quick Attack",
    "Armor Tail": "Quick Attack",
}
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
    "gas": (
        "gen9customgame",
        [
            "Weezing\nAbility: Neutralizing Gas\n- Tackle",
            "Dialga\nAbility: Pressure\n- Splash",
        ],
        [["default", "default"], ["move 1", "move 1"]],
    ),
    "terastallized morpeko": (
        "gen9customgame",
        [
            "Morpeko\nAbility: Hunger Switch\nTera Type: Fire\n- Splash\n\n"
            "Blissey\nAbility: Natural Cure\n- Splash",
            "Blissey\nAbility: Natural Cure\n- Splash",
        ],
        [
            ["default", "default"],
            ["move 1", "move 1"],
            ["move 1 terastallize", "move 1"],
            ["switch 2", "move 1"],
            ["switch 2", "move 1"],
        ],
    ),
    **{
        f"pursuit gen{gen}": (
            f"gen{gen}customgame",
            [
                "Fearow\nAbility: Keen Eye\n- Pursuit\n- Peck",
                "Moltres\nAbility: Pressure\n- Roost\n\nBlissey\nAbility: Natural Cure\n- Splash",
            ],
            [*([["default", "default"]] if gen > 4 else []), ["move 1", "switch 2"]],
        )
        for gen in (3, 4, 5)
    },
    **{
        ability: (
            "gen9customgame",
            [
                f"Pikachu\nAbility: Static\n- {move}",
                f"Blissey\nAbility: {ability}\n- Splash",
            ],
            [["default", "default"], ["move 1", "move 1"]],
        )
        for ability, move in FORBIDDEN.items()
    },
    "terastallized illusion": (
        "gen9customgame",
        [
            "Zoroark\nAbility: Illusion\nTera Type: Fire\n- Splash\n\n"
            "Snorlax\nAbility: Immunity\n- Splash",
            "Blissey\nAbility: Natural Cure\n- Splash",
        ],
        [["default", "default"], ["move 1 terastallize", "move 1"], ["switch 2", "move 1"]],
    ),
    "illusion of a namesake": (
        "gen5customgame",
        [
            "Blissey\nAbility: Natural Cure\n- Splash\n\nMew (Zoroark)\nAbility: Illusion\n- Snarl\n\n"
            "Mew (Snorlax)\nAbility: Immunity\n- Splash",
            "Blissey\nAbility: Natural Cure\n- Splash",
        ],
        [["default", "default"], ["switch 2", "move 1"]],
    ),
}
# What an ability says when it has taken a move in, and what it says besides.
ABILITIES = {
    "Sap Sipper": "|-ability|p1a: Snorlax|Sap Sipper|boost",
    "Flash Fire": "|-start|p1a: Snorlax|ability: Flash Fire",
    "Volt Absorb": "|-heal|p1a: Snorlax|400/400|[from] ability: Volt Absorb|[of] p2a: Dragonite",
    "rain": "|-heal|p1a: Snorlax|350/400|[from] ability: Dry Skin",
    "Stamina": "|-ability|p1a: Snorlax|Stamina|boost",
}
# Lines alone, where dice would have to fall just so.
LINES = {
    "mimic by metronome": (
        "gen1customgame",
        [
            "|switch|p1a: Paras|Paras, L82|225/225",
            "|switch|p2a: Machamp|Machamp|185/185",
            "|move|p2a: Machamp|Metronome|p2a: Machamp",
            "|move|p2a: Machamp|Mimic|p1a: Paras|[from] Metronome",
            "|-start|p2a: Machamp|Mimic|Flash",
        ],
    ),
    "unmasked": (
        "gen9customgame",
        [
            "|switch|p1a: Snorlax|Snorlax|400/400",
            "|switch|p2a: Overqwil|Overqwil, L36, M|151/151",
            "|upkeep",
            "|-start|p2a: Overqwil|typechange|Fire|[silent]",
            "|turn|2",
            "|replace|p2a: Zoroark|Zoroark, L36, M",
        ],
    ),
    "rampage": (
        "gen4customgame",
        [
            "|switch|p1a: Snorlax|Snorlax|400/400",
            "|switch|p2a: Dragonite|Dragonite, M|300/300",
            "|move|p2a: Dragonite|Outrage|p1a: Snorlax",
            "|-damage|p1a: Snorlax|300/400",
            "|upkeep",
            "|turn|2",
            "|move|p2a: Dragonite|Outrage|p1a: Snorlax|[from]lockedmove|[miss]",
            "|-miss|p2a: Dragonite|p1a: Snorlax",
            "|upkeep",
        ],
    ),
    **{
        f"rampage and {name}": (
            "gen7customgame",
            [
                "|switch|p1a: Snorlax|Snorlax|300/400",
                "|switch|p2a: Dragonite|Dragonite, M|300/300",
                "|move|p2a: Dragonite|Petal Dance|p1a: Snorlax",
                line,
            ],
        )
        for name, line in ABILITIES.items()
    },
    "asleep and confused": (
        "gen3customgame",
        [
            "|switch|p1a: Snorlax|Snorlax|400/400",
            "|switch|p2a: Mew|Mew|100/100",
            "|-start|p2a: Mew|confusion",
            "|-status|p2a: Mew|slp",
            "|cant|p2a: Mew|slp",
            "|-activate|p2a: Mew|confusion",
            "|-damage|p2a: Mew|90/100 slp|[from] confusion",
            "|upkeep",
            "|switch|p2a: Muk|Muk, M|100/100",
            "|switch|p2a: Mew|Mew|90/100 slp",
        ],
    ),
    "skill swap": (
        "gen5customgame",
        [
            "|switch|p1a: Snorlax|Snorlax|400/400",
            "|switch|p2a: Gengar|Gengar, M|100/100",
            "|move|p1a: Snorlax|Skill Swap|p2a: Gengar",
            "|-activate|p1a: Snorlax|move: Skill Swap|Levitate|Immunity|[of] p2a: Gengar",
            "|switch|p2a: Muk|Muk, M|100/100",
        ],
    ),
    "transform of somebody unknown": (
        "gen3customgame",
        [
            "|switch|p1a: Snorlax|Snorlax|400/400",
            "|switch|p2a: Ditto|Ditto|100/100",
            "|-transform|p2a: Ditto|p1a: Snorlax",
            "|-ability|p2a: Ditto|Thick Fat",
            "|switch|p2a: Muk|Muk, M|100/100",
        ],
    ),
    "mimic under an illusion": (
        "gen9customgame",
        [
            "|switch|p1a: Snorlax|Snorlax|400/400",
            "|switch|p2a: Mew|Mew|100/100",
            *(f"|move|p2a: Mew|{move}|p1a: Snorlax" for move in ("Pound", "Toxic", "Surf", "Fly")),
            "|switch|p2a: Muk|Muk, M|100/100",
            "|switch|p2a: Mew|Mew|100/100",
            "|move|p2a: Mew|Mimic|p1a: Snorlax",
            "|-start|p2a: Mew|Mimic|Splash",
            "|move|p2a: Mew|Splash|p2a: Mew",
            "|replace|p2a: Zoroark|Zoroark, M",
            "|switch|p2a: Muk|Muk, M|100/100",
        ],
    ),
    **{
        f"crash after {name}": (
            "gen1customgame",
            [
                "|switch|p1a: Snorlax|Snorlax|400/400",
                "|switch|p2a: Tauros|Tauros|100/100",
                "|move|p2a: Tauros|Thrash|p1a: Snorlax",
                "|-start|p2a: Tauros|confusion",
                "|-activate|p2a: Tauros|confusion",
                *lines,
                "|-hint|In Gen 1, if a Pokemon with a Substitute hurts itself due to confusion or Jump Kick",
            ],
        )
        for name, lines in {
            "nothing": [],
            "a move": ["|move|p2a: Tauros|Thrash|p1a: Snorlax|[from] Thrash"],
            "none": ["|cant|p2a: Tauros|Disable|Thrash"],
        }.items()
    },
}
WAITING = '|request|{"wait":true,"side":{"id":"p1","name":"p1name","pokemon":[]}}'


@pytest.fixture(scope="session")
def hear(run_tracker):
    """Return what p1 knows of the opponent after the first so many lines."""

    def listen(name, number=None):
        battle_format, lines = LINES[name]
        settings = {"format": battle_format, "player": "p1", "tables": layout.tables()}
        settings["layout"] = layout.describe(int(battle_format[3]))
        seen = run_tracker({**settings, "lines": [*lines[:number], WAITING]})
        return seen["observation"]["opponent"]

    return listen


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


def test_a_pressure_that_a_gas_suppresses_costs_no_pp(know):
    (weezing,) = know("gas", "p2")["observation"]["opponent"]
    assert moves(weezing, "pp") == {"tackle": 98}  # 55 of 56, not 54


@pytest.mark.parametrize(("generation", "pp"), [(3, 94), (4, 97), (5, 94)])
def test_a_pursuit_of_who_leaves_costs_no_more_under_pressure_in_gen_4(know, generation, pp):
    for player, group in [("p1", "own"), ("p2", "opponent")]:
        (fearow,) = know(f"pursuit gen{generation}", player)["observation"][group]
        assert moves(fearow, "pp")["pursuit"] == pp


@pytest.mark.parametrize("ability", FORBIDDEN)
def test_an_ability_that_forbids_moves_is_its_holders(know, ability):
    (holder,) = know(ability, "p1")["observation"]["opponent"]
    (mover,) = know(ability, "p2")["observation"]["opponent"]
    assert holder["ability"] == ability.lower().replace(" ", "")
    assert mover["ability"] == ""
    assert len(mover["moves"]) == 1


def test_morpeko_stays_as_it_was_when_it_terastallized(know):
    seen = know("terastallized morpeko", "p2")["observation"]["opponent"]
    assert {(p["species"], p["active"], p["ability"]) for p in seen} == {
        ("morpekohangry", 1, "hungerswitch"),
        ("blissey", 0, ""),
    }
    assert know("terastallized morpeko", "p1")["observation"]["own"][0]["terastallized"] == 1


def test_who_comes_in_without_a_tera_type_has_not_terastallized(know):
    masked, real = (
        {
            p["species"]: p
            for p in know("terastallized illusion", "p2", n)["observation"]["opponent"]
        }
        for n in (2, 3)
    )
    assert (masked["snorlax"]["active"], masked["snorlax"]["types"]) == (1, {"FIRE": 1})
    assert (real["snorlax"]["active"], real["snorlax"]["types"]) == (1, {"NORMAL": 1})
    assert real["snorlax"]["terastallized"] == 0


def test_an_own_illusion_of_a_namesake_stays_what_it_is(know):
    own = know("illusion of a namesake", "p1")["observation"]["own"]
    assert [(p["species"], p["active"]) for p in own] == [
        ("zoroark", 1),
        ("blissey", 0),
        ("snorlax", 0),
    ]
    assert (own[0]["types"], own[2]["types"]) == ({"DARK": 1}, {"NORMAL": 1})


def test_a_mimic_that_metronome_called_takes_its_place(hear):
    (machamp,) = hear("mimic by metronome")
    assert list(moves(machamp, "id")) == ["flash"]


def test_types_by_an_illusions_looks_end_with_it(hear):
    (masked,) = hear("unmasked", 5)
    assert (masked["species"], masked["types"]) == ("overqwil", {"FIRE": 1})
    (zoroark,) = [p for p in hear("unmasked") if p["active"]]
    assert (zoroark["species"], zoroark["types"]) == ("zoroark", {"DARK": 1})


def test_a_rampage_that_misses_ends_with_the_turn(hear):
    (during,), (after,) = hear("rampage", 8), hear("rampage")
    assert during["effects"] == {"LOCKED_MOVE": 1}
    assert after["effects"] == {}


@pytest.mark.parametrize("name", ABILITIES)
def test_a_rampage_that_an_ability_takes_in_binds_nobody(hear, name):
    (dragonite,) = hear(f"rampage and {name}")
    assert dragonite["effects"] == ({"LOCKED_MOVE": 1} if name in ("rain", "Stamina") else {})


def test_what_was_slept_through_by_sleep_talk_is_forgotten_on_leaving(hear):
    (before, *_), (after, _) = hear("asleep and confused", 8), hear("asleep and confused")
    assert (before["status_counter"], after["status_counter"]) == (1, 0)


def test_both_abilities_that_were_swapped_are_told_whose_they_were(hear):
    gengar, _ = hear("skill swap")
    assert gengar["ability"] == "levitate"


def test_an_ability_that_transform_copied_unknown_is_not_its_own(hear):
    (ditto,) = hear("transform of somebody unknown", 4)
    assert ditto["ability"] == "thickfat"
    ditto, _ = hear("transform of somebody unknown")
    assert ditto["ability"] == ""


def test_what_mimic_became_under_an_illusion_is_no_move_of_its_own(hear):
    team = {p["species"]: list(moves(p, "id")) for p in hear("mimic under an illusion", 12)}
    assert team["zoroark"] == ["splash"]
    team = {p["species"]: list(moves(p, "id")) for p in hear("mimic under an illusion")}
    assert team["zoroark"] == ["mimic"]
    assert team["mew"] == ["pound", "toxic", "surf", "fly"]


@pytest.mark.parametrize(("name", "locked"), [("nothing", False), ("a move", True), ("none", True)])
def test_only_who_was_confused_last_is_hurt_behind_a_substitute(hear, name, locked):
    (tauros,) = hear(f"crash after {name}")
    assert ("LOCKED_MOVE" in tauros["effects"]) == locked
