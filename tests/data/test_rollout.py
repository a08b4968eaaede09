import logging

import numpy as np
import pytest

from poke.data.block import Rollout
from poke.data.rollout import Collector
from poke.envs.gym import GymEnvironment
from poke.spaces import ActionSpace, ObservationNormalizer, ObservationSpace

SEEN = ObservationSpace.box((1,))
TWO = ActionSpace.discrete(2)


def block(num_steps, num_envs=1, **columns):
    rollout = Rollout(num_steps, num_envs, SEEN, TWO, masked=False)
    for name, values in columns.items():
        getattr(rollout, name)[...] = np.array(values).reshape(getattr(rollout, name).shape)
    return rollout


def by_definition(rollout, gamma, gae_lambda):
    """Sum the discounted temporal differences of each row up to the end of its episode."""
    num_steps, num_envs = rollout.reward.shape
    result = np.zeros((num_steps, num_envs))
    for i in range(num_envs):
        for t in range(num_steps):
            weight = 1.0
            for s in range(t, num_steps):
                ended = rollout.terminated[s, i] or rollout.truncated[s, i]
                waits = rollout.last_idle[i] if s == num_steps - 1 else rollout.idle[s + 1, i]
                follows = rollout.last_value[i] if s == num_steps - 1 else rollout.value[s + 1, i]
                after = rollout.final_value[s, i] if ended and not waits else follows
                difference = rollout.reward[s, i] - rollout.value[s, i]
                if not rollout.terminated[s, i]:
                    difference += gamma * after
                result[t, i] += weight * difference
                if ended:
                    break
                weight *= gamma * gae_lambda
    return result


@pytest.mark.parametrize("seed", range(5))
def test_advantages_are_the_discounted_differences_within_the_episode(seed):
    rng = np.random.default_rng(seed)
    rollout = block(
        12,
        3,
        reward=rng.normal(size=36),
        value=rng.normal(size=36),
        final_value=rng.normal(size=36),
        last_value=rng.normal(size=3),
        terminated=rng.random(36) < 0.2,
        truncated=rng.random(36) < 0.2,
    )
    advantage, return_ = rollout.advantages(0.9, 0.8)
    np.testing.assert_allclose(advantage, by_definition(rollout, 0.9, 0.8), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(return_, advantage + rollout.value)


@pytest.mark.parametrize("seed", range(8))
def test_rows_where_nothing_was_done_leave_the_estimates_of_the_others_as_they_are(seed):
    rng = np.random.default_rng(seed)
    ends, cut = rng.random((2, 12)) < 0.2
    columns = {
        **{name: rng.normal(size=12) for name in ("reward", "value", "final_value")},
        "terminated": ends,
        "truncated": cut & ~ends,
    }
    whole = block(12, last_value=[0.5], **columns)
    # Before any of them, the first and the last included, may stand rows that were void.
    gaps = rng.integers(0, 3, size=13)
    places = np.arange(12) + np.cumsum(gaps[:-1])
    length = 12 + int(gaps.sum())
    rollout = block(length, value=rng.normal(size=length), last_value=[0.5])
    for name, values in columns.items():
        getattr(rollout, name)[places, 0] = values
    rollout.void[np.setdiff1d(np.arange(length), places)] = True
    rollout.idle[...] = rollout.void
    expected, _ = whole.advantages(0.9, 0.8)
    advantage, _ = rollout.advantages(0.9, 0.8)
    np.testing.assert_allclose(advantage[places], expected, rtol=1e-5, atol=1e-6)
    assert np.flatnonzero(~rollout.idle).tolist() == places.tolist()
    assert rollout.num_steps == 12


def test_a_time_limit_is_bootstrapped_from_the_final_observation_and_a_termination_is_not():
    rows = {
        "reward": [1, 1, 1],
        "value": [10, 20, 30],
        "last_value": [40],
        "final_value": [0, 7, 0],
    }
    cut, _ = block(3, truncated=[0, 1, 0], **rows).advantages(0.5, 0.0)
    assert cut[:, 0].tolist() == [1 + 10 - 10, 1 + 3.5 - 20, 1 + 20 - 30]
    over, _ = block(3, terminated=[0, 1, 0], **rows).advantages(0.5, 0.0)
    assert over[:, 0].tolist() == [1 + 10 - 10, 1 - 20, 1 + 20 - 30]


def test_where_the_reset_comes_a_step_later_the_next_row_is_the_final_observation():
    rollout = block(
        4,
        reward=[1, 1, 0, 1],
        value=[10, 20, 7, 30],
        last_value=[40],
        truncated=[0, 1, 0, 0],
        idle=[0, 0, 1, 0],
    )
    advantage, _ = rollout.advantages(0.5, 0.0)
    assert advantage[[0, 1, 3], 0].tolist() == [1 + 10 - 10, 1 + 3.5 - 20, 1 + 20 - 30]
    assert rollout.num_steps == 3
    assert np.flatnonzero(~rollout.idle).tolist() == [0, 1, 3]


class Scripted:
    """Environments whose every array is given."""

    num_envs = 1
    exact_state = False

    def __init__(self, rewards=(1.0,), mask=None):
        self.rewards = rewards
        self.observation = np.zeros((1, 1), np.float32)
        self.action_mask = mask
        self.reward = np.zeros(1, np.float32)
        self.terminated = np.zeros(1, bool)
        self.truncated = np.zeros(1, bool)
        self.idle = np.zeros(1, bool)
        self.final_observations = {}
        self.finished = []
        self.resets = []
        self.count = 0

    def reset(self, entropy):
        self.resets.append(list(entropy))

    def step(self, action):
        self.reward[0] = self.rewards[self.count % len(self.rewards)]
        self.count += 1

    def get_state(self):
        return {"environments": None}

    def restart(self, state, entropy):
        self.reset(entropy)


class Description:
    observation_space, action_space, num_envs, observation_clip = SEEN, TWO, 1, None

    def __init__(self, **options):
        self.environments = Scripted(**options)

    def make(self):
        return self.environments


class Seeing:
    """A policy, as far as the collector asks for one: it remembers nothing."""

    def __init__(self, normalizer=None):
        self.normalizer = normalizer

    def initial_state(self, batch_size):
        return None


class Still:
    """Always action 0."""

    policy = Seeing()

    def rollout_step(self, observation, action_mask):
        return np.zeros(1, np.int64), np.zeros(1, np.float32), np.zeros(1, np.float32)

    def value(self, observation):
        return np.zeros(len(observation), np.float32)


def collector(**options):
    source = Collector(Description(**options), num_steps=4, seed=5)
    source.attach(Still())
    return source


def test_a_reward_that_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match="environment 0 gave a reward of nan"):
        collector(rewards=(1.0, float("nan"))).sample()


