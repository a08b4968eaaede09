from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest

from poke.envs.evaluation import EpisodeEvaluator
from poke.envs.gym import GymEnvironment


class Counted(gym.Env):
    """Knows how many are open. Where it is told to, making the third fails."""

    observation_space = gym.spaces.Box(0, 1, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)
    render_mode = "rgb_array"
    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    opened = 0

    def __init__(self, at_most=None, render_mode=None):
        if at_most is not None and Counted.opened >= at_most:
            raise MemoryError("no more of them")
        Counted.opened += 1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), 1.0, bool(action), False, {}

    def render(self):
        raise KeyboardInterrupt

    def close(self):
        Counted.opened -= 1


@pytest.fixture(autouse=True)
def registered():
    Counted.opened = 0
    gym.register("Counted-v0", Counted)
    yield
    del gym.registry["Counted-v0"]


class Player:
    """An algorithm and its policy in one."""

    def __init__(self, breaks=None):
        self.breaks = breaks
        self.policy = self

    def initial_state(self, batch_size):
        return None

    def choose(self, observation, *, explore=False, generator=None, **_):
        if self.breaks is not None:
            raise self.breaks
        return SimpleNamespace(action=np.ones(len(observation), np.int64))


def evaluator(vectorization="serial", video=False, **kwargs):
    environment = GymEnvironment(
        "Counted-v0", num_envs=1, vectorization=vectorization, evaluation_kwargs=kwargs
    )
    assert Counted.opened == 0
    return EpisodeEvaluator(environment, episodes=4, seed=3, video=video)


def test_the_metrics_names_are_known_before():
    measuring = evaluator()
    assert measuring.metric_names == tuple(measuring.evaluate(Player()))


@pytest.mark.parametrize("vectorization", ["serial", "async"])
@pytest.mark.parametrize("breaks", [None, ArithmeticError(), KeyboardInterrupt(), SystemExit(1)])
def test_environments_are_closed_whatever_ends_an_evaluation(vectorization, breaks):
    measuring = evaluator(vectorization)
    if breaks is None:
        measuring.evaluate(Player())
    else:
        with pytest.raises(type(breaks)):
            measuring.evaluate(Player(breaks))
    assert Counted.opened == 0


def test_environments_that_are_filmed_are_closed_too():
    with pytest.raises(KeyboardInterrupt):
        evaluator(video=True).evaluate(Player())
    assert Counted.opened == 0


def test_where_one_cannot_be_made_those_before_it_are_closed():
    with pytest.raises(MemoryError):
        evaluator(at_most=2).evaluate(Player())
    assert Counted.opened == 0
