import logging

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from poke.envs.gym import GymEnvironment
from poke.envs.registration import UnsupportedEnvironmentError
from poke.spaces import SpaceError


class Masked(gym.Env):
    """Gives a mask where it is told to; where the count is odd, it forbids action 0."""

    def __init__(self, where="info", at=("reset", "step"), choices=(3,), parts=False, late=False):
        self.where, self.at, self.choices, self.parts, self.late = where, at, choices, parts, late
        several = len(choices) > 1
        self.action_space = spaces.MultiDiscrete(choices) if several else spaces.Discrete(*choices)
        self.observation_space = spaces.Box(0, 99, (1,))
        if where == "observation":
            mask = spaces.MultiBinary(sum(choices))
            if parts:
                mask = spaces.Tuple([spaces.MultiBinary(n) for n in choices])
            parts_of_it = {
                "seen": self.observation_space,
                "action_mask": mask,
                "more": spaces.Discrete(2),
            }
            self.observation_space = spaces.Dict(parts_of_it)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self._observe("reset")

    def step(self, action):
        if self.where == "info" and self.at == ("reset", "step"):
            assert np.all(np.asarray(action) != 0) or self.count % 2 == 0
        self.count += 1
        return *self._observe("step")[:1], 1.0, self.count >= 5, False, self._observe("step")[1]

    def _observe(self, moment):
        seen = np.array([self.count], np.float32)
        rows = [np.array([self.count % 2 == 0] + [True] * (n - 1), np.int8) for n in self.choices]
        mask = tuple(rows) if self.parts else np.concatenate(rows)
        if self.where == "observation":
            return {"seen": seen, "action_mask": mask, "more": 1}, {}
        given = moment in self.at and not (self.late and self.count < 3)
        return seen, {"action_mask": mask} if given else {}


class MaskedVector(gym.vector.SyncVectorEnv):
    def __init__(self, num_envs=1, **kwargs):
        super().__init__([lambda: Masked(**kwargs)] * num_envs)


@pytest.fixture(autouse=True)
def registered(register):
    register("Masked-v0", Masked, vector_entry_point=MaskedVector)


def make(vectorization="serial", **kwargs):
    environment = GymEnvironment(
        "Masked-v0", num_envs=2, vectorization=vectorization, kwargs=kwargs, probe_exact=False
    )
    environments = environment.make()
    environments.reset([0])
    return environments


WAYS = [
    {},
    {"where": "observation"},
    {"choices": (2, 3)},
    {"choices": (2, 3), "parts": True},
    {"choices": (2, 3), "where": "observation"},
    {"choices": (2, 3), "where": "observation", "parts": True},
]


@pytest.mark.parametrize("vectorization", ["serial", "async", "vector_entry_point"])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_masks_are_taken_from_wherever_they_come(way, vectorization):
    environments = make(vectorization, **way)
    choices = way.get("choices", (3,))
    actions = environments.random_actions(np.random.default_rng(0))
    try:
        for step in range(12):
            # Gymnasium's own vectors begin anew in the step after.
            count = step % (6 if vectorization == "vector_entry_point" else 5)
            first = count % 2 == 0 or bool(environments.idle[0])
            row = [legal for n in choices for legal in [first] + [True] * (n - 1)]
            assert environments.action_mask.tolist() == [row, row]
            environments.step(next(actions))
    finally:
        environments.close()


def test_a_mask_at_steps_only_leaves_everything_legal_at_a_reset(caplog):
    environments = make(at=("step",))
    assert environments.action_mask.all()
    environments.step(np.array([1, 1]))
    assert environments.action_mask.tolist() == [[False, True, True]] * 2
    assert not caplog.records


@pytest.mark.parametrize("vectorization", ["serial", "async", "vector_entry_point"])
def test_a_mask_at_resets_only_is_told_of_once_and_everything_is_legal(vectorization, caplog):
    with caplog.at_level(logging.WARNING, "poke"):
        environments = make(vectorization, at=("reset",))
        for _ in range(7):
            environments.step(np.array([1, 1]))
            assert environments.action_mask.all()
        environments.close()
    assert [record.getMessage() for record in caplog.records] == [
        "environment 0 gave an action mask before, and none with this step: "
        "every action counts as legal wherever there is none"
    ]


@pytest.mark.parametrize("vectorization", ["serial", "async"])
def test_a_mask_that_comes_later_than_it_was_tried_is_one_line(vectorization):
    environments = make(vectorization, late=True)
    assert environments.action_mask is None
    try:
        for _ in range(2):
            environments.step(np.array([1, 1]))
        with pytest.raises(SpaceError, match=r"^environment 0 gives an action mask, but gave none"):
            environments.step(np.array([1, 1]))
    finally:
        environments.close()


def one(observation_space, action_space, info=None):
    class One(gym.Env):
        def __init__(self):
            self.observation_space, self.action_space = observation_space, action_space

        def reset(self, *, seed=None, options=None):
            return self.observation_space.sample(), info or {}

    return One


def masked_by(mask):
    return spaces.Dict(seen=spaces.Box(0, 1, (2,)), action_mask=mask)


@pytest.mark.parametrize(
    ("env", "line"),
    [
        (
            one(masked_by(spaces.MultiBinary(4)), spaces.Discrete(3)),
            r"Odd-v0 has action_mask of MultiBinary\(4\), but its actions \(one of 3\) have a mask of 3 numbers",
        ),
        (
            one(masked_by(spaces.MultiBinary(4)), spaces.Box(-1, 1, (4,))),
            r"Odd-v0 has action_mask of .*, but its actions \(numbers \[4\]\) have a mask of no numbers",
        ),
        (
            one(spaces.Dict(action_mask=spaces.MultiBinary(2)), spaces.Discrete(2)),
            r"Odd-v0 has nothing to observe",
        ),
        (
            one(
                spaces.Dict(a=masked_by(spaces.MultiBinary(2)), action_mask=spaces.MultiBinary(2)),
                spaces.Discrete(2),
            ),
            r"Odd-v0 has several action masks: a.action_mask and action_mask",
        ),
        (
            one(spaces.Box(0, 1, (2,)), spaces.Discrete(3), {"action_mask": np.ones(2)}),
            r"Odd-v0: an action mask has shape \[2\], not \[3\]",
        ),
        (
            one(spaces.Box(0, 1, (2,)), spaces.Box(-1, 1, (3,)), {"action_mask": np.ones(3)}),
            r"Odd-v0: an action mask is of choices, and these actions are numbers \[3\]",
        ),
    ],
)
def test_a_mask_that_is_none_of_the_actions_is_refused_at_the_start(env, line, register):
    register("Odd-v0", env)
    with pytest.raises(UnsupportedEnvironmentError, match=f"^{line}"):
        GymEnvironment("Odd-v0", num_envs=1)
