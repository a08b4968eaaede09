"""What is imported of logs of battles that others have played."""

import errno
import gzip
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from poke.data import trajectories
from poke.data.demonstrations import Demonstrations
from poke.envs.showdown import installation, layout
from poke.envs.showdown.decoding import decode
from poke.envs.showdown.formats import FormatError
from poke.envs.showdown.replays import Importer, store
from poke.record import main

from ...selecting import few

HERE = Path(__file__).parent
SHORT = (HERE / "replays" / "short.log").read_text()
# What either player chose in it: places in the order of appearance, moves in that of discovery; -1 does not show.
CHOSEN = {0: [6, 1, -1, 1, -1, 7, -1], 1: [6, 7, 7, 1, 6, -1]}
pytestmark = [pytest.mark.showdown, pytest.mark.usefixtures("installed")]
WORKER = Path(installation.__file__).parent / "worker"
FORMAT = "gen1randombattle"


def import_logs(folder, logs, format=FORMAT, **options):
    """Write logs by their files' names and import the folder; return the summary and what was written."""
    source = folder / "logs"
    source.mkdir()
    for name, log in logs.items():
        (source / name).write_bytes(log if isinstance(log, bytes) else log.encode())
    importer = Importer(format=format, **options)
    summary = importer.run(source, folder / "out.parquet", on_progress=lambda _: None)
    return summary, trajectories.read(folder / "out.parquet")


def lines(text, *more, after):
    """Return a log with lines put in after each line that begins so."""
    put = []
    for line in text.splitlines():
        put.append(line)
        if line.startswith(after):
            put += more
    return "\n".join(put) + "\n"


def episode(data, number):
    """Return the rows of an episode."""
    return np.flatnonzero(data.episode == number)


# ---- against what the players saw


