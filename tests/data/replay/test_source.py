"""When a replay buffer plays, draws and learns, and that its state is all of it."""

import copy

import numpy as np
import pytest
import torch

from poke.data.experience import Experience
from poke.envs.gym import GymEnvironment
from poke.protocols import Explorer, Source
from poke.spaces import ObservationNormalizer

from .scripted import Chance, Environment, Forgetful, held, replaying


def test_it_is_a_source():
    assert isinstance(replaying(), Source)
    assert hasattr(Explorer, "explore")


@pytest.mark.parametrize(("train_freq", "num_envs"), [(1, 1), (4, 3), (10, 2)])
def test_an_update_is_so_many_steps_of_each_environment_and_so_many_minibatches(
    train_freq, num_envs
):
    source = replaying(train_freq=train_freq, num_envs=num_envs, updates=3, warmup_steps=100)
    played = 0
    while played < 200:
        experience = source.sample()
        played += experience.num_steps
        assert experience.num_steps == train_freq * num_envs
        parts = list(experience.minibatches)
        assert experience.num_minibatches == len(parts) == (3 if played >= 100 else 0)
        assert experience.num_samples == 8 * len(parts)
        assert all(len(part) == 8 for part in parts)


def test_the_clock_moves_with_every_update_also_where_an_environment_only_resets():
    source = replaying(num_envs=1, at_once=False, length=1.5)
    for _ in range(100):
        assert source.sample().num_steps == 1
    source = replaying(num_envs=1, masked=True, refusing=True)
    for _ in range(100):
        assert source.sample().num_steps == 1


def test_before_it_learns_actions_are_drawn_and_the_algorithm_is_not_asked():
    algorithm = Chance()
    source = replaying(algorithm, warmup_steps=60, train_freq=5, masked=True)
    for _ in range(4):
        source.sample()
    assert algorithm.seen == []
    # Every legal action comes, and no other: the environment would not take it.
    assert set(held(source).action.tolist()) == {0, 1, 2, 3}
    source.sample()
    assert len(algorithm.seen) == 5


def test_the_same_seed_plays_the_same():
    def rewards(seed):
        environment = Environment(num_envs=2, seed=0)
        source = replaying(environment=environment, seed=seed, warmup_steps=50, train_freq=10)
        source.sample()
        return held(source).action.tolist()

    assert rewards(3) == rewards(3) != rewards(4)


def test_a_minibatch_is_drawn_when_it_is_asked_for_by_errors_told_until_then():
    source = replaying(alpha=1.0, train_freq=50, updates=200, num_envs=1)
    experience = source.sample()
    minibatches = iter(experience.minibatches)
    part = next(minibatches)
    worst = int(part.rows[0])
    experience.tell(part, torch.where(part.rows == worst, 1e6, 1e-6))
    for part in minibatches:
        assert (part.rows == worst).sum() >= 7  # of 8
        assert part.weight.max() == 1
        break
    assert isinstance(experience, Experience)


def test_weights_take_more_and_more_of_the_bias_away_until_all_of_it_is_gone():
    source = replaying(alpha=1.0, beta=0.2, beta_steps=100, train_freq=25, num_envs=1)
    errors = torch.Generator().manual_seed(0)
    judged = 0
    for exponent in (0.4, 0.6, 0.8, 1.0, 1.0, 1.0):
        experience = source.sample()
        (part,) = experience.minibatches or [None]
        priority = source.get_state()["drawing"]["priority"][part.rows]
        ratio = (priority / priority.min()).log()
        if (
            ratio.max() > 0
        ):  # drawn were rows of different priorities: those never told of are all alike
            at = ratio.argmax()
            assert -float(part.weight[at].log() / ratio[at]) == pytest.approx(exponent, abs=1e-3)
            judged += 1
        experience.tell(part, torch.rand(len(part), generator=errors) + 0.1)
    assert judged >= 3


def test_drawn_alike_nothing_is_weighted_and_nobody_is_told():
    experience = replaying(train_freq=20).sample()
    assert experience.told is None
    assert all(part.weight is None for part in experience.minibatches)


def test_episodes_are_told_of():
    source = replaying(train_freq=40, episode_window=3)
    metrics = source.sample().metrics
    past = source.environments.past
    assert metrics["episodes"] == len(past)
    # By the order in which they ended.
    assert metrics["episode_length"] == np.mean([len(d) for d, _, _ in past[-3:]])
    assert metrics["episode_return"] == 1.0
    source.environments.length = 1e9
    assert source.sample().metrics == {**metrics, "episodes": 0}


