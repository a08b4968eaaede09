"""Who is met in a league, and what its results come to."""

import math

import numpy as np
import pytest
import torch

from poke.envs.showdown.battles.league import League


class Learner:
    """A policy of one weight."""

    def __init__(self, weight=0.0):
        self.weight = torch.tensor([float(weight)])

    def get_state(self):
        return {"network": {"weight": self.weight}, "normalizer": None, "description": {}}


def revived(state):
    return Learner(state["network"]["weight"].item())


def league_of(*named, every=100, most=3, weighting="hard", learner=None):
    league = League(
        named=named,
        snapshot_every=every,
        max_snapshots=most,
        weighting=weighting,
        copy_policy=revived,
    )
    league.attach(learner or Learner())
    return league


def shares(league, number=4000):
    generator = np.random.default_rng(0)
    met = [league.draw(generator) for _ in range(number)]
    return {name: met.count(name) / number for name in set(met)}


@pytest.mark.parametrize(
    ("weighting", "weight"), [("hard", lambda p: (1 - p) ** 2), ("variance", lambda p: p * (1 - p))]
)
def test_members_are_met_by_how_surely_they_are_beaten(weighting, weight):
    league = league_of("weak", "even", "strong", weighting=weighting)
    for _ in range(500):  # what is known fades, so that these come to rest
        league.result("weak", 1)
        league.result("even", 0)
        league.result("strong", -1)
    p = {"weak": 51 / 52, "even": 26 / 52, "strong": 1 / 52}  # 50 results and the prior's two
    total = sum(map(weight, p.values()))
    met = shares(league)
    for name, chance in p.items():
        assert met.get(name, 0) == pytest.approx(weight(chance) / total, abs=0.03)


def test_nobody_is_met_while_the_league_is_empty():
    assert league_of().draw(np.random.default_rng(0)) is None


def test_a_past_policy_is_the_learner_as_it_was():
    learner = Learner(1)
    league = league_of(learner=learner)
    league.learned(99, set())
    assert league.draw(np.random.default_rng(0)) is None
    league.learned(1, set())
    learner.weight.fill_(2)
    (name,) = shares(league)
    assert league.is_snapshot(name)
    assert league.policy(name).weight.item() == 1


def test_the_pool_is_bounded_and_loses_what_is_most_surely_beaten_but_nobody_in_play():
    league = league_of("strong", most=2)
    for outcomes in ([1, 1, 1], [1, 1], [1]):
        league.learned(100, set())
        newest = max((n for n in shares(league) if n != "strong"), key=lambda n: int(n.split()[1]))
        for outcome in outcomes:
            league.result(newest, outcome)
    assert {n for n in shares(league) if n != "strong"} == {"past 200", "past 300"}
    league.learned(100, {"past 200", "past 300"})
    assert league.metrics["league/members"] == 4
    league.learned(100, set())
    assert {n for n in shares(league) if n != "strong"} == {"past 400", "past 500"}


def test_ratings_move_by_the_surprise_and_past_policies_keep_theirs():
    league = league_of("known")
    league.learned(100, set())
    league.result("past 100", 1)  # of equals
    rating = league.metrics["league/elo"]
    assert rating == 1002
    league.result("known", -1)
    surprise = 1 / (1 + 10 ** ((1000 - rating) / 400))
    assert math.isclose(league.metrics["league/elo"], rating - 4 * surprise)
    members = league.get_state()["members"]
    assert members["past 100"]["rating"] == 1000
    assert math.isclose(members["known"]["rating"], 1000 + 4 * surprise)
    league.result("who is not in it", 1)
    assert league.get_state()["members"].keys() == members.keys()


def test_a_league_goes_on_from_its_state():
    league = league_of("known", learner=Learner(3))
    league.learned(250, set())
    for outcome in (1, -1, 0, 1):
        league.result("past 250", outcome)
        league.result("known", -outcome)
    other = league_of("known", "new")
    other.set_state(league.get_state())
    assert other.policy("past 250").weight.item() == 3
    assert other.metrics["league/elo"] == league.metrics["league/elo"]
    other.learned(50, set())  # 300 by now
    assert "past 300" in shares(other)
    assert "new" in shares(other)