def compare(format, battles, teams=None):
    settings = {
        "format": format,
        "layout": layout.describe(int(format[3])),
        "tables": layout.tables(),
        "battles": battles,
        "teams": teams,
    }
    command = [installation.find_node(), HERE / "replays" / "main.js", installation.find_package()]
    done = subprocess.run(
        [*command, WORKER], input=json.dumps(settings), capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("generation", few(range(1, 10), 1, 9))
def test_what_is_known_is_what_the_players_saw_and_chose(generation):
    report = compare(f"gen{generation}randombattle", [0, 3])

    assert report["wrong"] == {}, report["examples"]
    assert report["decisions"] > 200
    assert report["moves"]["chosen"] > 0.75 * report["moves"]["decisions"]
    assert report["bytes"]["known"] > 0.6 * report["bytes"]["all"]


def test_it_is_so_with_team_preview_illusions_and_copies():
    teams = {"name": "teams.txt", "text": (HERE / "replays" / "teams.txt").read_text()}
    report = compare("gen9ou", [0, 4], teams)

    assert report["wrong"] == {}, report["examples"]
    assert report["decisions"] > 200


# ---- what is read of a log


def test_the_choices_of_both_players(tmp_path):
    summary, data = import_logs(tmp_path, {"a.log": SHORT})

    for player, chosen in CHOSEN.items():
        assert data.action[data.player == player].tolist() == chosen
    assert (summary.battles, summary.decisions, summary.unknown) == (1, 13, 4)
    assert data.outcome.tolist() == [-1] * 7 + [1] * 6


def test_an_own_pokemon_that_has_not_come_in_is_filled_in(tmp_path):
    _, data = import_logs(tmp_path, {"a.log": SHORT})
    seen = decode(data.observation[0])
    known = data.is_known(slice(0, 1))[0]

    gengar, unseen = seen["own"][1], seen["own"][2]
    assert (gengar["species"], gengar["revealed"], gengar["hp"]) == ("gengar", 0, 100)
    assert (unseen["known"], unseen["species"], unseen["moves"]) == (1, None, [])
    assert [move["id"] for move in seen["own"][0]["moves"]] == ["bodyslam", "earthquake"]
    group = layout.describe(1)["groups"][1]
    species = next(
        f["offset"] for f in layout.describe(1)["kinds"]["pokemon"]["ids"] if f["name"] == "species"
    )
    of_species = [bool(known[group["offset"] + i * group["size"] + species]) for i in range(3)]
    assert of_species == [True, False, False]


BEFORE_TURN_2 = "|-damage|p2a: Starmie|61/100"
HARMLESS = {
    "chat with bars": lines(
        SHORT,
        "|c|☆Ann|lol |switch|p1a: Gengar|Gengar, L70|1/100",
        "|c:|1|Bob||win|Ann",
        after=BEFORE_TURN_2,
    ),
    "no kind": lines(SHORT, "||Ann says |win|Ann", "hello", after=BEFORE_TURN_2),
    "talk": lines(
        SHORT,
        "|N|☆Ann!|ann",
        "|badge|p1|gold|gen1ou|100",
        "|uhtml|a|<b>|win|Ann</b>",
        "|raw|<div>|turn|9</div>",
        "|inactive|Bob has 30 seconds left.",
        "|inactiveoff|Battle timer is now OFF.",
        "|-message|Bob lost his connection.",
        "|seed|1,2,3,4",
        after=BEFORE_TURN_2,
    ),
    "who left has no name": SHORT + "|player|p2|\n|player|p1\n|l|Bob\n",
    "ratings": SHORT
    + "|raw|Bob's rating: 1311 &rarr; <strong>1340</strong><br />(+29 for winning)\n"
    "|raw|Ann's rating: 1502 → <strong>1470</strong><br />(-32 for losing)\n",
    "signs before names": SHORT.replace("|Ann|", "|☆Ann |").replace("|win|Bob", "|win|☆ Bob"),
    "ends of lines": SHORT.replace("\n", "\r\n"),
    "escapes": SHORT.replace("/", "\\/").replace("'", "&#39;"),
    "a player's own requests": lines(SHORT, '|request|{"wait":true}', after=BEFORE_TURN_2),
    "a forfeit": SHORT.replace("|win|Bob", "|-message|Ann forfeited.\n|\n|win|Bob"),
    "no times": SHORT.replace("|t:|1700000001\n", ""),
    "both sides of a split": SHORT.replace(
        "|-damage|p1a: Snorlax|52/100 par",
        "|split|p1\n|-damage|p1a: Snorlax|52/100 par\n|-damage|p1a: Snorlax|52/100 par",
    ),
    "a split of 2017": SHORT.replace(
        "|-damage|p1a: Snorlax|52/100 par",
        "\n".join(["|split", *4 * ["|-damage|p1a: Snorlax|52/100 par"]]),
    ),
}


def test_what_is_no_part_of_the_battle_changes_nothing(tmp_path):
    logs = {f"{i:02}.log": log for i, log in enumerate([SHORT, *HARMLESS.values()])}
    summary, data = import_logs(tmp_path, logs)

    assert [str(one) for one in summary.left_out] == []
    plain = episode(data, 0)
    for number, name in enumerate(HARMLESS, 1):
        rows = episode(data, number)
        for column in ("observation", "action", "action_mask", "marks", "outcome"):
            array = getattr(data, column)
            assert np.array_equal(array[rows], array[plain]), f"{name}: {column}"


def test_a_log_of_2017_tells_what_both_chose(tmp_path):
    log = lines(SHORT, "|choice|move bodyslam|move thunderwave", after="|turn|1")
    log = lines(log, "|choice|move earthquake|move psychic", after="|turn|3")
    log = lines(log, "|choice|move bodyslam|switch 2", after="|turn|4")
    _, data = import_logs(tmp_path, {"a.log": log})

    assert data.action[data.player == 0].tolist() == [6, 1, -1, 1, 6, 7, -1]
    assert data.action[data.player == 1].tolist() == CHOSEN[1]


def test_a_move_that_only_its_choice_names_has_no_place(tmp_path):
    log = lines(SHORT, "|choice|move nightshade|move psychic", after="|turn|3")
    _, data = import_logs(tmp_path, {"a.log": log})

    assert data.action[data.player == 0].tolist() == CHOSEN[0]


def test_exact_health_of_both_sides_is_percent_of_the_other(tmp_path):
    exact = SHORT.replace("Starmie, L68|100/100", "Starmie, L68|243/243")
    exact = exact.replace("p2a: Starmie|61/100", "p2a: Starmie|148/243").replace(
        "p1a: Snorlax|52/100 par", "p1a: Snorlax|207/401 par"
    )
    exact = exact.replace("Snorlax, L74|100/100", "Snorlax, L74|401/401")
    _, data = import_logs(tmp_path, {"a.log": exact})

    mine = decode(data.observation[data.player == 0][-1])
    theirs = decode(data.observation[data.player == 1][-1])
    assert mine["opponent"][0]["hp"] == 61
    assert theirs["opponent"][0]["hp"] == 52
    own = layout.describe(1)["groups"][1]["offset"]
    hp = next(
        f["offset"] for f in layout.describe(1)["kinds"]["pokemon"]["dense"] if f["name"] == "hp"
    )
    last = np.flatnonzero(data.player == 0)[-1]
    assert data.is_known(slice(last, last + 1))[0][own + hp]


def own(data, row):
    return decode(data.observation[row])["own"]


PASSING = """\
|player|p1|Ann|1|
|player|p2|Bob|2|
|gametype|singles
|gen|4
|tier|[Gen 4] OU
|poke|p1|Arceus-*
|poke|p1|Scizor, M
|poke|p1|Genesect-*
|poke|p2|Blissey, F
|poke|p2|Snorlax, M
|teampreview
|
|start
|switch|p1a: Scizor|Scizor, M|100/100
|switch|p2a: Blissey|Blissey, F|100/100
|turn|1
|
|move|p1a: Scizor|Swords Dance|p1a: Scizor
|-boost|p1a: Scizor|atk|2
|move|p2a: Blissey|Thrash|p1a: Scizor
|-damage|p1a: Scizor|90/100
|
|upkeep
|turn|2
|
|move|p1a: Scizor|Baton Pass|p1a: Scizor
|
|switch|p1a: Arceus|Arceus-Fire|100/100
|move|p2a: Blissey|Thrash|p1a: Arceus|[from]lockedmove
|-damage|p1a: Arceus|80/100
|
|upkeep
|turn|3
|
|move|p1a: Arceus|Earthquake|p2a: Blissey
|-damage|p2a: Blissey|0 fnt
|faint|p2a: Blissey
|
|upkeep
|
|switch|p2a: Snorlax|Snorlax, M|100/100
|turn|4
|win|Ann
"""


def test_old_words_for_passing_and_going_on_and_forms_that_preview_leaves_open(tmp_path):
    log = PASSING.replace("|poke|p1|Genesect-*\n", "")
    _, data = import_logs(tmp_path, {"a.log": log}, format="gen4ou")
    first, second = (np.flatnonzero(data.player == n) for n in range(2))

    assert data.action[first].tolist() == [6, 7, 6, -1]  # who comes in by Baton Pass: one can
    assert own(data, first[2])[0]["boosts"] == {"atk": 2}
    assert (own(data, first[0])[1]["species"], own(data, first[2])[0]["species"]) == (
        "arceusfire",
    ) * 2
    # Bound to Thrash nobody was asked in turn 2; whether it went on after that does not show.
    assert data.action[second].tolist() == [6, -1, -1]


def log_of(generation, text, *, size=2):
    """Return a log of a battle that Ann won, from lines after the head."""
    head = ["|player|p1|Ann|1|", "|player|p2|Bob|2|", "|gametype|singles", f"|gen|{generation}"]
    sizes = [f"|teamsize|p{n}|{size}" for n in (1, 2)]
    return "\n".join([*head, *sizes, f"|tier|[Gen {generation}] OU", "|start", text, "|win|Ann"])


def are_known(data, row, name, *, move=None):
    """Return whether the bytes of a feature of who stands in battle are marked as known."""
    described = layout.describe(data.metadata["layout"]["generation"])
    kind = described["kinds"]["pokemon"]
    start = described["groups"][1]["offset"]
    if move is not None:
        kind = kind["moves"]
        start += kind["offset"] + move * kind["size"]
    sizes = {f["name"]: (f["offset"], f["size"]) for f in kind["dense"]}
    offset, size = sizes.get(name) or next(
        (f["offset"], 2) for f in kind["ids"] if f["name"] == name
    )
    known = data.is_known(slice(row, row + 1))[0]
    return bool(known[start + offset : start + offset + size].all())


PURSUIT = """\
|switch|p1a: Fearow|Fearow, M|100/100
|switch|p2a: Moltres|Moltres|100/100
|-ability|p2a: Moltres|Pressure
|turn|1
|
|move|p1a: Fearow|Pursuit|p2a: Moltres|[from] Pursuit
|-damage|p2a: Moltres|80/100
|switch|p2a: Blissey|Blissey, F|100/100
|
|upkeep
|turn|2"""


@pytest.mark.parametrize(("generation", "pp"), [(3, 94), (4, 97)])
def test_a_pursuit_of_who_leaves_asks_no_pressure_in_gen_4(tmp_path, generation, pp):
    format = f"gen{generation}ou"
    _, data = import_logs(tmp_path, {"a.log": log_of(generation, PURSUIT)}, format=format)
    row = np.flatnonzero(data.player == 0)[-1]

    assert own(data, row)[0]["moves"][0]["pp"] == pp
    assert are_known(data, row, "pp", move=0)


STRUGGLE = """\
|switch|p1a: Manectric|Manectric, M|100/100
|switch|p2a: Dragapult|Dragapult, F|100/100
|turn|1
|
|move|p1a: Manectric|Overheat|p2a: Dragapult
|-damage|p2a: Dragapult|60/100
|-start|p1a: Manectric|Disable|Overheat|[from] ability: Cursed Body|[of] p2a: Dragapult
|
|upkeep
|turn|2
|
|-activate|p1a: Manectric|move: Struggle
|move|p1a: Manectric|Struggle|p2a: Dragapult
|-immune|p2a: Dragapult
|
|upkeep
|turn|3
|
|switch|p1a: Snorlax|Snorlax, M|100/100
|
|upkeep
|turn|4
|
|switch|p1a: Manectric|Manectric, M|76/100
|
|upkeep
|turn|5
|
|move|p1a: Manectric|Switcheroo|p2a: Dragapult
|
|upkeep
|turn|6"""


def test_who_may_be_bound_to_a_disabled_move_may_have_nothing_but_struggle_again(tmp_path):
    _, data = import_logs(tmp_path, {"a.log": log_of(8, STRUGGLE)}, format="gen8ou")
    after = np.flatnonzero(data.player == 0)[2]  # where it leaves, bound by what is not told

    assert own(data, after)[0]["species"] == "manectric"
    assert not any(are_known(data, after, "move", move=j) for j in range(2))


LEAVING = """\
|switch|p1a: Meganium|Meganium, M|100/100
|switch|p2a: Bisharp|Bisharp, F|100/100
|turn|1
|
|move|p2a: Bisharp|Pursuit|p1a: Meganium|[from] move: Pursuit
|-resisted|p1a: Meganium
|-damage|p1a: Meganium|67/100
|switch|p1a: Minior|Minior-Meteor|100/100
|
|upkeep
|turn|2"""


@pytest.mark.parametrize(("tag", "is_known"), [("|[from] move: Pursuit", False), ("", True)])
def test_who_is_hit_as_it_leaves_may_be_an_illusion_still(tmp_path, tag, is_known):
    text = LEAVING.replace("|[from] move: Pursuit", tag)
    _, data = import_logs(tmp_path, {"a.log": log_of(7, text, size=3)}, format="gen7ou")

    assert are_known(data, 0, "revealed") is is_known


MASKED = """\
|switch|p1a: Snorlax|Snorlax, M|100/100
|switch|p2a: Garbodor|Garbodor, F|100/100
|turn|1
|
|move|p2a: Garbodor|Drain Punch|p1a: Snorlax
|-damage|p1a: Snorlax|60/100
|
|upkeep
|turn|2
|
|switch|p1a: Machamp|Machamp, M|100/100
|
|upkeep
|turn|3
|
{}
|move|p2a: Garbodor|Drain Punch|p1a: Machamp
|-damage|p1a: Machamp|30/100
|replace|p1a: Zoroark|Zoroark, F
|-end|p1a: Zoroark|Illusion
|
|upkeep
|turn|4"""
TRICK = """\
|move|p1a: Machamp|Trick|p2a: Garbodor
|-activate|p1a: Machamp|move: Trick|[of] p2a: Garbodor
|-item|p2a: Garbodor|Life Orb|[from] move: Trick
|-item|p1a: Machamp|Black Sludge|[from] move: Trick"""
BERRY = "|-enditem|p1a: Machamp|Sitrus Berry|[eat]"


@pytest.mark.parametrize(
    ("course", "first", "then"),
    [(TRICK, None, "blacksludge"), (BERRY, "sitrusberry", "noitem")],
    ids=["tricked", "eaten"],
)
def test_what_an_illusion_had_at_first(tmp_path, course, first, then):
    log = log_of(5, MASKED.format(course), size=3)
    _, data = import_logs(tmp_path, {"a.log": log}, format="gen5ou")
    mine = np.flatnonzero(data.player == 0)
    before, after = own(data, mine[0])[2], own(data, mine[-1])[0]

    assert (before["species"], before["item"]) == ("zoroark", first)
    assert (after["species"], after["item"]) == ("zoroark", then)


MORPEKO = """\
|switch|p1a: Morpeko|Morpeko, M|100/100
|switch|p2a: Blissey|Blissey, F|100/100
|turn|1
|
|move|p1a: Morpeko|Protect||[still]
|-fail|p1a: Morpeko
|
|-formechange|p1a: Morpeko|Morpeko-Hangry||[from] ability: Hunger Switch
|upkeep
|turn|2
|
|-terastallize|p1a: Morpeko|Electric
|move|p1a: Morpeko|Aura Wheel|p2a: Blissey
|-damage|p2a: Blissey|77/100
|
|upkeep
|turn|3
|
|switch|p1a: Snorlax|Snorlax, M|100/100
|
|upkeep
|turn|4
|
|switch|p1a: Morpeko|Morpeko-Hangry, M, tera:Electric|100/100
|
|upkeep
|turn|5
|
|move|p1a: Morpeko|Aura Wheel|p2a: Blissey
|-damage|p2a: Blissey|55/100
|
|upkeep
|turn|6"""


def test_morpeko_comes_back_as_it_was_when_it_terastallized(tmp_path):
    _, data = import_logs(tmp_path, {"a.log": log_of(9, MORPEKO)}, format="gen9ou")
    mine = np.flatnonzero(data.player == 0)

    assert [one["species"] for one in own(data, mine[0])] == ["morpeko", "snorlax"]
    last = own(data, mine[-1])
    assert [one["species"] for one in last] == ["morpekohangry", "snorlax"]
    assert [move["id"] for move in last[0]["moves"]] == ["protect", "aurawheel"]
    assert data.action[mine[4]] == 7


DAMP = """\
|switch|p1a: Snorlax|Snorlax, M|100/100
|switch|p2a: Quagsire|Quagsire, M|100/100
|turn|1
|
|move|p1a: Snorlax|Self-Destruct|p2a: Quagsire|[still]
|cant|p2a: Quagsire|ability: Damp|Self-Destruct|[of] p1a: Snorlax
|
|upkeep
|turn|2"""


def test_an_ability_that_forbids_a_move_is_its_holders(tmp_path):
    _, data = import_logs(tmp_path, {"a.log": log_of(9, DAMP)}, format="gen9ou")
    mover, holder = (own(data, np.flatnonzero(data.player == n)[-1])[0] for n in range(2))

    assert (mover["ability"], holder["ability"]) == (None, "damp")
    assert data.action[data.player == 0].tolist() == [6, -1]


def test_a_team_that_was_shown_openly_is_known(tmp_path):
    shown = "|showteam|p1|Snorlax||leftovers||bodyslam,earthquake,rest,reflect|||||||]Gengar||||hypnosis|||||||"
    _, data = import_logs(tmp_path, {"a.log": lines(SHORT, shown, after="|rule")})

    snorlax, gengar = own(data, 0)[:2]
    assert [move["id"] for move in snorlax["moves"]] == [
        "bodyslam",
        "earthquake",
        "rest",
        "reflect",
    ]
    assert [move["id"] for move in gengar["moves"]] == ["hypnosis"]


# ---- what is left out


LEFT_OUT = {
    "truncated": (SHORT[: SHORT.index("|turn|6")], 60, "it ends before the battle does"),
    "foreign": (SHORT.replace("|gen|1", "|gen|9"), 8, "it is of generation 9, not 1"),
    "doubles": (SHORT.replace("singles", "doubles"), 7, "it is doubles, only singles are read"),
    "another format": (
        SHORT.replace("Random Battle", "OU"),
        9,
        "it is of gen1ou, not gen1randombattle",
    ),
    "no log": ("hello\n", 1, "it holds no battle"),
    "no Pokemon": (
        SHORT.replace("Gengar, L70", "Gengarr, L70"),
        28,
        "it has 'Gengarr', which is no Pokemon of generation 1",
    ),
    "later Pokemon": (
        SHORT.replace("Gengar, L70", "Azumarill, L70"),
        28,
        "it has 'Azumarill', which is no Pokemon of generation 1",
    ),
    "no move": (
        SHORT.replace("Body Slam", "Body Slum"),
        21,
        "it has 'Body Slum', which is no move of generation 1",
    ),
    "no winner": (SHORT.replace("|win|Bob", "|win|Cleo"), 62, "who won is no player of it"),
}


def test_what_cannot_be_read_is_left_out_with_line_and_reason(tmp_path):
    logs = {f"{name}.log": log for name, (log, *_) in LEFT_OUT.items()}
    summary, data = import_logs(tmp_path, {**logs, "good.log": SHORT})

    assert data.num_episodes == 1
    said = {one.path.stem: (one.line, one.reason) for one in summary.left_out}
    assert said == {name: (line, reason) for name, (_, line, reason) in LEFT_OUT.items()}


def test_no_cut_is_fatal(tmp_path):
    cuts = {f"{cut:04}.log": SHORT[:cut] for cut in range(0, len(SHORT) - 8, 97)}
    summary, data = import_logs(tmp_path, {**cuts, "good.log": SHORT})

    assert data.num_episodes == 1
    assert len(summary.left_out) == len(cuts)
    assert all(one.reason and one.line for one in summary.left_out)


def test_a_format_that_is_not_read_is_refused(tmp_path):
    with pytest.raises(
        FormatError, match="gen1randombatle is unknown: did you mean gen1randombattle"
    ):
        import_logs(tmp_path, {"a.log": SHORT}, format="gen1randombatle")


def test_why_nothing_is_taken_is_said_file_by_file(tmp_path, capsys):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "torn.log").write_text("|gen|1\n|tier|[Gen 9] OU\n")
    (tmp_path / "logs" / "page.html").write_text("<html></html>")
    out = tmp_path / "out.parquet"
    assert main([f"replays={tmp_path / 'logs'}", f"format={FORMAT}", f"out={out}"]) == 1
    said = capsys.readouterr()
    page, torn = said.out.splitlines()
    assert page == f"left out {tmp_path / 'logs' / 'page.html'}: the page holds no log"
    assert torn.startswith(f"left out {tmp_path / 'logs' / 'torn.log'}:")
    assert (
        said.err.splitlines()[-1]
        == "poke: no file holds a battle that can be taken: nothing is written"
    )
    assert not out.exists()


