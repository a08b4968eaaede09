"""What a player saw, read from the lines it was sent: by hand-checked battles, and by every battle's two orders."""

import json
from pathlib import Path

import numpy as np
import pytest
from poke_env.data import GenData

from poke.envs.showdown import layout
from poke.envs.showdown.__main__ import main
from poke.envs.showdown.decoding import ObservationError, check_ranges, decode
from poke.envs.showdown.observing import observe

CASES = Path(__file__).with_name("cases")
STAMP = "|t:|1795614215"


def lines_of(name):
    return (CASES / f"{name}.txt").read_text().splitlines()


@pytest.fixture(scope="module")
def seen(installed):
    """Every decision of each hand-checked battle."""
    return {path.stem: list(observe(lines_of(path.stem))) for path in CASES.glob("*.txt")}


def active(team):
    (one,) = [pokemon for pokemon in team if pokemon["active"]]
    return one


def ids(pokemon):
    return [move["id"] for move in pokemon["moves"]]


pytestmark = pytest.mark.showdown


def test_who_has_recharged_may_act_again(seen):
    one, two, three = (active(d["own"])["must_recharge"] for d in seen["recharge_gen1.p1"])
    assert (one, two, three) == (0, 1, 0)
    _, forced, free = seen["recharge_gen1.p1"]
    assert ids(active(forced["own"])) == ["recharge"]
    assert np.flatnonzero(forced["mask"]).tolist() == [6], "the only choice is shown too"
    assert np.flatnonzero(free["mask"]).tolist() == [6, 7]
    others = [active(d["opponent"])["must_recharge"] for d in seen["recharge_gen1.p2"]]
    assert others == [0, 1, 0]


def test_baton_pass_hands_over_boosts_and_substitute(seen):
    for view, side in (("p1", "own"), ("p2", "opponent")):
        blissey = active(seen[f"baton_pass_gen4.{view}"][-1][side])
        assert blissey["species"] == "blissey"
        assert blissey["boosts"] == {"spa": 4}
        assert blissey["effects"] == {"SUBSTITUTE": 1}


def test_a_move_of_odd_data_is_described(seen):
    move = active(seen["diamond_storm_gen6.p1"][-1]["own"])["moves"][0]
    assert (move["id"], move["known"], move["base_power"]) == ("diamondstorm", 1, 100)
    assert move["pp"] == 88


def test_own_tera_types_are_known_and_the_opponents_is_not(seen):
    (decision,) = seen["tera_types_gen9.p1"]
    assert {p["species"]: p["tera_type"] for p in decision["own"]} == {
        "garchomp": "FAIRY",
        "snorlax": "GHOST",
    }
    assert [p["terastallized"] for p in decision["own"]] == [0, 0]
    assert [p["tera_type"] for p in decision["opponent"]] == [None]
    assert len(decision["mask"]) == 26


def test_pokemon_of_one_species_are_told_apart(seen):
    last = seen["same_species_gen4.p1"][-1]
    assert [p["species"] for p in last["own"]] == ["porygonz", "porygon", "blissey", "blissey"]
    assert ids(last["own"][0]) == ["triattack"]
    assert [ids(p) for p in last["own"][2:]] == [["splash"], ["seismictoss"]]
    assert last["mask"][:4] == [0, 1, 1, 1]
    theirs = seen["same_species_gen4.p2"][-1]["opponent"]
    assert [(p["species"], ids(p)) for p in theirs] == [
        ("porygon", ["tackle"]),
        ("porygonz", ["triattack"]),
    ]


def test_a_transformed_pokemon_keeps_its_slot(seen):
    last = seen["transformed_ditto_gen1.p1"][-1]
    assert [p["species"] for p in last["own"]] == ["pikachu", "pikachu", "chansey"]
    assert active(last["own"])["effects"] == {"TRANSFORM": 1}
    assert np.flatnonzero(last["mask"]).tolist() == [1, 2, 6]


def requests_first(lines):
    """The same battle as another server sends it: each request before its update's lines."""
    updates, update = [], []
    for line in lines:
        if line.startswith("|request|"):
            updates.append([line, *update])
            update = []
        else:
            update.append(line)
    return [line for update in updates for line in update]


@pytest.mark.parametrize("name", sorted(path.stem for path in CASES.glob("*.txt")))
def test_either_order_of_requests_and_lines_shows_the_same(seen, name):
    turned = requests_first(lines_of(name))
    assert turned[0].startswith("|request|")
    assert list(observe(turned)) == seen[name]


