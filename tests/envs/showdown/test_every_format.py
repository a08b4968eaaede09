"""Twenty real battles of each format that draws its own teams, on the workers, from the first turn to the last."""

import numpy as np
import pytest

from poke.envs.showdown import layout
from poke.envs.showdown.decoding import check_ranges
from poke.envs.showdown.pipes.workers import (
    ASKED,
    ENDED,
    BattleWorkers,
    Start,
    battle_seeds,
    unpack_masks,
)

from ...selecting import few

pytestmark = [pytest.mark.showdown, pytest.mark.usefixtures("installed")]

BATTLES = 20
# Half of them between random players, half against the strongest scripted one, in either seat.
PLAYERS = [("asked", "asked"), ("asked", "simple_heuristics"), ("simple_heuristics", "asked")]


def play(workers, generation):
    """Play all battles by random legal choices, and return every record."""
    rng = np.random.default_rng(generation)
    seats = [PLAYERS[0 if battle % 2 else 1 + battle % 4 // 2] for battle in range(BATTLES)]
    workers.begin(Start(b, battle_seeds(generation, b), seats[b]) for b in range(BATTLES))
    told, ended = [], set()
    while len(ended) < BATTLES:
        records = workers.exchange()
        told.append(records)
        ended |= set(records["battle"][records["flags"] & ENDED != 0].tolist())
        asked = records[records["flags"] & ASKED != 0]
        masks = unpack_masks(asked["mask"], layout.num_actions(generation))
        actions = [rng.choice(np.flatnonzero(mask)) for mask in masks]
        workers.choose(asked["battle"], asked["seat"], actions)
    return np.concatenate(told)


@pytest.mark.parametrize("generation", few(range(1, 10), 1, 9))
def test_battles_are_played_to_their_ends(generation):
    with BattleWorkers(
        f"gen{generation}randombattle", num_battles=BATTLES, num_workers=2
    ) as workers:
        records = play(workers, generation)
        assert (workers.num_lost, workers.num_replaced) == (0, 0)
    asked, ends = (records[records["flags"] & flag != 0] for flag in (ASKED, ENDED))
    assert sorted(ends["battle"].tolist()) == sorted([*range(BATTLES)] * 2)
    assert (ends["turn"] >= 5).all()
    assert len(asked) > 20 * BATTLES
    check_ranges(asked["observation"], layout.describe(generation))
    illegal = asked["mask"] >> np.uint32(layout.num_actions(generation))
    assert not illegal.any(), "what a generation has no action for is never legal"
    assert ends["refused"].sum() < 0.02 * len(asked)
