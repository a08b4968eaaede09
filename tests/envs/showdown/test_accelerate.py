"""The accelerated simulator is the simulator: the same battles, to the letter."""

import json
import subprocess
from pathlib import Path

import pytest

from poke.envs import showdown
from poke.envs.showdown.installation import find_node, find_package
from poke.envs.showdown.pipes.workers import BattleWorkers

from ...selecting import few
from .test_workers import of_battle, play_out, starts_of

pytestmark = [pytest.mark.showdown, pytest.mark.usefixtures("installed")]

PLAY = Path(__file__).parent / "accelerate" / "play.js"
ACCELERATE = Path(showdown.__file__).parent / "worker" / "accelerate"
HANDLERS = Path(__file__).parent / "accelerate" / "handlers.js"
LEARNSETS = Path(__file__).parent / "accelerate" / "learnsets.js"
PLAIN = "-"


class Player:
    """A process that plays battles of the simulator, as it is or accelerated."""

    def __init__(self, accelerate):
        command = [find_node(), PLAY, find_package(), accelerate]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self, **order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline()
        return json.loads(line) if line else pytest.fail(self.process.stderr.read())

    def close(self):
        _, said = self.process.communicate(timeout=60)
        return said


@pytest.fixture(scope="module")
def both(installed):
    players = [Player(PLAIN), Player(str(ACCELERATE))]
    yield players
    said = [player.close() for player in players]
    assert said == ["", ""], "a function of the installed simulator is not as known"


def play_twice(both, **order):
    for player in both:
        player.ask(**order)
    plain, fast = (player.hear() for player in both)
    assert fast == plain
    return plain


@pytest.mark.parametrize("generation", few(range(1, 10), 1, 9))
def test_random_battles_are_the_same(both, generation):
    played = play_twice(both, digest=[f"gen{generation}randombattle"], first=0, count=17)
    assert len(set(played["digests"])) == 17
    assert played["decisions"] > 17 * 20


@pytest.mark.parametrize("generation", few(range(1, 10), 1, 9))
def test_battles_of_any_teams_and_senseless_choices_are_the_same(both, generation):
    played = play_twice(both, digest=[f"gen{generation}ou"], first=100, count=17, fuzz=True)
    assert len(set(played["digests"])) == 17
    assert played["refused"] > 17


@pytest.mark.parametrize("generation", few(range(1, 10), 1, 9))
def test_the_handlers_of_every_effect_anywhere_are_found(generation):
    command = [find_node(), HANDLERS, find_package(), ACCELERATE, str(generation)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert result["different"] == []
    assert result["found"] > 10_000


@pytest.mark.parametrize("generation", few(range(1, 10), 1, 9))
def test_teams_do_not_depend_on_those_drawn_before(both, generation):
    """Gen 1 allows a battle one Ditto: a generator that is used again must not remember the last battle's."""
    drawn = play_twice(both, teams=f"gen{generation}randombattle", first=0, count=100)
    assert len(set(drawn["digests"])) == 100


def test_battles_that_begin_and_go_on_in_turn_are_the_same(both):
    formats = ["gen1randombattle", "gen4randombattle", "gen1randombattle", "gen9randombattle"]
    played = play_twice(both, digest=formats, first=0, count=3)
    assert len(set(played["digests"])) == 3 * len(formats)


@pytest.mark.parametrize("generation", [1, 4, 9])
def test_handlers_that_come_after_the_beginning_are_heard(both, generation):
    order = {"digest": [f"gen{generation}randombattle"], "first": 50, "count": 2}
    late = play_twice(both, **order, late=True)
    without = play_twice(both, **order)
    assert not set(late["digests"]) & set(without["digests"])


@pytest.mark.parametrize(
    "format", few(["gen1randombattle", "gen9randombattle"], "gen9randombattle")
)
def test_a_worker_tells_the_same_with_and_without(format):
    told = []
    for accelerate in (False, True):
        with BattleWorkers(format, num_battles=4, num_workers=1, accelerate=accelerate) as workers:
            steps = play_out(workers, starts_of(4, 7))
            told.append([of_battle(steps, battle) for battle in range(4)])
    assert told[0] == told[1]


GENERATIONS = [f"gen{generation}" for generation in range(1, 10)]
ORDERS = {
    "up": GENERATIONS,
    "down": GENERATIONS[::-1],
    "some": ["gen5", "gen2", "gen8"],
    # Of mods that begin by changing what they load, one changes learnsets too.
    "changed": ["gen3", "woomod", "gen7letsgo", "gen1"],
}


@pytest.mark.parametrize("order", few(ORDERS, "some"))
def test_learnsets_that_are_read_when_asked_for_are_the_same(order):
    (early, plain), (late, fast) = (
        json.loads(
            subprocess.run(
                [find_node(), LEARNSETS, find_package(), how, *ORDERS[order]],
                capture_output=True, text=True, check=True,
            ).stdout
        ).values()
        for how in (PLAIN, ACCELERATE)
    )  # fmt: skip
    assert early
    assert late == (order == "changed")
    assert fast == plain


def accelerate(package, before=""):
    """Accelerate a package; return what was replaced, and the lines that were said."""
    script = f"""
        const path = require('path');
        const folder = {json.dumps(str(package))};
        const part = name => require(path.join(folder, 'dist', 'sim', name));
        {before}
        const said = [];
        const replaced = require({json.dumps(str(ACCELERATE))}).accelerate(folder, line => said.push(line));
        console.log(JSON.stringify([replaced, said]));"""
    done = subprocess.run([find_node(), "-e", script], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_everything_is_replaced_in_the_package_as_it_is():
    replaced, said = accelerate(find_package())
    assert {"Battle.runEvent", "ModdedDex.getActiveMove", "ModdedDex.loadData"} <= set(replaced)
    assert said == []


def test_a_function_that_is_not_as_known_stays_and_one_line_says_so():
    replaced, said = accelerate(
        find_package(), "part('prng').SodiumRNG.prototype.next = function next() { return 4; };"
    )
    assert "SodiumRNG.next" not in replaced
    assert "Battle.runEvent" in replaced
    assert len(said) == 1
    assert said[0].startswith("not accelerated: SodiumRNG.next, because SodiumRNG.next is not")


def test_what_relies_on_a_function_that_is_not_as_known_stays_too():
    replaced, said = accelerate(
        find_package(), "part('side').Side.prototype.allies = function allies() { return []; };"
    )
    assert "Battle.findEventHandlers" not in replaced
    assert any("Battle.findEventHandlers, because Side.allies is not" in line for line in said)


def test_another_version_is_left_alone(tmp_path):
    (tmp_path / "package.json").write_text(json.dumps({"version": "0.11.12"}))
    (tmp_path / "dist").symlink_to(find_package() / "dist")
    replaced, said = accelerate(tmp_path)
    assert replaced == []
    assert all(
        "because pokemon-showdown 0.11.12 is not as known (0.11.11)" in line for line in said
    )
