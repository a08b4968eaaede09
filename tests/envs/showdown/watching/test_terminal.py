"""A battle in a terminal: as text, whatever terminal there is."""

import io
import re

import pytest

from poke.envs.showdown.watching.gallery import Gallery
from poke.envs.showdown.watching.scenes import decisions, scene
from poke.envs.showdown.watching.terminal import Terminal
from poke.envs.showdown.watching.words import Narrator


def replayed(chronicle, gallery):
    """Tell a gallery what a chronicle was told, in its order."""
    again = gallery.watch(chronicle.battle_format, chronicle.player)
    lines = iter(enumerate(chronicle.lines))
    told = 0
    for moment in chronicle.moments:
        while told < moment.num_lines:
            again.line(next(lines)[1])
            told += 1
        again.decided(moment.decision, moment.thoughts, moment.action, moment.choice)
    for _, line in lines:
        again.line(line)
    again.ended(chronicle.outcome)
    return again


@pytest.fixture
def printed(battle):
    def run(name, terminal=False):
        output = io.StringIO()
        output.isatty = lambda: terminal
        chronicle = battle(name, 1)[0]
        replayed(chronicle, Gallery("runs/gen/best", prints=True, output=output))
        return chronicle, output.getvalue()

    return run


@pytest.mark.parametrize("name", ["gen1randombattle", "gen9randombattle"])
def test_all_that_happened_is_told_once_and_in_order(printed, name):
    chronicle, text = printed(name)
    words = " ".join(re.sub("[─█░]", " ", text).split())
    narrator = Narrator(chronicle.player)
    at = 0
    for line in chronicle.lines:
        said = narrator.tell(line)
        if said is not None:
            at = words.index(" ".join(said.text.split()), at)
    assert text.count("── Turn 1 ") == 1
    assert words.endswith("gen/best " + {1: "won", 0: "drew", -1: "lost"}[chronicle.outcome])


@pytest.mark.parametrize("name", ["gen1randombattle", "gen9randombattle"])
def test_every_choice_and_value_is_shown_in_80_columns(printed, name):
    chronicle, text = printed(name)
    scenes = [scene(moment) for moment in decisions(chronicle)]
    assert text.count("▸ ") == len(scenes)
    values = [f"value {one['value']:+.2f}" for one in scenes if one["value"] is not None]
    assert re.findall(r"value [+-][0-9.]+", text) == values
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "\x1b" not in text


def test_colours_are_for_terminals_that_want_them(printed, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[3" in printed("gen1randombattle", terminal=True)[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", printed("gen1randombattle", terminal=True)[1])


def test_a_narrow_terminal_is_not_overrun(battle, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    output = io.StringIO()
    terminal = Terminal(battle("gen1randombattle", 1)[0], output)
    terminal.show()
    assert max(len(line) for line in output.getvalue().splitlines()) <= 50