def test_a_mask_that_forbids_everything_is_refused():
    with pytest.raises(ValueError, match="forbids every action"):
        collector(mask=np.zeros((1, 2), bool)).sample()


def test_environments_that_cannot_be_copied_begin_episodes_they_have_not_begun_with():
    source = collector()
    source.sample()
    source.set_state(source.get_state())
    resets = source.environments.resets
    assert len(resets) == 2
    assert resets[0] != resets[1]
    assert not source.exact_resume


CARTPOLE = {"num_envs": 4, "vectorization": "serial"}


class Pushing:
    """Always to the right: episodes of about ten steps."""

    def __init__(self, policy):
        self.policy = policy

    def rollout_step(self, observation, action_mask):
        nothing = np.zeros(len(observation), np.float32)
        return np.ones(len(observation), np.int64), nothing, nothing

    def value(self, observation):
        return np.zeros(len(observation), np.float32)


def cartpole(id="CartPole-v1", **options):
    source = Collector(GymEnvironment(id, **{**CARTPOLE, **options}), num_steps=25, seed=5)
    clip = source.observation_clip
    normalizer = None if clip is None else ObservationNormalizer(source.observation_space, clip)
    source.attach(Pushing(Seeing(normalizer)))
    return source


def resumed(caplog, state, **options):
    """A collector that was given other values than the one of the state, and what was said about it."""
    source = cartpole(**options)
    with caplog.at_level(logging.INFO, "poke"):
        source.set_state(state)
    return source, [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"num_envs": 8}, "env.num_envs is 8, was 4"),
        ({"num_envs": 2}, "env.num_envs is 2, was 4"),
        ({"vectorization": "vector_entry_point"}, "env.vectorization is vector_entry_point, was serial"),
        ({"vectorization": "async"}, "env.vectorization is async, was serial"),
        ({"max_episode_steps": 5}, "env.max_episode_steps is 5, was None"),
        ({"kwargs": {"sutton_barto_reward": True}}, "env.kwargs.sutton_barto_reward is True, was not given"),
    ],
)  # fmt: skip
def test_other_values_of_the_environment_take_effect(caplog, options, line):
    before = cartpole()
    begun = [before.environments.observation.copy()]
    for _ in range(3):
        before.sample()
        begun.append(before.environments.observation.copy())
    source, said = resumed(caplog, before.get_state(), **options)
    assert said == [f"{line}: all episodes begin anew"]
    anew = source.environments.observation
    assert len(anew) == options.get("num_envs", 4)
    assert np.abs(anew).max() <= 0.05  # of a first observation
    assert not any((row == old).all() for row in anew for rows in begun for old in rows)
    block = source.sample()
    assert source.environments.num_envs == block.reward.shape[1]
    if "max_episode_steps" in options:
        assert block.truncated[4].all()
    if "kwargs" in options:
        assert block.reward.min() == -1
    assert source.get_state()["num_rollouts"] == 4
    source.close()


