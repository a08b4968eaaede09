"""Nothing that a player cannot know changes a bit of what it observes.

Two independent ways: what is hidden is different (overwritten at each decision; other teams and other dice of
which the player has been told nothing yet), and the observations are made again from the text alone that the
player was told, where there is nothing else.
"""

import json
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from poke.envs.showdown import installation, layout

from ...selecting import few

pytestmark = [pytest.mark.showdown, pytest.mark.usefixtures("installed")]

HERE = Path(__file__).parent
WORKER = Path(installation.__file__).parent / "worker"
# The format, and whether its teams are random ones of anything.
KINDS = [("randombattle", False), ("randombattle", True), ("customgame", True)]


def run(script, settings):
    command = [installation.find_node(), HERE / "truth" / "leak" / script]
    done = subprocess.run(
        [*command, installation.find_package(), WORKER],
        input=json.dumps(settings),
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def settings_of(generation, kind="randombattle", fuzz=False, **more):
    about = {"layout": layout.describe(generation), "tables": layout.tables()}
    return {"format": f"gen{generation}{kind}", "fuzz": fuzz, **about, **more}


def hidden_things(generation):
    """Return what an opponent can hide in a generation, by the harness's names."""
    since = {"item": 2, "ability": 3, "illusion": 5, "tera": 9}
    always = ["moves", "bench", "hp", "stats", "dice"]
    return always + [name for name, first in since.items() if generation >= first]


@pytest.mark.parametrize("generation", few(range(1, 10), 9))
def test_no_bit_depends_on_what_is_hidden(generation):
    scrambled, twins, decisions = Counter(), Counter(), 0
    for kind, fuzz in KINDS:
        report = run("main.js", settings_of(generation, kind, fuzz, battles=2, peek=None))
        assert report["leaks"] == {"scrambled": 0, "twins": 0}, report["examples"]
        decisions += report["decisions"]
        scrambled.update(report["scrambled"])
        twins.update(report["twins"])

        told = run("alone.js", settings_of(generation, kind, told=report["told"]))
        assert told == {"decisions": report["decisions"], "different": 0}
    assert decisions > 50
    for name in hidden_things(generation):
        assert scrambled[name], f"{name} was never overwritten"
        assert twins[name], f"no other world had another {name}"


@pytest.mark.parametrize("name", few(["moves", "hp", "illusion", "dice"], "moves", "illusion"))
def test_a_leak_of_anything_hidden_would_be_noticed(name):
    report = run("main.js", settings_of(9, battles=2, peek=name))

    assert report["leaks"]["scrambled"] > 0
    assert report["leaks"]["twins"] > 0