def test_a_decision_before_the_end_is_not_lost_where_requests_come_first(seen):
    turned = requests_first(lines_of("recharge_gen1.p1"))
    end = [
        STAMP,
        "|move|p1a: Tauros|Tackle|p2a: Cloyster",
        "|faint|p2a: Cloyster",
        "|",
        "|win|p1name",
    ]
    assert list(observe([*turned, *end])) == seen["recharge_gen1.p1"]


def test_a_room_of_a_server_with_its_chatter_is_read(seen):
    lines = lines_of("recharge_gen1.p1")
    room = [">battle-gen1customgame-1", "|init|battle", "|title|a vs. b", "|j|a", "|request|", ""]
    chatter = ["|c|a|gg|wp", "|inactive|Time left: 150 sec", "a remark"]
    heard = [*room, *lines[:20], *chatter, *lines[20:]]
    assert list(observe(heard)) == seen["recharge_gen1.p1"]


def test_a_trap_that_shows_when_it_is_tried_is_another_decision(seen):
    lines = lines_of("same_species_gen4.p1")
    free = next(i for i, line in enumerate(lines) if line.startswith("|request|"))
    request = json.loads(lines[free].removeprefix("|request|"))
    request["active"][0]["trapped"] = True
    tried = ["|error|[Unavailable choice] Can't switch: trapped", "|request|" + json.dumps(request)]
    for heard in (lines[: free + 1] + tried, requests_first(lines[: free + 1]) + tried):
        first, second = observe(heard)
        assert first == seen["same_species_gen4.p1"][0]
        assert (sum(first["mask"]), sum(second["mask"])) == (4, 1)
        assert second["global"]["trapped"] == 1


