"""Lines in words: some by hand, and every line that battles of all generations have."""

import re
from collections import Counter

import pytest

from poke.envs.showdown.installation import find_package
from poke.envs.showdown.watching import sentences
from poke.envs.showdown.watching.words import Narrator

FORMATS = {1: "gen1", 4: "gen4", 7: "gen7", 8: "gen8", 9: "gen9"}
MARKUP = re.compile(
    r"\||\bp[12][ab]?: |\[(?:from|of|silent|miss|still)|[{}]|move: |ability: |item: "
)


def told(*lines, player="p1"):
    narrator = Narrator(player)
    return [(said.kind, said.text) for line in lines if (said := narrator.tell(line))]


def text(*lines, player="p1"):
    return told(*lines, player=player)[-1][1]


CAME = ("|switch|p1a: Snorlax|Snorlax, L74|400/400", "|switch|p2a: Zap|Zapdos, L68|100/100")
SENTENCES = {
    "|move|p1a: Snorlax|Body Slam|p2a: Zap": "Snorlax used Body Slam",
    "|move|p1a: Snorlax|Body Slam|p2a: Zap|[miss]": "Snorlax used Body Slam",
    "|-miss|p1a: Snorlax|p2a: Zap": "The opposing Zap avoided it",
    "|-miss|p1a: Snorlax": "Snorlax missed",
    "|move|p1a: Snorlax|Tackle||[notarget]": "Snorlax used Tackle, without a target",
    "|move|p1a: Snorlax|Rest||[from]move: Sleep Talk": "Snorlax used Rest (Sleep Talk)",
    "|move|p1a: Snorlax|Outrage|p2a: Zap|[from]lockedmove": "Snorlax used Outrage",
    "|-damage|p2a: Zap|25/100 par": "The opposing Zap lost 75 %, 25 % left",
    "|-damage|p2a: Zap|0 fnt|[from] psn": "The opposing Zap lost its last 100 % (poison)",
    "|-damage|p1a: Snorlax|350/400|[from] Leech Seed|[of] p2a: Zap": (
        "Snorlax lost 12 %, 88 % left (Leech Seed of the opposing Zap)"
    ),
    "|-damage|p1a: Snorlax|1/400": "Snorlax lost 99 %, 1 % left",
    "|-heal|p1a: Snorlax|400/400|[from] item: Leftovers": (
        "Snorlax gained 0 %, 100 % now (Leftovers)"
    ),
    "|-status|p2a: Zap|tox|[from] ability: Synchronize|[of] p1a: Snorlax": (
        "The opposing Zap was badly poisoned (Synchronize of Snorlax)"
    ),
    "|-curestatus|p1: Snorlax|slp|[msg]": "Snorlax woke up",
    "|-boost|p1a: Snorlax|spe|2": "Snorlax's Speed rose by 2",
    "|-unboost|p1a: Snorlax|spa|0": "Snorlax's Sp. Atk cannot change any further",
    "|cant|p1a: Snorlax|par": "Snorlax is fully paralysed",
    "|cant|p1a: Snorlax|move: Taunt|Rest": "Snorlax cannot move (Taunt), not able to use Rest",
    "|-start|p1a: Snorlax|confusion|[fatigue]": "Snorlax became confused",
    "|-start|p2a: Zap|Disable|Drill Peck": "The opposing Zap's Drill Peck was disabled",
    "|-end|p1a: Snorlax|move: Taunt": "Snorlax: Taunt ended",
    "|-activate|p1a: Snorlax|move: Protect": "Snorlax protected itself",
    "|-weather|RainDance|[from] ability: Drizzle|[of] p2a: Zap": (
        "Rain began (Drizzle of the opposing Zap)"
    ),
    "|-weather|none": "The weather cleared",
    "|-sidestart|p2: Bob|move: Stealth Rock": "Stealth Rock began on the opposing side",
    "|-terastallize|p1a: Snorlax|Ghost": "Snorlax terastallized: Ghost",
    "|-mega|p1a: Snorlax|Snorlax|Snorlaxite": "Snorlax mega evolved (Snorlaxite)",
    "|detailschange|p1a: Snorlax|Snorlax-Gmax, L74, M": "Snorlax became Snorlax-Gmax",
    "|-enditem|p1a: Snorlax|Sitrus Berry|[eat]": "Snorlax ate its Sitrus Berry",
    "|-hitcount|p2a: Zap|3": "It hit 3 times",
    "|drag|p2a: Zap|Zapdos, L68|50/100": "The opposing Zap (Zapdos) was dragged in, level 68",
    "|win|Ann": "Ann won",
    "|tie": "A draw",
}


