import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from poke.envs.showdown.installation import find_node, find_package
from poke.envs.showdown.pipes.workers import (
    ASKED,
    ENDED,
    LOST,
    BattleWorkers,
    Start,
    battle_seeds,
    unpack_masks,
)

from ...selecting import few

pytestmark = [pytest.mark.showdown, pytest.mark.usefixtures("installed")]


@pytest.fixture(scope="module")
def gen1(installed):
    """Four places on two processes; who begins a battle does not care what was played there."""
    with BattleWorkers("gen1randombattle", num_battles=4, num_workers=2) as workers:
        yield workers


def starts_of(num_battles, *numbers):
    return [Start(battle, battle_seeds(*numbers, battle)) for battle in range(num_battles)]


def choose_randomly(workers, records, generators):
    """Choose for whoever is asked; each battle has a generator of its own."""
    choices = []
    for record in records[records["flags"] & ASKED != 0]:
        legal = np.flatnonzero(unpack_masks(record["mask"], 26))
        assert len(legal) > 1, "a decision with one legal action is made, not asked"
        battle, seat = int(record["battle"]), int(record["seat"])
        choices.append((battle, seat, int(generators[battle].choice(legal))))
        workers.choose(*choices[-1])
    return choices


def play_out(workers, starts, seed=0, max_steps=10_000):
    """Play battles with random legal actions; return the records and the choices of every step."""
    generators = {start.battle: np.random.default_rng([seed, start.battle]) for start in starts}
    workers.begin(starts)
    steps, left = [], {start.battle for start in starts}
    while left and len(steps) < max_steps:
        records = workers.exchange()
        left -= set(records["battle"][records["flags"] & (ENDED | LOST) != 0].tolist())
        steps.append((records, choose_randomly(workers, records, generators)))
    return steps


def of_battle(steps, battle):
    return np.concatenate([records[records["battle"] == battle] for records, _ in steps]).tobytes()


def test_battles_end_and_say_who_won(gen1):
    steps = play_out(gen1, starts_of(4, 1))
    for records, _ in steps:
        places = records[["battle", "seat"]].tolist()
        assert places == sorted(places)
    records = np.concatenate([records for records, _ in steps])
    ends = records[records["flags"] & ENDED != 0]
    assert sorted(ends["battle"]) == [0, 0, 1, 1, 2, 2, 3, 3]
    first, second = ends[ends["seat"] == 0], ends[ends["seat"] == 1]
    assert set(first["outcome"]) <= {-1, 0, 1}
    assert (first["outcome"] == -second["outcome"]).all()
    assert (first["potential"] == -second["potential"]).all()
    # who has nothing left has lost
    assert (np.sign(first["potential"]) == first["outcome"]).all()
    assert (ends["turn"] > 0).all()
    assert not ends["observation"].any()
    asked = records[records["flags"] & ASKED != 0]
    assert asked["observation"].any(axis=1).all()
    assert (np.abs(asked["potential"]) <= 1).all()


@pytest.mark.parametrize(
    "battle_format", few(["gen1randombattle", "gen9randombattle"], "gen1randombattle")
)
def test_a_battle_is_its_seeds_and_choices_however_it_is_distributed(battle_format):
    with BattleWorkers(battle_format, num_battles=2, num_workers=1) as workers:
        alone = play_out(workers, starts_of(2, 7), max_steps=40)
    with BattleWorkers(battle_format, num_battles=2, num_workers=2) as workers:
        spread = play_out(workers, starts_of(2, 7), max_steps=40)
        other = play_out(workers, starts_of(2, 8), max_steps=1)
    for battle in range(2):
        assert of_battle(alone, battle) == of_battle(spread, battle)
        assert of_battle(alone[:1], battle) != of_battle(other, battle)


@pytest.mark.parametrize(
    "battle_format", few(["gen1randombattle", "gen9randombattle"], "gen1randombattle")
)
def test_acceleration_changes_no_byte(battle_format):
    played = []
    for accelerate in (True, False):
        with BattleWorkers(
            battle_format, num_battles=2, num_workers=1, accelerate=accelerate
        ) as workers:
            played.append(play_out(workers, starts_of(2, 10), max_steps=25))
    for battle in range(2):
        assert of_battle(played[0], battle) == of_battle(played[1], battle)


def test_each_seed_has_its_own_part(gen1, read):
    one, other = battle_seeds(1), battle_seeds(2)
    assert len(set(one)) == 4

    def own_teams(*changed):
        """Who is in each player's team, as that player sees it."""
        seed = tuple(other[i] if i in changed else one[i] for i in range(4))
        gen1.begin([Start(0, seed)])
        readers = [read(record["observation"], 1) for record in gen1.exchange()]
        return [[reader("own", "species", slot) for slot in range(6)] for reader in readers]

    first, second = own_teams()
    assert first != second
    assert own_teams(0, 3) == [first, second]  # dice and scripted players choose no team
    assert own_teams(1)[1] == second
    assert own_teams(1)[0] not in (first, second)
    assert own_teams(2)[0] == first
    assert own_teams(2)[1] not in (first, second)


