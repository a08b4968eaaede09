"""Decisions as they are drawn, of battles of the simulator."""

import json
import subprocess
from collections import Counter

import numpy as np
import pytest

from poke.envs.showdown import layout
from poke.envs.showdown.decoding import decode
from poke.envs.showdown.installation import find_node, find_package
from poke.envs.showdown.pipes.lines import LineDecision
from poke.envs.showdown.watching.chronicle import Chronicle, Thoughts
from poke.envs.showdown.watching.scenes import decisions, scene, spelled
from poke.envs.showdown.watching.words import to_id

FORMATS = ["gen1randombattle", "gen7randombattle", "gen8randombattle", "gen9randombattle"]


def drawn(chronicle):
    return [(moment, scene(moment)) for moment in decisions(chronicle)]


@pytest.mark.parametrize("name", FORMATS)
def test_every_legal_action_has_its_name_and_its_probability(battle, name):
    for chronicle in battle(name, 1):
        for moment, one in drawn(chronicle):
            options = one["options"]
            legal = np.flatnonzero(moment.decision.mask).tolist()
            assert sorted(option["action"] for option in options) == legal
            assert [o["action"] for o in options if o["chosen"]] == [moment.action]
            active = next((p for p in one["own"] if p["active"]), None)
            for option in options:
                is_switch = option["kind"] == "switch"
                known = one["own"] if is_switch else active["moves"]
                labels = [named["name"] for named in known]
                assert option["label"] in labels
                if option["chosen"] and moment.thoughts is not None:
                    verb, slot, *_ = moment.choice.split()
                    assert verb == ("switch" if is_switch else "move")
                    assert labels[int(slot) - 1] == option["label"]
            if moment.thoughts is None:
                assert len(options) == 1
                continue
            chances = [option["probability"] for option in options]
            assert chances == sorted(chances, reverse=True)
            assert sum(chances) == pytest.approx(1, abs=0.01)
            assert one["value"] == pytest.approx(moment.thoughts.value, abs=1e-4)


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_drawn_is_what_was_seen(battle, name):
    for chronicle in battle(name, 1)[:1]:
        for moment, one in drawn(chronicle):
            seen = decode(moment.decision.observation)
            for side in ("own", "opponent"):
                assert len(one[side]) == len(seen[side]) <= layout.TEAM_SIZE
                for shown, known in zip(one[side], seen[side], strict=True):
                    assert to_id(shown["name"]) == known["species"]
                    assert shown["hp"] == known["hp"]
                    assert [to_id(m["name"]) for m in shown["moves"]] == [
                        m["id"] for m in known["moves"]
                    ]
            json.dumps(one)


def test_gimmicks_are_options_of_their_own(battle):
    kinds = Counter()
    for name in FORMATS[1:]:
        for chronicle in battle(name, 1)[:1]:
            kinds.update(o["kind"] for _, one in drawn(chronicle) for o in one["options"])
    assert {"move", "switch", "dynamax", "tera"} <= set(kinds)


NAMES = """
const { Dex } = require(process.argv[2] + '/dist/sim');
const of = { species: Dex.species, move: Dex.moves, ability: Dex.abilities, item: Dex.items };
const asked = JSON.parse(require('fs').readFileSync(0));
for (const [table, ids] of Object.entries(asked)) {
  const known = ids.map(id => of[table].get(id)).filter((one, i) => one.exists && one.id === ids[i]);
  asked[table] = Object.fromEntries(known.map(one => [one.id, one.name]));
}
console.log(JSON.stringify(asked));
"""


def test_names_are_spelled_as_the_simulator_has_them(installed, tmp_path):
    script = tmp_path / "names.js"
    script.write_text(NAMES)
    asked = {table: list(ids) for table, ids in layout.tables().items() if table != "type"}
    command = [find_node(), script, find_package()]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True)
    for table, names in json.loads(done.stdout).items():
        assert len(names) > 0.98 * len(asked[table])
        assert [n for n, name in names.items() if spelled(table, n) != name] == []


def test_an_order_of_the_team_is_no_decision():
    chronicle = Chronicle("gen9ou", "p1")
    chronicle.decided(forced(np.zeros(26, bool)), None, None, "default")
    assert decisions(chronicle) == []


def test_an_only_choice_is_known_as_chosen():
    chronicle = Chronicle("gen1randombattle", "p1")
    mask = np.zeros(10, bool)
    mask[7] = True
    chronicle.decided(forced(mask), None, None, "move 2")
    (option,) = scene(chronicle.moments[0])["options"]
    assert option["chosen"]
    assert option["probability"] is None


def test_of_what_a_policy_told():
    told = {"probabilities": np.ones(4) / 4, "value": np.float32(0.5), "log_prob": -1.0}
    assert Thoughts.of(told).value == 0.5
    assert Thoughts.of({"probabilities": [1.0]}).value is None
    assert Thoughts.of({}) is None


def test_who_watches_sees_what_is_public_and_knows_the_names():
    chronicle = Chronicle("gen1randombattle", "p2", names=("?", ""))
    for line in ("|request|{}", "|t:|1", "|player|p1|Ann|1|", "|player|p2|Bob||", "|player|p2|"):
        chronicle.line(line)
    assert chronicle.names == ("Ann", "Bob")
    assert chronicle.lines == ["|player|p1|Ann|1|", "|player|p2|Bob||", "|player|p2|"]


def forced(mask):
    return LineDecision(np.zeros(layout.SIZE, np.int8), mask, "default", False)
