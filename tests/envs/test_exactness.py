"""`exact_state` is true only for what is known to be restored; else there is a reason."""

import functools
import logging
import random
from collections import deque
from enum import Enum

import gymnasium as gym
import numpy as np
import pytest
import torch

from poke.envs.gym import GymEnvironment

counted = 0


class Direction(Enum):
    LEFT = 0
    RIGHT = 1


class Slotted:
    __slots__ = ("count", "draws")

    def __init__(self):
        self.count = 0
        self.draws = random.Random(3)


class Base(gym.Env):
    """Rewards with `number()`, which each of the kinds below keeps elsewhere."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (1,))
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        self.begin()
        return np.zeros(1, np.float32), {}

    def begin(self):
        pass

    def step(self, action):
        self.steps += 1
        return np.zeros(1, np.float32), float(self.number()), self.steps >= 37, False, {}


class Everything(Base):
    """Keeps numbers in every way that can be taken, and beside them what is no state."""

    def __init__(self):
        self.direction = Direction.LEFT
        self.slotted = Slotted()
        self.legacy = np.random.RandomState(1)
        self.tensor = torch.zeros(2)
        self.log = logging.getLogger("poke.tests")
        self.rule = functools.partial(max, 0)
        self.also = lambda: 3
        self.inner = {"space": gym.spaces.Discrete(3)}
        self.moves = {Direction.LEFT: np.array([1, 0]), Direction.RIGHT: np.array([0, 1])}
        self.recent = deque([0.0], maxlen=4)
        self.shared = [0]
        self.the_same = self.shared
        self.nothing = [np.zeros((0, 3)), b"", np.str_(""), np.bytes_(b""), "", (), {}]
        self.empty = np.zeros(0)

    def begin(self):
        self.best = np.float64(self.np_random.random())
        self.kinds = [
            np.int8(3),
            np.bool_(True),
            np.float16(0.5),
            np.str_("a"),
            {"x": np.float64(2)},
        ]

    def number(self):
        self.direction = Direction(1 - self.direction.value)
        self.slotted.count += self.slotted.draws.randrange(5)
        self.best = self.best * np.float64(0.9) + self.legacy.rand()
        self.tensor = self.tensor + 1
        self.recent.append(self.np_random.random())
        self.the_same[0] += 1
        seen = [self.direction.value, self.slotted.count, self.best, sum(self.recent)]
        return sum(seen) + float(self.tensor.sum()) + self.shared[0]


class Iterating(Base):
    def begin(self):
        self.numbers = (number * 7 % 11 for number in range(1000))

    def number(self):
        return next(self.numbers)


class Objects(Base):
    def begin(self):
        self.animals = [Slotted(), Slotted()]

    def number(self):
        self.animals[0].count += 1
        return 0  # it does not show in two hundred steps


class OfTheClass(Base):
    total = 0

    def number(self):
        type(self).total += 1
        return 0


class OfTheModule(Base):
    def number(self):
        global counted
        counted += 1
        return 0


class OfTheClassAtResets(Base):
    episodes = 0

    def begin(self):
        type(self).episodes += 1

    def number(self):
        return 0


class ClassSpace(Base):
    """Draws from a space that all of its class share."""

    action_space = gym.spaces.Discrete(1000)

    def number(self):
        return self.action_space.sample()


class Global(Base):
    def number(self):
        return np.random.random()


class Pure(Base):
    def number(self):
        return random.random()


class Unreadable(Base):
    """Cannot be put back."""

    def __init__(self):
        object.__setattr__(self, "numbers", frozenset([1]))

    def number(self):
        object.__setattr__(self, "numbers", frozenset([len(self.numbers), self.steps]))
        return len(self.numbers)


def inexact_reason(register, env, **options):
    register("Kept-v0", env)
    environment = GymEnvironment("Kept-v0", num_envs=2, vectorization="serial", **options)
    before = global_generators()
    environments = environment.make()
    environments.close()
    assert global_generators() == before
    assert environments.exact_state == (environments.inexact_reason is None)
    return environments.inexact_reason


def global_generators():
    return random.getstate(), np.random.get_state(legacy=False)["state"]["key"].tolist()


def test_every_kind_of_value_is_restored_from_a_file(register, tmp_path):
    assert inexact_reason(register, Everything) is None
    first, second = (GymEnvironment("Kept-v0", num_envs=2).make() for _ in range(2))
    first.reset([0])
    second.reset([1])
    for _ in range(50):
        first.step(np.zeros(2, np.int64))
    torch.save(first.get_state(), tmp_path / "state.pt")
    second.set_state(torch.load(tmp_path / "state.pt", weights_only=True))
    for _ in range(50):
        first.step(np.zeros(2, np.int64))
        second.step(np.zeros(2, np.int64))
        assert np.array_equal(first.reward, second.reward)


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        (Iterating, "its attribute numbers (generator) cannot be saved"),
        (Objects, "its attribute animals (list) changes and cannot be saved"),
        (Unreadable, "its attribute numbers (frozenset) changes and cannot be saved"),
        (OfTheClass, "OfTheClass.total changes, and is not the environment's own"),
        (
            OfTheClassAtResets,
            "OfTheClassAtResets.episodes changes, and is not the environment's own",
        ),
        (OfTheModule, "counted changes, and is not the environment's own"),
        (ClassSpace, "ClassSpace.action_space changes, and is not the environment's own"),
        (Global, "it draws from numpy's global random generator"),
        (Pure, "it draws from Python's global random generator"),
    ],
)
def test_what_is_not_known_to_be_restored_has_a_reason(env, reason, register):
    assert inexact_reason(register, env).endswith(reason)


def test_without_the_probe_nothing_is_tried(register):
    class Counting(Base):
        steps_of_all = 0

        def number(self):
            Counting.steps_of_all += 1
            return 0

    assert inexact_reason(register, Counting, probe_exact=False) == "env.probe_exact=false"
    assert Counting.steps_of_all <= 1  # whether there are masks is asked in any case


@pytest.mark.parametrize(
    "id",
    [
        "CartPole-v1",
        "Acrobot-v1",
        "MountainCar-v0",
        "MountainCarContinuous-v0",
        "Pendulum-v1",
        "Blackjack-v1",
        "FrozenLake-v1",
        "CliffWalking-v1",
        "Taxi-v4",
    ],
)
def test_environments_of_gymnasium_are_exact_and_a_checkpoint_holds_them(id, tmp_path):
    environments = GymEnvironment(id, num_envs=2, vectorization="serial").make()
    assert environments.inexact_reason is None
    environments.reset([0])
    actions = environments.random_actions(np.random.default_rng(0))
    for _ in range(3):
        environments.step(next(actions))
    torch.save(environments.get_state(), tmp_path / "state.pt")
    torch.load(tmp_path / "state.pt", weights_only=True)


@pytest.mark.filterwarnings("ignore:builtin type:DeprecationWarning")
def test_box2d_keeps_its_world_where_nobody_sees_it():
    pytest.importorskip("Box2D", reason="an extra")
    environments = GymEnvironment("LunarLander-v3", num_envs=1).make()
    assert environments.inexact_reason.startswith("its attribute world.")
    environments.close()
