import numpy as np
import pytest

from poke.envs.showdown import layout
from poke.envs.showdown.formats import FormatError, generation
from poke.envs.showdown.pipes.workers import (
    ASKED,
    REFUSED,
    BattleWorkers,
    Start,
    battle_seeds,
    unpack_masks,
)

TRAPPING = """\
Gothitelle @ Leftovers
Ability: Shadow Tag
EVs: 252 HP / 252 SpA / 4 Spe
Bold Nature
- Psychic
- Rest

Blissey @ Leftovers
Ability: Natural Cure
EVs: 252 HP / 252 Def / 4 SpD
Bold Nature
- Seismic Toss
- Soft-Boiled
"""
TRAPPED = """\
Snorlax @ Leftovers
Ability: Immunity
EVs: 252 HP / 252 Atk / 4 Spe
Adamant Nature
- Body Slam
- Rest

Blissey @ Leftovers
Ability: Natural Cure
EVs: 252 HP / 252 Def / 4 SpD
Bold Nature
- Seismic Toss
- Soft-Boiled

Pikachu @ Light Ball
Ability: Static
EVs: 252 SpA / 252 Spe / 4 HP
Timid Nature
- Thunderbolt
- Surf
"""
BLANK = "\n\n"
PACKED = (
    "gen9ou]mine|Snorlax||leftovers|immunity|bodyslam,rest|Adamant|252,252,,,,4|||||"
    "]Blissey||leftovers|naturalcure|seismictoss,softboiled|Bold|252,,252,,4,|||||"
)


@pytest.mark.parametrize("gen", range(1, 10))
def test_the_generation_is_told_by_the_name(gen):
    assert generation(f"gen{gen}randombattle") == gen
    assert generation(f"gen{gen}ou") == gen


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (
            "randombattle",
            "format randombattle is unknown: formats are named as gen1randombattle is",
        ),
        ("gen1", "format gen1 is unknown: formats are named as gen1randombattle is"),
        ("gen9ou@@@Scalemons Mod", "format gen9ou@@@Scalemons Mod is unknown: .*"),
        ("gen9doublesou", "format gen9doublesou is not played: it is doubles, only singles are"),
        ("gen9vgc2024regg", "format gen9vgc2024regg is not played: it is vgc, only singles are"),
        ("gen8multirandombattle", "format .* is not played: it is multi, only singles are"),
    ],
)
def test_what_a_name_tells_is_refused_without_node(name, why):
    with pytest.raises(FormatError, match=f"^{why}$"):
        generation(name)


def refusal_of(name, teams=None):
    with pytest.raises(FormatError) as refused:
        BattleWorkers(name, num_battles=1, num_workers=1, teams=teams)
    message = str(refused.value)
    assert "\n" not in message
    return message


@pytest.mark.showdown
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("gen1randombatle", "format gen1randombatle is unknown: did you mean gen1randombattle?"),
        ("gen1xyzzy", "format gen1xyzzy is unknown"),
        (
            "gen7letsgoou",
            "format gen7letsgoou is not played: it changes the games (mod gen7letsgo)",
        ),
        ("gen1stadiumou", "it changes the games (mod gen1stadium)"),
        ("gen9mixandmega", "it changes the games (mod mixandmega)"),
        ("gen9customgame", "it is a custom game, which has no rules and shows exact HP"),
        ("gen6randombattleb12p6noteampreview", "its teams have up to 12 Pokemon"),
        ("gen1ou", "format gen1ou needs a file of teams"),
    ],
)
def test_what_only_the_simulator_knows_is_refused_by_name(installed, name, why):
    message = refusal_of(name)
    assert message.startswith(why) or message.endswith(why)


@pytest.mark.showdown
@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("gen1randombattle", TRAPPED, "format gen1randombattle draws its own teams: leave out teams"),
        ("gen9ou", "", "teams.txt holds no team"),
        ("gen9ou", f"=== [gen9ou] a ===\n{TRAPPED}\n=== b ===\n{TRAPPING}", "team 2 is not valid in gen9ou"),
        ("gen9ou", TRAPPED.replace("Body Slam", "Spore"), "Snorlax can't learn Spore"),
        ("gen1ou", TRAPPED, "teams.txt: team 1 is not valid in gen1ou: "),
    ],
)  # fmt: skip
def test_teams_that_are_not_valid_are_refused(installed, tmp_path, name, text, why):
    teams = tmp_path / "teams.txt"
    teams.write_text(text)
    assert why in refusal_of(name, teams)