@pytest.mark.parametrize("line", SENTENCES)
def test_a_line_is_a_sentence(line):
    assert text(*CAME, line) == SENTENCES[line]


@pytest.mark.parametrize(
    "line",
    [
        "|-weather|RainDance|[upkeep]",
        "|-start|p1a: Snorlax|typechange|Water|[silent]",
        "|rule|Sleep Clause Mod: Limit one foe put to sleep",
        "|html|<b>hello</b>",
        "|",
        "|upkeep",
    ],
)
def test_what_tells_of_nothing_is_left_out(line):
    assert told(line) == []


def test_both_players_read_of_their_own():
    line = "|faint|p2a: Zap"
    assert text(line) == "The opposing Zap fainted"
    assert text(line, player="p2") == "Zap fainted"


def test_chat_is_told_with_its_bars_and_what_is_no_line_is_a_note():
    assert told("|c|☆Ann|gg | wp || x") == [("chat", "☆Ann: gg | wp || x")]
    assert told("|c:|1795614215| Bob|hi|there") == [("chat", "Bob: hi|there")]
    assert told("||Ann has 30 seconds left|really") == [("note", "Ann has 30 seconds left|really")]
    assert told("Ann was kicked") == [("note", "Ann was kicked")]
    assert told("|-message|Ann forfeited.") == [("note", "Ann forfeited.")]


def test_no_letter_of_a_stranger_reaches_a_terminal():
    evil = "\x1b[31mred\x07\r\n\u202eback\u2066\x9b2J"
    for line in (f"|c|{evil}|{evil}", f"|faint|p2a: {evil}", f"|win|{evil}", f"|-new|{evil}"):
        for _, words in told(line):
            assert words.replace(" ", "").isprintable()
            assert "red" in words


def test_what_is_new_to_the_game_is_shown_without_its_bars():
    assert text("|-shine|p1a: Snorlax|bright|[from] move: Glow") == "shine p1a: Snorlax bright"


def test_every_kind_of_line_of_the_simulator_is_known(installed):
    dist = find_package() / "dist"
    files = [*(dist / "sim").glob("*.js"), *(dist / "data").glob("*.js")]
    files += (dist / "data" / "mods").glob("gen[1-9]/*.js")
    found = Counter()
    for file in files:
        found.update(
            re.findall(
                r"""(?:this|battle)\.(?:add|addMove)\(\s*["'](-?[a-z:]+)["']""", file.read_text()
            )
        )
    assert found["-damage"]
    assert found["move"]
    known = {*sentences.DEEDS, *sentences.EFFECTS, *sentences.UNTOLD, *Narrator("p1")._methods}
    known |= {"turn", "chat", "message", "-message", "-hint"}
    assert set(found) <= known, set(found) - known


@pytest.mark.parametrize("generation", FORMATS)
def test_no_markup_is_left_in_a_battle(battle, generation):
    for chronicle in battle(f"{FORMATS[generation]}randombattle", 1):
        said = told(*chronicle.lines, player=chronicle.player)
        assert [words for _, words in said if MARKUP.search(words)] == []
        kinds = Counter(kind for kind, _ in said)
        assert kinds["turn"] >= 5
        assert kinds["deed"] >= kinds["turn"]
        assert said[-1][1] in ("Ann won", "Bob won", "A draw")
