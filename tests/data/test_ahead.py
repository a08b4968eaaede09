"""Blocks that are played while the one before is learned from."""

import copy
import threading
from types import SimpleNamespace

import pytest
import torch

from poke.algorithms.ppo import PPO
from poke.data.ahead import Ahead
from poke.data.rollout import Collector
from poke.envs.gym import GymEnvironment

from ..contracts.parts import PPO_VALUES, assert_equal, playing, policy_maker

ROWS = ("observation", "action", "log_prob", "value", "reward", "terminated", "last_value")


def rows(block):
    return {name: getattr(block, name).copy() for name in ROWS}


def test_a_block_is_by_the_weights_of_one_update_before():
    """By hand: two blocks by the first weights, and then one by those after each update but the last."""
    source, algorithm, _ = playing(overlap=True)
    found = []
    for _ in range(4):
        block = source.sample()
        found.append(rows(block))
        algorithm.update(block)

    by_turns, learner, _ = playing()
    blocks = []
    weights = [copy.deepcopy(learner.policy.get_state())]
    # Who plays has draws of its own, so learning in between changes none.
    for number in range(4):
        learner.policy.set_state(weights[max(0, number - 1)])
        block = by_turns.sample()
        blocks.append(rows(block))
        learner.policy.set_state(weights[number])
        learner.update(block)
        weights.append(copy.deepcopy(learner.policy.get_state()))
    assert_equal(found, blocks)


def test_what_goes_wrong_while_playing_ends_the_next_sample_with_its_own_error(monkeypatch):
    source, _, _ = playing(overlap=True)
    source.sample()
    source._ahead.block()
    broken = threading.Event()

    steps = source.environments.step

    def step(action):
        if threading.current_thread() is threading.main_thread():
            return steps(action)
        broken.set()
        raise ArithmeticError("the game broke")

    monkeypatch.setattr(source.environments, "step", step)
    source.sample()
    assert broken.wait(60)
    with pytest.raises(ArithmeticError, match="the game broke"):
        source.sample()
    source.close()


def test_a_block_that_is_played_ahead_is_in_the_state_and_not_lost():
    source, algorithm, _ = playing(overlap=True)
    algorithm.update(source.sample())
    state = copy.deepcopy(source.get_state())
    played = source.sample()
    other, _, _ = playing(overlap=True)
    other.set_state(state)
    assert_equal(rows(other.sample()), rows(played))
    without, _, _ = playing()
    with pytest.raises(ValueError, match=r"data\.overlap was true and is false"):
        without.set_state(state)


def test_a_run_without_overlap_goes_on_with_it_where_it_was():
    source, algorithm, _ = playing()
    algorithm.update(source.sample())
    state = {
        name: copy.deepcopy(part.get_state()) for name, part in (("a", algorithm), ("s", source))
    }
    weights = copy.deepcopy(algorithm.policy.get_state())
    expected = rows(source.sample())
    other_source, other, _ = playing(overlap=True)
    other.policy.set_state(weights)
    other.set_state(state["a"])
    other_source.set_state(state["s"])
    assert_equal(rows(other_source.sample()), expected)


def test_playing_ahead_moves_nothing_of_the_learners():
    """Or a checkpoint would hold what the thread had come to by chance."""
    source, algorithm, _ = playing(overlap=True, normalize_observation=True)
    source.sample()
    source._ahead.block()
    state = copy.deepcopy([algorithm.get_state(), algorithm.policy.get_state()])
    source._ahead.begin(source._blocks[1])
    source._ahead.block()
    assert_equal([algorithm.get_state(), algorithm.policy.get_state()], state)
    fresh, _, _ = playing(normalize_observation=True)
    assert algorithm.get_state()["sampling"] == fresh._actor.get_state()["sampling"]


def test_it_is_refused_for_who_cannot_act_while_learning():
    environment = GymEnvironment("CartPole-v1", num_envs=2, vectorization="serial")
    source = Collector(environment, num_steps=4, overlap=True, copy_policy=lambda state: None)
    algorithm = PPO(policy_maker(source), seed=1, **PPO_VALUES)
    plain = SimpleNamespace(policy=algorithm.policy)
    with pytest.raises(ValueError, match=r"needs an algorithm that has an understudy"):
        source.attach(plain)


def test_a_thread_plays_one_block_at_a_time_with_as_many_threads_as_the_process_has():
    seen = []

    def play(block):
        seen.append((block, threading.current_thread().name, torch.get_num_threads()))

    ahead = Ahead(play)
    assert ahead.take() is None
    for block in ("first", "second"):
        ahead.begin(block)
        assert ahead.block() == block
        assert ahead.take() == block
        assert ahead.take() is None
    ahead.begin("third")
    ahead.close()
    assert [s[0] for s in seen] == ["first", "second", "third"]
    assert {s[1:] for s in seen} == {("poke-ahead", torch.get_num_threads())}


def test_what_is_learned_of_observations_is_the_learners_with_the_block_it_is_of():
    options = {"normalize_observation": True}
    source, algorithm, _ = playing(overlap=True, **options)
    by_turns, learner, _ = playing(**options)
    for _ in range(2):  # both by the first weights: nothing is learned here
        source.sample()
        by_turns.sample()
        assert_equal(algorithm.policy.normalizer.get_state(), learner.policy.normalizer.get_state())


def test_a_block_of_another_size_than_is_played_now_is_refused():
    source, _, _ = playing(overlap=True)
    source.sample()
    state = source.get_state()
    other, _, _ = playing(overlap=True, num_steps=16)
    with pytest.raises(
        ValueError, match=r"^a block of \[32, 2\] transitions was played ahead, and"
    ):
        other.set_state(state)


def test_an_understudy_computes_as_the_learner_does():
    for fast_path in (True, False):
        source, algorithm, _ = playing(overlap=True, ppo={"fast_path": fast_path})
        source.sample()
        source._ahead.block()
        by_numpy = source._actor.policy._inference._by_numpy
        assert (by_numpy is not None) == fast_path == (algorithm._fast_path)