def test_where_nothing_is_taken_nothing_is_written(tmp_path):
    with pytest.raises(trajectories.DataError, match="no file holds a battle"):
        import_logs(tmp_path, {"a.log": "hello"})
    assert not (tmp_path / "out.parquet").exists()


# ---- files


def test_every_kind_of_file(tmp_path):
    page = '<!DOCTYPE html>\n<script type="text/plain" class="battle-log-data">{}</script>\n'
    kinds = {
        "1.log": SHORT,
        "2.json": json.dumps({"id": "x", "log": SHORT, "rating": 1400}),
        "3.json": json.dumps({"log": SHORT.splitlines()}),
        "4.html": page.format(SHORT.replace("/", "\\/")),
        "5.log.gz": gzip.compress(SHORT.encode()),
        "6.json.gz": gzip.compress(json.dumps({"log": SHORT}).encode()),
    }
    summary, data = import_logs(tmp_path, kinds)

    assert [str(one) for one in summary.left_out] == []
    assert data.num_episodes == len(kinds)
    for number in range(1, len(kinds)):
        assert np.array_equal(
            data.observation[episode(data, number)], data.observation[episode(data, 0)]
        )


def test_files_that_hold_no_log(tmp_path):
    broken = {
        "1.json": "{",
        "2.json": '{"a": 1}',
        "3.html": "<html></html>",
        "4.gz": gzip.compress(SHORT.encode())[:40],
        ".hidden": "hello",
    }
    summary, _ = import_logs(tmp_path, {**broken, "good.log": SHORT})

    reasons = [one.reason.split(":")[0] for one in summary.left_out]
    assert reasons == [
        "it is no JSON",
        "it has no log",
        "the page holds no log",
        "it cannot be unpacked",
    ]