@pytest.mark.parametrize(
    "battle_format", few(["gen1randombattle", "gen9randombattle"], "gen1randombattle")
)
def test_a_replayed_battle_goes_on_as_if_it_had_never_stopped(battle_format):
    players = [("asked", "asked"), ("random", "asked"), ("asked", "random")]
    starts = [Start(i, battle_seeds(3, i), names) for i, names in enumerate(players)]
    generators = [np.random.default_rng(i) for i in range(3)]
    with (
        BattleWorkers(battle_format, num_battles=3, num_workers=1) as workers,
        BattleWorkers(battle_format, num_battles=3, num_workers=1) as others,
    ):
        workers.begin(starts)
        records = workers.exchange()
        for step in range(24):
            if step in (0, 1, 8, 20):  # where it is stopped, and played again elsewhere
                states = [workers.state_of(i) for i in range(3)]
                others.begin(states)
                again = others.exchange()
                asked = again["flags"] & ASKED != 0
                assert again[asked].tobytes() == records[records["flags"] & ASKED != 0].tobytes()
                assert [others.state_of(i) for i in range(3)] == states
            choices = choose_randomly(workers, records, generators)
            others.choose(*np.array(choices).T)
            records = workers.exchange()
            assert others.exchange().tobytes() == records.tobytes()


def test_what_the_other_did_is_told_at_the_next_decision(gen1):
    pending, checked = {}, {"switch": 0, "move": 0}
    for records, choices in play_out(gen1, starts_of(2, 5)):
        for record in records:
            action = pending.pop((int(record["battle"]), int(record["seat"])), None)
            if action is not None:
                assert (record["opponent_action"] == 1) == (action < 6)
                checked["switch" if action < 6 else "move"] += 1
        chosen = {(battle, seat): action for battle, seat, action in choices}
        for battle, seat in chosen:
            if (battle, 1 - seat) in chosen:
                pending[battle, seat] = chosen[battle, 1 - seat]
    assert min(checked.values()) > 5


def test_at_a_forced_switch_the_other_waits_or_is_forced_too(gen1):
    forced, told = set(), []
    for records, _ in play_out(gen1, starts_of(2, 5)):
        for record in records:
            key = int(record["battle"]), int(record["seat"])
            if key in forced:
                told.append(int(record["opponent_action"]))
            forced.discard(key)
            if record["flags"] & ASKED and record["mask"] < 1 << 6:  # no move is legal
                forced.add(key)
    assert set(told) <= {0, 1}
    assert told.count(0) > 2


def test_scripted_players_decide_in_the_worker(gen1):
    names = [("random", "random"), ("asked", "random"), ("random", "asked")]
    steps = play_out(gen1, [Start(i, battle_seeds(4, i), pair) for i, pair in enumerate(names)])
    records = np.concatenate([records for records, _ in steps])
    asked = records[records["flags"] & ASKED != 0]
    assert {(int(r["battle"]), int(r["seat"])) for r in asked} == {(1, 0), (2, 1)}
    assert (records["flags"] & ENDED != 0).sum() == 6


def test_a_battle_waits_until_all_that_are_asked_have_chosen(gen1):
    gen1.begin(starts_of(1, 6))
    first, second = gen1.exchange()
    action = int(np.flatnonzero(unpack_masks(first["mask"], 10))[0])
    gen1.choose(0, 0, action)
    assert len(gen1.exchange()) == 0
    with pytest.raises(ValueError, match=r"^battle 0, seat 0: is not asked$"):
        gen1.choose(0, 0, action)
    halfway = gen1.state_of(0)
    gen1.choose(0, 1, int(np.flatnonzero(unpack_masks(second["mask"], 10))[0]))
    assert len(gen1.exchange()) > 0
    gen1.begin([halfway])
    (again,) = gen1.exchange()
    assert again.tobytes() == second.tobytes()


@pytest.mark.parametrize("action", [-1, 25, 32, 255, 1000])
def test_an_illegal_choice_is_refused_before_it_is_sent(gen1, action):
    gen1.begin([Start(0, battle_seeds(6), ("asked", "random"))])
    (record,) = gen1.exchange()
    assert not record["mask"] >> 25
    with pytest.raises(ValueError, match=rf"battle 0, seat 0: action {action} is not legal"):
        gen1.choose(0, 0, action)
    assert gen1.state_of(0).replay == ()


def test_nothing_queued_is_nothing_told(gen1):
    assert len(gen1.exchange()) == 0


def test_what_cannot_begin_is_refused(gen1):
    with pytest.raises(ValueError, match=r"^battle 4 has no place: there are 4$"):
        gen1.begin([Start(4, battle_seeds(1))])
    with pytest.raises(ValueError, match=r"^player nobody is unknown: asked, random"):
        gen1.begin([Start(0, battle_seeds(1), ("asked", "nobody"))])


def test_the_first_that_has_answered_need_not_wait_for_the_others(gen1):
    gen1.begin(starts_of(4, 9))
    seen = []
    while len(seen) < 8:
        seen += gen1.exchange(wait_for_all=False)[["battle", "seat"]].tolist()
    assert sorted(seen) == [(battle, seat) for battle in range(4) for seat in range(2)]


def run_node(script, *arguments):
    done = subprocess.run(
        [
            str(find_node()),
            "--expose-gc",
            str(Path(__file__).parent / script),
            str(find_package()),
            *arguments,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_player_hears_what_a_server_would_send_it():
    told = run_node("heard.js", "1")
    assert set(told) == {f"gen{gen}randombattle" for gen in range(1, 10)}
    for counts in told.values():
        assert counts["different"] == 0
        assert counts["lines"] > 300
        assert counts["requests"] > 30


def test_nothing_is_kept_of_a_battle_that_is_over():
    """Thirty battles that are kept are more than 3 MB."""
    assert run_node("kept.js", "30") < 1e6
