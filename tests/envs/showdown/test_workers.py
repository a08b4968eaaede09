import numpy as np
import pytest

from poke.envs.showdown.workers import ASKED, ENDED, BattleWorkers, Start, battle_seeds

pytestmark = [pytest.mark.showdown, pytest.mark.usefixtures("installed")]


def play_out(workers, starts, rng):
    """Play battles with random legal actions, and return all records, in order of battle and seat by step."""
    workers.begin(starts)
    steps, left = [], len(starts)
    while left:
        records = workers.exchange()
        steps.append(records)
        left -= int((records["flags"] & ENDED != 0).sum()) // 2
        choose_randomly(workers, records, rng)
    return steps


def choose_randomly(workers, records, rng):
    for record in records[records["flags"] & ASKED != 0]:
        legal = [action for action in range(26) if record["mask"] >> action & 1]
        assert len(legal) > 1, "a decision with one legal action is made, not asked"
        workers.choose(record["battle"], record["seat"], rng.choice(legal))


def test_battles_end_and_say_who_won():
    with BattleWorkers("gen1randombattle", num_battles=4, num_workers=2) as workers:
        starts = [Start(battle, battle_seeds(1, battle)) for battle in range(4)]
        steps = play_out(workers, starts, np.random.default_rng(0))
    ends = np.concatenate(steps)
    ends = ends[ends["flags"] & ENDED != 0]
    assert sorted(ends["battle"]) == [0, 0, 1, 1, 2, 2, 3, 3]
    first, second = ends[ends["seat"] == 0], ends[ends["seat"] == 1]
    assert (first["outcome"] == -second["outcome"]).all()
    assert (ends["turn"] > 0).all()
    assert not ends["observation"].any()