# ---- what is read is kept


SEVERAL = {f"{n}.log": SHORT if n != 2 else "hello" for n in range(7)}


class Killed(BaseException):
    """Ends a process at a known point."""


@pytest.mark.parametrize("how", ["stopped", "fails", "killed"])
def test_an_import_goes_on_where_it_was(tmp_path, monkeypatch, how):
    """Files 1 and 4 end parts; what is killed leaves no more than whole parts."""
    monkeypatch.setattr(store, "_BATTLES_A_PART", 2)
    _, whole = import_logs(tmp_path, SEVERAL, keep_names=True)
    out, logs = tmp_path / "out.parquet", tmp_path / "logs"
    expected = out.read_bytes()
    out.unlink()
    importer = Importer(format=FORMAT, keep_names=True)

    def on_progress(summary):
        if summary.files < 6:
            return
        if how == "stopped":
            importer.stop()
            return
        if how == "killed":
            monkeypatch.setattr(store.Store, "_flush", lambda self: None)
        raise Killed

    if how == "stopped":
        assert importer.run(logs, out, on_progress=on_progress) is None
    else:
        with pytest.raises(Killed):
            importer.run(logs, out, on_progress=on_progress)
    assert not out.exists()
    monkeypatch.undo()
    monkeypatch.setattr(store, "_BATTLES_A_PART", 2)

    seen = []
    summary = Importer(format=FORMAT, keep_names=True).run(
        logs, out, on_progress=lambda so_far: seen.append(so_far.files)
    )
    assert seen == ([6, 7] if how == "killed" else [7])
    assert out.read_bytes() == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "out.parquet"]
    assert (summary.files, summary.battles, len(summary.left_out)) == (7, 6, 1)
    assert summary.decisions == len(whole.action)
    assert [one.path.name for one in summary.left_out] == ["2.log"]


