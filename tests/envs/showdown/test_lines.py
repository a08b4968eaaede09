import json
import os
import signal

import numpy as np
import pytest

from poke.envs.showdown import layout
from poke.envs.showdown.formats import FormatError
from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.pipes.lines import LineError, LineWorker

pytestmark = [pytest.mark.showdown, pytest.mark.usefixtures("installed")]

OPENING = """\
|player|p1|me||
|player|p2|you||
|teamsize|p1|2
|teamsize|p2|6
|gen|1
|tier|[Gen 1] Random Battle
|start
|switch|p1a: Snorlax|Snorlax, L74|400/400
|switch|p2a: Starmie|Starmie, L68|100/100
|turn|1
"""


@pytest.fixture(scope="module")
def worker(installed):
    with LineWorker() as running:
        yield running


def pokemon(name, moves, active=False, condition="400/400"):
    stats = {"atk": 160, "def": 200, "spa": 96, "spd": 96, "spe": 80}
    about = {"ident": f"p1: {name}", "details": f"{name}, L74", "condition": condition}
    return about | {
        "active": active, "stats": stats, "moves": moves, "baseAbility": "noability", "item": "",
        "pokeball": "pokeball",
    }  # fmt: skip


def request_of(moves=("bodyslam", "rest"), bench="400/400", **active):
    asked = [{"move": m, "id": m, "pp": 5, "maxpp": 8, "disabled": False} for m in moves]
    team = [
        pokemon("Snorlax", ["bodyslam", "rest"], True),
        pokemon("Gengar", ["hypnosis"], condition=bench),
    ]
    side = {"name": "me", "id": "p1", "pokemon": team}
    return "|request|" + json.dumps({"active": [{"moves": asked, **active}], "side": side})


def begin(worker, *more):
    tracker = worker.follow("gen1randombattle", "p1")
    for line in [*OPENING.splitlines(), *more]:
        tracker.read(line)
    return tracker


def actions(decision):
    return np.flatnonzero(decision.mask).tolist()


def test_lines_and_a_request_give_an_observation_a_mask_and_a_choice(worker, read, in_range):
    tracker = begin(worker, request_of())
    decision = tracker.decision()
    assert decision.observation.shape == (layout.SIZE,)
    assert in_range(decision.observation)
    assert decision.mask.shape == (10,)
    assert actions(decision) == [1, 6, 7]
    assert decision.forced == ""
    assert not decision.refused
    reader = read(decision.observation, 1)
    assert reader("global", "turn") == 1
    assert reader("opponent", "species") == layout.tables()["species"]["starmie"]
    assert tracker.choice(7) == "move 2"
    assert tracker.decision() is None
    with pytest.raises(LineError, match=r"^action 7 may not be chosen now$"):
        tracker.choice(7)


def test_a_request_may_come_first(worker):
    late = begin(worker, request_of()).decision()
    tracker = worker.follow("gen1randombattle", "p1")
    tracker.read(request_of() + "\r\n")
    for line in OPENING.splitlines(keepends=True):
        tracker.read(line)
    early = tracker.decision()
    assert early.observation.tobytes() == late.observation.tobytes()


def test_battles_do_not_mix(worker, read):
    one = begin(worker, request_of())
    other = begin(worker, "|turn|2", request_of(["rest"], bench="0 fnt"))
    assert read(one.decision().observation, 1)("global", "turn") == 1
    assert read(other.decision().observation, 1)("global", "turn") == 2
    assert one.choice(6) == "move 1"
    assert other.decision() is not None
    one.close()
    assert other.choice(7) == "move 1"


def test_what_leaves_no_choice_is_told_with_its_text(worker):
    tracker = begin(worker, request_of(["rest"], bench="0 fnt"))
    decision = tracker.decision()
    assert actions(decision) == [7]  # a bound move stands at its own slot
    assert decision.forced == "move 1"
    tracker.read('|request|{"wait":true,"side":' + request_of().partition('"side": ')[2])
    assert tracker.decision() is None
    tracker.read('|request|{"teamPreview":true,"side":' + request_of().partition('"side": ')[2])
    decision = tracker.decision()
    assert decision.forced == "default"
    assert not decision.mask.any()
    assert not decision.observation.any()
    tracker.read("|request|null")
    assert tracker.decision() is None


def test_an_invalid_choice_asks_again_without_it(worker):
    tracker = begin(worker, request_of())
    assert tracker.choice(6) == "move 1"
    tracker.read("|error|[Invalid choice] Can't move: Snorlax's Body Slam is disabled")
    decision = tracker.decision()
    assert decision.refused
    assert actions(decision) == [1, 7]
    tracker.choice(7)
    tracker.read("|turn|2")
    tracker.read(request_of())
    decision = tracker.decision()
    assert not decision.refused
    assert actions(decision) == [1, 6, 7]


def test_an_unavailable_choice_waits_for_the_request_that_follows(worker):
    tracker = begin(worker, request_of(maybeTrapped=True))
    assert tracker.choice(1) == "switch 2"
    tracker.read("|error|[Unavailable choice] Can't switch: The active Pokémon is trapped")
    assert tracker.decision() is None
    tracker.read(request_of(trapped=True))
    decision = tracker.decision()
    assert decision.refused
    assert actions(decision) == [6, 7]
    assert tracker.choice(6) == "move 1"
    tracker.read("|error|[Invalid choice] Can't do anything: It's not your turn")


def test_other_errors_change_nothing(worker):
    tracker = begin(worker, request_of())
    tracker.read("|error|[Invalid choice] nothing was chosen")
    tracker.read("|error|You are muted")
    assert actions(tracker.decision()) == [1, 6, 7]


@pytest.mark.parametrize("line", ["|request|{", "|request|{}"])
def test_what_is_no_request_is_one_line_and_harms_no_other(worker, line):
    other = begin(worker, request_of())
    with pytest.raises(LineError) as error:
        begin(worker, line).decision()
    assert "\n" not in str(error.value)
    assert other.decision() is not None


def test_a_format_that_is_not_played_is_refused(worker):
    with pytest.raises(FormatError, match=r"^format gen9doublesou is not played"):
        worker.follow("gen9doublesou", "p1")
    with pytest.raises(FormatError, match=r"did you mean gen1randombattle\?$"):
        worker.follow("gen1randombatle", "p1")
    with pytest.raises(ValueError, match=r"^player is p3, not p1 or p2$"):
        worker.follow("gen1ou", "p3")
    assert worker.follow("gen4", "p2").num_actions == 10
    assert worker.follow("gen9ou", "p2").num_actions == 26


def test_a_worker_that_is_gone_is_one_line():
    with LineWorker() as worker:
        tracker = begin(worker, request_of())
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(ShowdownError, match=r"^the worker that reads battles died of SIGKILL$"):
            tracker.decision()


def test_a_worker_that_hangs_is_one_line():
    with LineWorker() as worker:
        tracker = begin(worker, request_of())
        assert tracker.decision() is not None
        os.kill(worker.pid, signal.SIGSTOP)
        worker.timeout_seconds = 0.0
        with pytest.raises(ShowdownError, match="did not answer for 0 seconds"):
            tracker.decision()