def test_the_same_values_go_on_with_the_same_episodes_and_say_nothing(caplog):
    before = cartpole(kwargs={"sutton_barto_reward": True}, normalize_reward=True)
    before.sample()
    state = before.get_state()
    expected = before.sample()
    source, said = resumed(
        caplog, state, kwargs={"sutton_barto_reward": True}, normalize_reward=True
    )
    assert said == []
    block = source.sample()
    assert np.array_equal(block.observation, expected.observation)
    assert np.array_equal(block.reward, expected.reward)


def test_a_state_from_before_settings_were_kept_goes_on(caplog):
    before = cartpole()
    before.sample()
    state = {k: v for k, v in before.get_state().items() if k not in ("settings", "exact")}
    expected = before.sample().observation.copy()
    source, said = resumed(caplog, state)
    assert said == []
    assert np.array_equal(source.sample().observation, expected)


def test_what_was_learned_of_rewards_outlives_the_environments(caplog):
    before = cartpole(normalize_reward=True)
    for _ in range(3):
        before.sample()
    state = before.get_state()
    then = state["environments"]["scaler"]
    source, _ = resumed(caplog, state, num_envs=8, normalize_reward=True)
    now = source.get_state()["environments"]["scaler"]
    assert now["moments"] == then["moments"]
    assert any(then["returns"])
    assert now["returns"] == [0.0] * 8
    assert source.get_state()["environments"]["lengths"] == [0] * 8


@pytest.mark.parametrize("first", ["policy", "source"])
@pytest.mark.parametrize("changed", [{}, {"num_envs": 8}])
def test_what_is_learned_of_observations_goes_on_whichever_is_restored_first(first, changed):
    before = cartpole(normalize_observation=True)
    for _ in range(3):
        before.sample()
    moments = before._actor.policy.normalizer.get_state()
    state = before.get_state()
    source = cartpole(normalize_observation=True, **changed)
    normalizer = source._actor.policy.normalizer
    source.sample()
    for part in (first, "source" if first == "policy" else "policy"):
        if part == "policy":
            normalizer.set_state(moments)
        else:
            source.set_state(state)
    assert normalizer.get_state()["count"] == moments["count"]
    block, expected = source.sample(), before.sample()
    # Each observation is learned of once: 25 steps, and those that were begun with.
    begun = 8 if changed else 0
    learned = normalizer.get_state()["count"] - moments["count"]
    assert learned == pytest.approx(25 * source.environments.num_envs + begun)
    if not changed:
        assert np.array_equal(block.observation, expected.observation)
    assert np.isfinite(block.observation).all()
    assert np.abs(block.observation).mean() < 2


def test_every_observation_is_normalised_by_what_was_learned_up_to_it():
    source = cartpole(normalize_observation=True)
    seen = []

    class Watching(ObservationNormalizer):
        def learn(self, observation):
            seen.append(observation.copy())
            super().learn(observation)

    source._actor.policy.normalizer = Watching(source.observation_space, 10.0)
    source.attach(source._actor)
    block = source.sample().observation
    again = ObservationNormalizer(source.observation_space, 10.0)
    for t in range(25):
        again.learn(seen[t])
        assert np.array_equal(block[t], again(seen[t]))
    assert len(seen) == 26


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"id": "Acrobot-v1"}, "^env.id is Acrobot-v1, was CartPole-v1: a run goes on in"),
        ({"normalize_reward": True}, "^env.normalize_reward is true, was false: "),
    ],
)
def test_what_cannot_go_on_is_refused_in_one_line(options, line):
    state = cartpole().get_state()
    with pytest.raises(ValueError, match=line) as caught:
        cartpole(**options).set_state(state)
    assert "\n" not in str(caught.value)
    if "id" not in options:
        plain = cartpole(**options).get_state()
        with pytest.raises(ValueError, match="is false, was true: "):
            cartpole().set_state(plain)


def test_old_states_of_another_number_of_environments_are_refused():
    state = {k: v for k, v in cartpole().get_state().items() if k != "settings"}
    with pytest.raises(ValueError, match=r"of 4 environments, and env\.num_envs is 8"):
        cartpole(num_envs=8).set_state(state)
