"""Whatever spaces an environment has, and however it is wrapped and run, it is played as it is."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

from poke.config import composing
from poke.data.rollout import Collector
from poke.envs.gym import GymEnvironment
from poke.run.agent import Agent

from .parts import through_a_file

SEEDS = range(12)
RUNS = {
    "serial": {},
    "async": {"vectorization": "async"},
    "vector": {"vectorization": "vector_entry_point"},
    "stacked": {"frame_stack": 3},
    "wrapped": {"wrappers": [{"_target_": "gymnasium.wrappers.RecordEpisodeStatistics"}]},
    "cut": {"max_episode_steps": 4},
}
ACTIONS = {
    "discrete": spaces.Discrete(3, start=5),
    "multi_discrete": spaces.MultiDiscrete([2, 3], start=[1, 0]),
    "multi_binary": spaces.MultiBinary([2, 2]),
    "box": spaces.Box(-1, 1, (2, 1), np.float64),
    "number": spaces.Box(-np.inf, np.inf, ()),
    "whole": spaces.Box(-2, 5, (3,), np.int16),
}


def random_space(rng, depth=2):
    """A space of any kind that can be played; nested up to a depth."""
    kinds = ["box", "picture", "discrete", "multi_discrete", "multi_binary"]
    kind = rng.choice(kinds + ["dict", "tuple"] * 2 * (depth > 0))
    if kind == "dict":
        return spaces.Dict(
            {f"key{i}": random_space(rng, depth - 1) for i in range(rng.integers(1, 4))}
        )
    if kind == "tuple":
        return spaces.Tuple([random_space(rng, depth - 1) for _ in range(rng.integers(1, 4))])
    shape = tuple(rng.integers(1, 4, rng.integers(0, 3)).tolist())
    if kind == "picture":
        shape = (8, 6, 3) if rng.random() < 0.5 else (1, 8, 6)
        dtype, high = (np.uint8, 255) if rng.random() < 0.5 else (np.float32, 1)
        return spaces.Box(0, high, shape, dtype)
    if kind == "box":
        dtype = rng.choice([np.float16, np.float32, np.float64, np.int8, np.int64, np.uint8])
        if rng.random() < 0.3 and issubclass(dtype, np.floating):
            return spaces.Box(-np.inf, np.inf, shape, dtype)
        return spaces.Box(rng.integers(0, 3), rng.integers(4, 9), shape, dtype)
    if kind == "discrete":
        return spaces.Discrete(rng.integers(1, 5), start=rng.integers(-3, 4))
    nvec = rng.integers(2, 5, shape or (2,))
    if kind == "multi_discrete":
        return spaces.MultiDiscrete(nvec, start=rng.integers(-2, 3, nvec.shape))
    return spaces.MultiBinary(nvec.shape)


class Sampled(gym.Env):
    """Gives anything its space holds, and takes nothing else than what its actions' space does."""

    def __init__(self, seed=0, actions="discrete"):
        self.observation_space = random_space(np.random.default_rng(seed))
        self.action_space = ACTIONS[actions]
        self.given = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        return self._observe(), {}

    def step(self, action):
        if isinstance(
            self.action_space, spaces.Box
        ):  # Gymnasium's vectors give a sole number as such
            action = np.asarray(action)
        assert self.action_space.contains(action), action
        return self._observe(), 1.0, bool(self.np_random.random() < 0.1), False, {}

    def _observe(self):
        self.last = self.observation_space.sample()
        return self.last


class SampledVector(gym.vector.SyncVectorEnv):
    """The same, many at once."""

    def __init__(self, num_envs=1, **kwargs):
        super().__init__([lambda: Sampled(**kwargs)] * num_envs)


@pytest.fixture(autouse=True)
def registered():
    gym.register("Sampled-v0", Sampled, vector_entry_point=SampledVector)
    yield
    del gym.registry["Sampled-v0"]


class Chance:
    """Acts at random; an algorithm as far as the collector asks."""

    def __init__(self, source):
        self.policy = self
        self.normalizer = None
        self.initial_state = lambda num_envs: None
        self.actions = source.environments.random_actions(np.random.default_rng(0))

    def rollout_step(self, observation, action_mask, *_):
        zeros = np.zeros(len(observation), np.float32)
        return next(self.actions), zeros, zeros

    def value(self, observation, *_):
        return np.zeros(len(observation), np.float32)


def collector(seed=0, actions="discrete", **options):
    options = {"num_envs": 2, "vectorization": "serial", **options}
    kwargs = {"seed": seed, "actions": actions}
    environment = GymEnvironment("Sampled-v0", kwargs=kwargs, probe_exact=False, **options)
    return Collector(environment, num_steps=8, seed=1)