def cartpole(*, normalized=False, **options):
    """A buffer on environments that can be copied."""
    environment = GymEnvironment(
        "CartPole-v1", num_envs=2, vectorization="serial", normalize_observation=normalized
    )
    space = environment.observation_space
    algorithm = Chance(ObservationNormalizer(space, 10.0) if normalized else None)
    algorithm.explore = lambda observation, mask: (observation[:, 2] > 0).astype(np.int64)
    values = {"n_step": 3, "train_freq": 8, "updates": 2, "warmup_steps": 100, **options}
    return replaying(algorithm, environment=environment, **values), algorithm


def go(source, count):
    """The next updates' minibatches, with errors told that depend on them."""
    found = []
    for _ in range(count):
        experience = source.sample()
        for part in experience.minibatches:
            experience.tell(part, part.observation.abs().sum(dim=1))
            found += [part.observation, part.reward, part.action, part.length, part.terminated]
            found += [] if part.weight is None else [part.weight]
        found.append(torch.tensor(list(experience.metrics.values())))
    return found


@pytest.mark.parametrize("after", [0, 1, 5, 20])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"alpha": 0.6},
        {"capacity": 90},
        {"capacity": 90, "alpha": 0.6, "n_step": 1},
        {"normalized": True},
    ],
)
def test_a_restored_buffer_goes_on_bit_for_bit(options, after, tmp_path):
    source, algorithm = cartpole(**options)
    go(source, after)
    path = tmp_path / "state.pt"
    normalizer = algorithm.policy.normalizer
    learned = None if normalizer is None else copy.deepcopy(normalizer.get_state())
    torch.save(source.get_state(), path)
    expected = go(source, 15)

    other, theirs = cartpole(**options)
    go(other, 3)
    other.set_state(torch.load(path, weights_only=True))
    if learned is not None:
        theirs.policy.normalizer.set_state(learned)
    found = go(other, 15)
    assert len(found) == len(expected)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    for name, column in source.get_state()["ring"]["ring_columns"].items():
        used = len(source._ring)
        assert torch.equal(column[:used], other._ring.columns[name][:used])
    source.close()
    other.close()


@pytest.mark.parametrize(
    ("then", "now", "line"),
    [
        ({"capacity": 90}, {"capacity": 91}, "data.capacity was 90 and is 91"),
        ({"n_step": 2}, {"n_step": 3}, "data.n_step was 2 and is 3"),
        ({"alpha": 0.6}, {}, "data.alpha came from or went to 0"),
        ({}, {"alpha": 0.6}, "data.alpha came from or went to 0"),
    ],
)
def test_the_state_of_another_buffer_is_refused_in_one_line(then, now, line):
    state = cartpole(**then)[0].get_state()
    with pytest.raises(ValueError, match=line) as caught:
        cartpole(**now)[0].set_state(state)
    assert "\n" not in str(caught.value)


def test_other_values_of_the_environment_begin_episodes_anew_and_keep_the_buffer():
    source, _ = cartpole()
    go(source, 10)
    state = copy.deepcopy(source.get_state())
    environment = GymEnvironment("CartPole-v1", num_envs=3, vectorization="serial")
    algorithm = Chance()
    algorithm.explore = lambda observation, mask: np.ones(len(observation), np.int64)
    other = replaying(algorithm, environment=environment, n_step=3, train_freq=8)
    other.set_state(state)
    before = len(source._ring)
    assert torch.equal(held(other).observation, held(source).observation)
    assert other.sample().num_steps == 24
    assert len(other._ring) >= before + 3 * (8 - 3)


class Remembering(Forgetful):
    def initial_state(self, batch_size):
        return object()


def test_who_cannot_learn_from_it_is_refused_in_one_line():
    algorithm = Chance()
    algorithm.policy = Remembering()
    with pytest.raises(ValueError, match=r"single transitions: leave out network\.memory"):
        replaying(algorithm)

    class Silent:
        policy = Forgetful()

    with pytest.raises(ValueError, match="Silent has no explore"):
        replaying(Silent())


def test_a_reward_that_is_not_a_number_is_refused():
    source = replaying()
    source.environments.rng = None

    def step(action):
        source.environments.reward[:] = np.nan

    source.environments.step = step
    with pytest.raises(ValueError, match="environment 0 gave a reward of nan"):
        source.sample()