@pytest.mark.parametrize("failing", few(range(4), 3))
def test_a_full_disk_costs_one_line_and_nothing_that_was_written(
    tmp_path, monkeypatch, capsys, failing
):
    monkeypatch.setattr(store, "_BATTLES_A_PART", 2)
    import_logs(tmp_path, SEVERAL)
    expected = (tmp_path / "out.parquet").read_bytes()
    monkeypatch.chdir(tmp_path)
    command = ["replays=logs", f"format={FORMAT}", "out=again.parquet"]
    written, whole = [], trajectories._write_tables

    def write(path, *args):
        written.append(path)
        if len(written) > failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(path, *args)

    with monkeypatch.context() as full:
        full.setattr(trajectories, "_write_tables", write)
        assert main(command) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "poke: again.parquet cannot be written: No space left on device; "
        "what is there is kept: the same command goes on from there"
    )
    assert len(list(tmp_path.glob("again.parquet.parts/part-*"))) == failing
    assert main(command) == 0
    assert (tmp_path / "again.parquet").read_bytes() == expected


OTHERS = {
    "other files": ({"0.log": SHORT + "|c|Ann|bye\n"}, {}, "is of other files"),
    "other people": ({}, {"min_rating": 1400}, "is of another import .its min_rating differs"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_kept_of_another_import_is_not_gone_on_with(tmp_path, name):
    changed, options, said = OTHERS[name]
    logs, out = tmp_path / "logs", tmp_path / "logs" / "out.parquet"  # beside what is read
    logs.mkdir()
    for file, log in SEVERAL.items():
        (logs / file).write_text(log)
    importer = Importer(format=FORMAT)
    assert importer.run(logs, out, on_progress=lambda _: importer.stop()) is None
    for file, log in changed.items():
        (logs / file).write_text(log)

    with pytest.raises(trajectories.DataError, match=said):
        Importer(format=FORMAT, **options).run(logs, out, on_progress=lambda _: None)
    if not changed:
        summary = Importer(format=FORMAT).run(logs, out, on_progress=lambda _: None)
        assert (summary.files, len(summary.left_out)) == (7, 1)


# ---- people


def test_who_played_is_kept_only_when_asked(tmp_path):
    _, data = import_logs(tmp_path, {"a.log": SHORT})
    assert "Ann" not in json.dumps(data.metadata)
    (tmp_path / "kept").mkdir()
    _, data = import_logs(tmp_path / "kept", {"a.log": SHORT}, keep_names=True)
    assert data.metadata["players"] == [
        [{"player": 0, "name": "Ann", "rating": 1502}, {"player": 1, "name": "Bob", "rating": 1311}]
    ]


def test_players_below_a_rating_are_left_out(tmp_path):
    unrated = SHORT.replace("|1502", "|").replace("|1311", "|")
    told = unrated + "|raw|Bob's rating: 1600 &rarr; <strong>1620</strong>\n"
    summary, data = import_logs(
        tmp_path, {"1.log": SHORT, "2.log": told, "3.log": unrated}, min_rating=1500
    )

    assert [
        (int(data.episode[i]), int(data.player[i])) for i in np.flatnonzero(data.timestep == 0)
    ] == [(0, 0), (1, 1)]
    assert summary.below == 4
    assert [(one.path.name, one.reason) for one in summary.left_out] == [
        ("3.log", "no player has that rating")
    ]


# ---- what is learned from it


def test_a_clone_learns_from_known_choices_only(tmp_path):
    _, data = import_logs(tmp_path, {f"{n}.log": SHORT for n in range(4)})
    source = Demonstrations(str(tmp_path / "out.parquet"), batch_size=4, val_fraction=0.25)

    assert source.num_training + source.num_validation == (data.action >= 0).sum()
    assert (source.sample().action >= 0).all()


def test_what_was_not_known_can_be_left_out_of_the_observation(tmp_path):
    import_logs(tmp_path, {f"{n}.log": SHORT for n in range(4)})
    options = {"batch_size": 4, "val_fraction": 0.25, "seed": 1}
    path = str(tmp_path / "out.parquet")
    kept = Demonstrations(path, **options).sample().observation
    zeroed = Demonstrations(path, filled="zero", **options).sample().observation

    assert (kept != zeroed).any()
    assert ((zeroed == 0) | (zeroed == kept)).all()