def test_teams_that_cannot_be_read_are_refused(tmp_path):
    teams = tmp_path / "none.txt"
    assert refusal_of("gen9ou", teams).startswith(f"teams {teams} cannot be read: ")


def own_species(record, read):
    ids = {number: name for name, number in layout.tables()["species"].items()}
    reader = read(record["observation"], 9)
    return [ids.get(reader("own", "species", slot), "") for slot in range(3)]


@pytest.mark.showdown
@pytest.mark.parametrize(
    ("text", "leads"),
    [
        (TRAPPED, {"snorlax"}),
        (PACKED, {"snorlax"}),
        (PACKED.partition("|")[2] + "\n" + PACKED, {"snorlax"}),
        (f"=== a ===\n\n{TRAPPED}\n\n=== b ===\n\n{TRAPPED.partition(BLANK)[2]}", {"snorlax", "blissey"}),
    ],
)  # fmt: skip
def test_teams_of_a_file_are_drawn_by_the_battles_seed(installed, tmp_path, read, text, leads):
    teams = tmp_path / "teams.txt"
    teams.write_text(text)
    with BattleWorkers("gen9ou", num_battles=8, num_workers=1, teams=teams) as workers:
        drawn = []
        for _ in range(2):
            workers.begin(Start(i, battle_seeds(i)) for i in range(8))
            drawn.append([own_species(record, read)[0] for record in workers.exchange()])
    assert drawn[0] == drawn[1]
    assert set(drawn[0]) == leads


@pytest.mark.showdown
@pytest.mark.parametrize(
    ("format", "trapped_team"),
    [
        ("gen9anythinggoes", TRAPPED),
        ("gen7anythinggoes", TRAPPED.replace("- Rest\n", "")),  # one choice is left
    ],
)
def test_a_refused_choice_asks_the_same_decision_again_with_a_smaller_mask(
    installed, tmp_path, read, format, trapped_team
):
    teams = tmp_path / "teams.txt"
    teams.write_text(f"=== a ===\n{TRAPPING}\n=== b ===\n{trapped_team}")
    num_battles = 8
    with BattleWorkers(format, num_battles=num_battles, num_workers=1, teams=teams) as workers:
        workers.begin(Start(i, battle_seeds(i)) for i in range(num_battles))
        first = workers.exchange()
        species = [own_species(record, read)[0] for record in first]
        trapped = {
            (i // 2, i % 2)
            for i in range(2 * num_battles)
            if species[i] == "snorlax" and species[i ^ 1] == "gothitelle"
        }
        assert 0 < len(trapped) < num_battles
        workers.choose(first["battle"], first["seat"], np.full(len(first), 1))  # all switch
        again = workers.exchange()
        refused = again[again["flags"] & REFUSED != 0]
        assert {(int(r["battle"]), int(r["seat"])) for r in refused} == trapped
        for record in refused:
            before = first[2 * record["battle"] + record["seat"]]
            assert record["flags"] == ASKED | REFUSED
            assert record["turn"] == before["turn"] == 1
            assert record["refused"] == 1
            others = (1 << len(trapped_team.split(BLANK))) - 2  # all but the first of the team
            assert before["mask"] & 0b111111 == others
            assert record["mask"] == before["mask"] & ~np.uint32(0b111111)
            # the other has chosen already, and is not asked again
            assert (again["battle"] == record["battle"]).sum() == 1
            state = workers.state_of(record["battle"])
            assert state.replay.count((int(record["seat"]), 1)) == 1
            workers.begin([state])
        # replayed, the refusal is there again
        assert workers.exchange().tobytes() == refused.tobytes()
        for record in refused:
            move = np.flatnonzero(unpack_masks(record["mask"], 26))[0]
            workers.choose(record["battle"], record["seat"], move)
        after = workers.exchange()
        assert (after["flags"] == ASKED).all()
        assert (after["turn"] == 2).all()
        assert sorted(after["refused"]) == [0] * len(trapped) + [1] * len(trapped)
        for record in after:
            switched = (int(record["battle"]), 1 - int(record["seat"])) not in trapped
            assert (record["opponent_action"] == 1) == switched
