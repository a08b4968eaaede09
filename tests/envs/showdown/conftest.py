import json
import logging
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("poke_env", reason="needs poke-env: pip install 'poke[showdown]'")

from poke_env.battle import Battle

from poke.envs.showdown import layout
from poke.envs.showdown.installation import find_node, find_package
from poke.envs.showdown.server import ShowdownServer


@pytest.fixture(scope="session")
def run_tracker(installed):
    """What tracker_runner.js, which has loaded the simulator once, makes of a battle or of requests."""
    here, worker = Path(__file__).parent, Path(layout.__file__).parent / "worker"
    command = [find_node(), here / "tracker_runner.js", find_package(), worker]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as node:

        def run(given):
            node.stdin.write(json.dumps(given) + "\n")
            told = json.loads(node.stdout.readline())
            assert "error" not in told, told["error"]
            return told

        yield run
        node.stdin.close()


@pytest.fixture(scope="session")
def server(installed):
    with ShowdownServer() as running:
        yield running


def describe(name, level, moves, hp, types="", active=False, item=""):
    return {
        "ident": f"p1: {name}",
        "details": f"{name}, L{level}",
        "condition": hp,
        "active": active,
        "stats": {"atk": 160, "def": 200, "spa": 96, "spd": 96, "spe": 80},
        "moves": moves,
        "baseAbility": "noability",
        "item": item,
        "pokeball": "pokeball",
    }


class Conversation:
    """A battle of generation 1 as its player p1 hears of it: Snorlax and Gengar, against Starmie."""

    def __init__(self, gen=1):
        logger = logging.getLogger("conversation")
        self.battle = Battle("battle-1", "me", logger, gen=gen)
        self.say("player|p1|me||", "player|p2|you||", "teamsize|p1|6", "teamsize|p2|6", "start")
        self.say("switch|p1a: Snorlax|Snorlax, L74|300/400", "turn|1")
        self.say("switch|p2a: Starmie|Starmie, L68|100/100")
        self.team = [
            describe(
                "Snorlax", 74, ["bodyslam", "recover", "earthquake"], "299/400 par", active=True
            ),
            describe("Gengar", 70, ["hypnosis", "psychic"], "250/250"),
            describe("Tauros", 70, ["hyperbeam", "blizzard"], "0 fnt"),
        ]

    def say(self, *lines):
        for line in lines:
            self.battle.parse_message(["", *line.split("|")])

    def ask(self, moves=("bodyslam", "recover", "earthquake"), **extra):
        request = {"side": {"name": "me", "id": "p1", "pokemon": self.team}, **extra}
        if "forceSwitch" not in extra:
            active = {"moves": [{"move": m, "id": m, "pp": 5, "maxpp": 8} for m in moves]}
            request["active"] = [{**active, **extra}]
        self.battle.parse_request(request)
        return self.battle


@pytest.fixture
def conversation():
    return Conversation()


class Reader:
    """Reads features of an observation by name, from the layout's JSON alone."""

    def __init__(self, observation, generation=1):
        self.observation = observation
        self.layout = layout.describe(generation)

    def __call__(self, group, name, slot=0, move=None):
        entity = next(g for g in self.layout["groups"] if g["name"] == group)
        kind, start = self.layout["kinds"][entity["kind"]], entity["offset"] + slot * entity["size"]
        if move is not None:
            kind, start = kind["moves"], start + kind["moves"]["offset"]
            start += move * kind["size"]
        for field in kind["dense"]:
            if field["name"] == name:
                value = self.observation[start + field["offset"] :][: field["size"]]
                if field["parts"]:
                    return dict(zip(field["parts"], value.tolist(), strict=True))
                return int(value[0])
        field = next(f for f in kind["ids"] if f["name"] == name)
        at = start + field["offset"]
        return int(self.observation[at : at + 2].view(np.uint16)[0])

    def block(self, group, slot):
        entity = next(g for g in self.layout["groups"] if g["name"] == group)
        start = entity["offset"] + slot * entity["size"]
        return self.observation[start : start + entity["size"]]


@pytest.fixture
def read():
    return Reader


def bounds(generation=1):
    """Return the lowest and highest allowed byte of every position; ids may be any."""
    about = layout.describe(generation)
    low, high = np.full(about["size"], -128), np.full(about["size"], 127)

    def fill(start, kind):
        for field in kind["dense"]:
            where = slice(start + field["offset"], start + field["offset"] + field["size"])
            low[where], high[where] = field["low"], field["high"]

    for group in about["groups"]:
        for slot in range(group["count"]):
            start, kind = group["offset"] + slot * group["size"], about["kinds"][group["kind"]]
            fill(start, kind)
            moves = kind.get("moves", {"count": 0})
            for move in range(moves["count"]):
                fill(start + moves["offset"] + move * moves["size"], moves)
    return low, high


@pytest.fixture(scope="session")
def in_range():
    low, high = bounds()
    return lambda observation: bool(((observation >= low) & (observation <= high)).all())