def test_the_command_prints_a_json_line_a_decision(installed, seen, capsys):
    assert main(["observe", str(CASES / "baton_pass_gen4.p2.txt"), "--player", "p2"]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said == seen["baton_pass_gen4.p2"]
    assert list(said[0]) == ["turn", "mask", "own", "opponent", "global"]
    assert [d["turn"] for d in said] == sorted(d["turn"] for d in said)


def write(path, lines):
    path.write_text("\n".join(lines))
    return str(path)


MISTAKES = {
    "doubles": (
        lambda lines: [line.replace("|gametype|singles", "|gametype|doubles") for line in lines],
        (),
        "format gen1customgame is not played: it is doubles, only singles are",
    ),
    "another player": (
        lambda lines: lines,
        ("--player", "p2"),
        "the requests are p1's, not p2's",
    ),
    "no generation": (
        lambda lines: [line for line in lines if not line.startswith("|gen|")],
        (),
        "the lines do not say of which generation they are: add --format gen1, say",
    ),
    "no requests": (
        lambda lines: [line for line in lines if not line.startswith("|request|")],
        (),
        "there is no |request| line: what a player could choose is not known",
    ),
    "a broken request": (
        lambda lines: [line[:200] if line.startswith("|request|") else line for line in lines],
        (),
        "this is no request: |request|",
    ),
    "an empty file": (
        lambda lines: [],
        (),
        "there is no |request| line: what a player could choose is not known",
    ),
    "a turn without a number": (
        lambda lines: [*lines[:16], "|turn|abc", *lines[16:]],
        (),
        "cannot read the line '|turn|abc': it has no number",
    ),
    "a format that does not exist": (
        lambda lines: lines,
        ("--format", "gen1randombatle"),
        "format gen1randombatle is unknown: did you mean gen1randombattle?",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_in_one_line(installed, tmp_path, capsys, mistake):
    change, options, answer = MISTAKES[mistake]
    file = write(tmp_path / "lines.txt", change(lines_of("recharge_gen1.p1")))
    assert main(["observe", file, *options]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"poke: {answer}")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("line", ["|move|", '|request|{"foo":1}', "|request|[1,2]", "|request|{"])
def test_a_line_that_cannot_be_read_is_shown(installed, tmp_path, capsys, seen, line):
    lines = lines_of("recharge_gen1.p1")
    second = next(i for i, text in enumerate(lines) if text.startswith("|turn|2"))
    assert (
        main(["observe", write(tmp_path / "a.txt", [*lines[:second], line, *lines[second:]])]) == 2
    )
    said = capsys.readouterr()
    assert [json.loads(text) for text in said.out.splitlines()] == seen["recharge_gen1.p1"][:1]
    assert said.err.startswith(f"poke: cannot read the line '{line}': ")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_file_of_any_system_is_read(installed, tmp_path, capsys, seen, end, mark):
    file = tmp_path / "lines.txt"
    file.write_bytes((mark + end.join(lines_of("recharge_gen1.p1"))).encode())
    assert main(["observe", str(file)]) == 0
    said = capsys.readouterr().out
    assert [json.loads(line) for line in said.splitlines()] == seen["recharge_gen1.p1"]


def test_a_file_that_cannot_be_read_is_said(tmp_path, capsys):
    (tmp_path / "noise").write_bytes(bytes(range(256)))
    for name, why in {
        "nothing.txt": ": no such file or directory",
        "": ": is a directory",
        "noise": " is not text (UTF-8)",
    }.items():
        assert main(["observe", str(tmp_path / name)]) == 2
        assert capsys.readouterr().err == f"poke: {tmp_path / name}{why}\n"


def test_the_format_may_be_told(installed, seen, tmp_path):
    lines = [x for x in lines_of("recharge_gen1.p1") if not x.startswith(("|gen|", "|tier|"))]
    assert list(observe(lines, battle_format="gen1")) == seen["recharge_gen1.p1"]


def of_features(**bytes_by_name):
    """An observation of an own first Pokemon, its first move, and what is told."""
    observation = np.zeros(layout.SIZE, np.int8)
    for field in layout.describe(9)["kinds"]["pokemon"]["dense"]:
        if field["name"] in {"known", *bytes_by_name}:
            at = layout.GLOBAL_SIZE + field["offset"]
            observation[at : at + field["size"]] = bytes_by_name.get(field["name"], 1)
    return observation


def test_every_feature_is_there_by_its_name_and_every_part():
    rng = np.random.default_rng(0)
    described = layout.describe(9)
    observation = rng.integers(1, 2, layout.SIZE).astype(np.int8)
    said = decode(observation, described)
    kinds = {
        "global": said["global"],
        "pokemon": said["own"][5],
        "move": said["opponent"][5]["moves"][3],
    }
    fields = {
        "global": described["kinds"]["global"],
        "pokemon": described["kinds"]["pokemon"],
        "move": described["kinds"]["pokemon"]["moves"],
    }
    for name, one in kinds.items():
        for field in fields[name]["dense"]:
            if field["parts"]:
                assert list(one[field["name"]]) == field["parts"]
            else:
                assert one[field["name"]]
    assert len(said["own"]) == len(said["opponent"]) == layout.TEAM_SIZE
    json.dumps(said)


def test_units_are_natural():
    (one,) = decode(
        of_features(stats=25, base_stats=50, offence=32, matchup=-48, hp=43, boosts=-6)
    )["own"]
    assert one["stats"]["atk"] == 200
    assert one["base_stats"]["spe"] == 100
    assert (one["offence"], one["matchup"], one["hp"]) == (2, -2, 43)
    assert one["boosts"] == dict.fromkeys(layout.BOOSTS, -6)
    assert one["species"] is None


def test_powers_are_the_moves_own():
    kind = layout.describe(9)["kinds"]["pokemon"]
    power = next(f for f in kind["moves"]["dense"] if f["name"] == "base_power")
    at = layout.GLOBAL_SIZE + kind["moves"]["offset"]
    observation = of_features()
    observation[at] = 1  # the move is known
    powers = {m["basePower"] for g in range(1, 10) for m in GenData.from_gen(g).moves.values()}
    for real in sorted(p for p in powers if p <= 254):
        observation[at + power["offset"]] = -(-real // 2)
        (move,) = decode(observation)["own"][0]["moves"]
        assert move["base_power"] == real


def test_bytes_of_another_layout_or_size_are_refused():
    older = {**layout.describe(1), "version": 1}
    with pytest.raises(ObservationError, match="in layout 1, and this poke shows them in layout 2"):
        decode(np.zeros(layout.SIZE, np.int8), older)
    with pytest.raises(ObservationError, match=r"not \[3\] int8"):
        decode(np.zeros(3, np.int8))


def test_values_out_of_range_are_named():
    described = layout.describe(1)
    good = np.stack([of_features(), of_features(hp=100)])
    check_ranges(good, described)
    with pytest.raises(ObservationError, match=r"own\[0\]\.hp has byte 101, not 0 to 100"):
        check_ranges(np.stack([of_features(hp=100), of_features(hp=101)]), described)
    start = layout.GLOBAL_SIZE + next(
        f["offset"] for f in described["kinds"]["pokemon"]["ids"] if f["name"] == "species"
    )
    good[1, start : start + 2] = -1
    with pytest.raises(ObservationError, match=r"own\[0\]\.species is 65535, of \d+ ids"):
        check_ranges(good, described)