def unpacked(space, row):
    """An observation's numbers, entry by entry."""
    for f in space.fields:
        if not space.packed:
            yield f.entry, row
            continue
        raw = row[f.offset : f.offset + f.num_bytes]
        yield f.entry, np.frombuffer(raw.tobytes(), f.dtype).reshape(f.shape)


def numbers(entry, kept):
    """The environment's own numbers from what was kept of them."""
    if entry.kind != "discrete":
        return kept
    if kept.dtype == np.float32:  # one-hot
        ends = np.cumsum(entry.sizes)[:-1]
        kept = np.array([part.argmax() for part in np.split(kept, ends)])
    return kept.reshape(entry.shape) + np.reshape(entry.starts, entry.shape)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_kept_is_what_the_environment_gave(seed):
    environments = collector(seed).environments
    environments.reset([0])
    environments.step(next(environments.random_actions(np.random.default_rng(0))))
    space = GymEnvironment("Sampled-v0", kwargs={"seed": seed}, num_envs=1).observation_space
    for row, env in zip(environments.observation, environments.members, strict=True):
        for entry, kept in unpacked(space, row):
            given = env.unwrapped.last
            for key in entry.path:
                given = given[key]
            expected = np.asarray(given).astype(kept.dtype if entry.kind == "box" else np.int64)
            assert np.array_equal(numbers(entry, kept), expected), entry
    environments.close()


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("seed", SEEDS)
def test_observations_of_any_space_are_played_however_environments_are_run(seed, run):
    source = collector(seed, **RUNS[run])
    try:
        source.attach(Chance(source))
        for _ in range(2):
            block = source.sample()
        assert block.observation.shape[2:] == source.observation_space.shape
        assert block.num_steps > 0
        if run == "cut":
            assert block.truncated.any()
    finally:
        source.close()


@pytest.mark.parametrize("run", ["serial", "async", "vector"])
@pytest.mark.parametrize("actions", ACTIONS)
def test_actions_are_as_the_environment_takes_them(actions, run):
    source = collector(actions=actions, **RUNS[run])
    try:
        source.attach(Chance(source))
        block = source.sample()
        assert block.action.shape == (8, 2, *source.action_space.action_shape)
    finally:
        source.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_copy_goes_on_as_the_original_does_whatever_its_spaces(seed, tmp_path):
    first, second = (
        GymEnvironment("Sampled-v0", num_envs=2, kwargs={"seed": seed}).make() for _ in range(2)
    )
    assert first.inexact_reason is None
    first.reset([3])
    actions = first.random_actions(np.random.default_rng(0))
    for _ in range(9):
        first.step(next(actions))
    second.reset([4])
    second.set_state(through_a_file(first.get_state(), tmp_path / "state.pt"))
    for _ in range(30):
        action = next(actions)
        first.step(action)
        second.step(action)
        assert np.array_equal(first.observation, second.observation)
        assert first.finished == second.finished
    assert torch.load(tmp_path / "state.pt", weights_only=True)["idle"] == [False, False]


SETTINGS = (
    "algo=ppo",
    "env=gym",
    "env.id=Sampled-v0",
    "env.num_envs=2",
    "env.probe_exact=false",
    "data.num_steps=8",
    "algo.minibatch_size=8",
    "algo.num_epochs=1",
)


def agent(*overrides):
    return Agent(composing.to_plain(composing.compose("train", [*SETTINGS, *overrides])))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_policy_learns_from_any_observations_and_acts_on_them(seed):
    learner = agent(f"+env.kwargs.seed={seed}")
    try:
        for _ in range(2):
            metrics = learner.algorithm.update(learner.source.sample())
            assert all(np.isfinite(value) for value in metrics.values())
    finally:
        learner.close_parts()
    env = Sampled(seed)
    observation, info = env.reset(seed=0)
    for _ in range(5):
        action = learner.algorithm.policy.act(observation, info=info, explore=True)
        observation, _, _, _, info = env.step(action)


@pytest.mark.parametrize("actions", ACTIONS)
def test_a_policy_learns_actions_of_any_kind_and_acts_as_the_environment_takes_them(actions):
    learner = agent(f"+env.kwargs.actions={actions}", "env.frame_stack=2")
    try:
        for _ in range(2):
            learner.algorithm.update(learner.source.sample())
        source = learner.source
        choice = learner.algorithm.policy.choose(source.environments.observation, explore=True)
        for action in source.action_space.to_environment(choice.action):
            assert ACTIONS[actions].contains(np.asarray(action))
    finally:
        learner.close_parts()
