import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from poke.envs.gym import GymEnvironment
from poke.envs.registration import UnsupportedEnvironmentError


class Seen(gym.Env):
    """Shows the step in every way; writes its pictures into the same memory again."""

    action_space = spaces.Discrete(2)

    def __init__(self, space=None):
        self.observation_space = (
            space
            if space is not None
            else spaces.Dict(
                hwc=spaces.Box(0, 255, (4, 5, 3), np.uint8),
                chw=spaces.Box(0, 1, (1, 4, 5)),
                gray=spaces.Box(0, 255, (4, 5), np.uint8),
                vector=spaces.Box(-np.inf, np.inf, (2,)),
                number=spaces.Box(0, 9, ()),
                choice=spaces.Discrete(9, start=1),
                pair=spaces.Tuple([spaces.MultiDiscrete([9, 9]), spaces.MultiBinary(2)]),
                action_mask=spaces.MultiBinary(2),
            )
        )
        self.picture = np.zeros((4, 5, 3), np.uint8)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self._observe(), {}

    def step(self, action):
        self.count += 1
        return self._observe(), 1.0, self.count >= 6, False, {}

    def _observe(self):
        n = self.count
        self.picture[...] = n
        return {
            "hwc": self.picture,
            "chw": np.full((1, 4, 5), n / 10, np.float32),
            "gray": np.full((4, 5), n, np.uint8),
            "vector": np.full(2, n, np.float32),
            "number": float(n),
            "choice": n + 1,
            "pair": (np.array([n, n]), np.array([n % 2, 1])),
            "action_mask": np.array([1, n % 2]),
        }


@pytest.fixture(autouse=True)
def registered(register):
    register("Seen-v0", Seen)


def make(id="Seen-v0", **options):
    return GymEnvironment(id, **{"num_envs": 2, "vectorization": "serial", **options})


def parts(environment, row):
    return {
        f.entry.name: np.frombuffer(
            row[f.offset : f.offset + f.num_bytes].tobytes(), f.dtype
        ).reshape(f.shape)
        for f in environment.observation_space.fields
    }


def test_every_part_of_an_observation_is_stacked_and_the_mask_is_not():
    environment = make(frame_stack=3)
    environments = environment.make()
    environments.reset([0])
    for _ in range(4):
        environments.step(np.array([0, 0]))
    seen = parts(environment, environments.observation[0])
    assert seen["hwc"].shape == (3, 4, 5, 3)
    assert seen["hwc"][:, 0, 0].tolist() == [[2] * 3, [3] * 3, [4] * 3]
    assert np.allclose(seen["chw"][:, 0, 0, 0], [0.2, 0.3, 0.4])
    assert seen["gray"][:, 0, 0].tolist() == [2, 3, 4]
    assert seen["vector"].tolist() == [[2, 2], [3, 3], [4, 4]]
    assert seen["number"].tolist() == [2, 3, 4]
    assert seen["choice"].ravel().tolist() == [2, 3, 4]
    assert seen["pair.0"].tolist() == [[2, 2], [3, 3], [4, 4]]
    assert seen["pair.1"].tolist() == [[0, 1], [1, 1], [0, 1]]
    assert environments.action_mask.tolist() == [[True, False]] * 2  # of now
    for _ in range(2):
        environments.step(np.array([0, 0]))
    assert parts(environment, environments.observation[0])["number"].tolist() == [0, 0, 0]
    assert environments.inexact_reason is None


def test_wrappers_are_made_in_order_within_the_stack():
    environment = make(
        "CartPole-v1",
        wrappers=[
            {"_target_": "gymnasium.wrappers.TimeAwareObservation"},
            {"_target_": "gymnasium.wrappers.FlattenObservation"},
            {"_target_": "gymnasium.wrappers.RescaleObservation", "min_obs": 0.0, "max_obs": 1.0},
        ][:2],
        frame_stack=2,
    )
    assert environment.observation_space.shape == (2, 5)
    assert environment.settings["wrappers"][0] == {
        "_target_": "gymnasium.wrappers.TimeAwareObservation"
    }
    assert environment.make().inexact_reason is None


def test_evaluation_is_wrapped_too():
    environment = make(
        "Pendulum-v1",
        wrappers=[{"_target_": "gymnasium.wrappers.TimeLimit", "max_episode_steps": 5}],
    )
    evaluation = environment.make_evaluation(1)
    evaluation.reset([0])
    for _ in range(5):
        evaluation.step(np.zeros((1, 1), np.float32))
    assert evaluation.finished[0][1] == 5


@pytest.mark.parametrize(
    ("node", "line"),
    [
        ({"_target_": "gymnasium.wrappers.Clip"}, "there is no gymnasium.wrappers.Clip"),
        ({"_target_": "Clip"}, "there is no Clip"),
        ({"_target_": "nowhere.Clip"}, "there is no nowhere.Clip"),
        ({"_target_": "gymnasium.wrappers"}, "gymnasium.wrappers is no wrapper"),
        ({"_target_": "builtins.str"}, "builtins.str makes no environment of one"),
        (
            {"_target_": "gymnasium.wrappers.TimeLimit", "steps": 5},
            "gymnasium.wrappers.TimeLimit cannot be made: TypeError: ",
        ),
        (
            {"_target_": "gymnasium.wrappers.ResizeObservation", "shape": [4, 4]},
            "gymnasium.wrappers.ResizeObservation cannot be made: ",  # its own error, by version
        ),
        ({"name": "x"}, "must name a wrapper, as in {_target_: gymnasium.wrappers.ClipReward}"),
        ("gymnasium.wrappers.ClipReward", "must name a wrapper"),
    ],
)
def test_a_wrapper_that_cannot_be_is_one_line(node, line):
    good = {"_target_": "gymnasium.wrappers.RecordEpisodeStatistics"}
    with pytest.raises(UnsupportedEnvironmentError) as caught:
        make("CartPole-v1", wrappers=[good, node])
    assert str(caught.value).startswith("env.wrappers[1]")
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("space", "line"),
    [
        (spaces.Text(5), "Odd-v0 has observations of Text(1, 5"),
        (
            spaces.Dict(a=spaces.Tuple([spaces.Sequence(spaces.Discrete(2))])),
            "Odd-v0 has a.0 of Sequence(",
        ),
        (spaces.Dict(g=spaces.Graph(spaces.Discrete(2), None)), "Odd-v0 has g of Graph("),
        (
            spaces.OneOf([spaces.Discrete(2), spaces.Discrete(3)]),
            "Odd-v0 has observations of OneOf(",
        ),
        (spaces.Dict(a=spaces.Box(0, 1, (2, 0))), "Odd-v0 has a of Box([], [], ("),
        (spaces.Dict(), "Odd-v0 has nothing to observe"),
    ],
)
@pytest.mark.parametrize("frame_stack", [1, 2])
def test_what_cannot_be_seen_is_refused_by_entry_and_kind(space, line, frame_stack, register):
    register("Odd-v0", Seen, kwargs={"space": space})
    with pytest.raises(UnsupportedEnvironmentError) as caught:
        make("Odd-v0", frame_stack=frame_stack)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_bounds_that_all_share_are_known_and_others_are_none():
    space = spaces.Dict(
        byte=spaces.Box(0, 255, (2,), np.uint8),
        unit=spaces.Box(0, 1, (2,)),
        uneven=spaces.Box(np.array([0, 1], np.float32), np.array([2, 2], np.float32)),
        endless=spaces.Box(-np.inf, np.inf, (2,)),
        largest=spaces.Box(np.finfo(np.float32).min, np.finfo(np.float32).max, (2,)),
    )

    class Bounded(Seen):
        def _observe(self):
            return self.observation_space.sample()

    gym.register("Bounded-v0", Bounded, kwargs={"space": space})
    entries = {e.name: (e.low, e.high) for e in make("Bounded-v0").observation_space.entries}
    assert entries == {
        "byte": (0, 255),
        "unit": (0, 1),
        "uneven": (None, 2),
        "endless": (None, None),
        "largest": (None, None),
    }


OTHERS = [
    {"frame_stack": 2},
    {"max_episode_steps": 9},
    {"wrappers": [{"_target_": "gymnasium.wrappers.RecordEpisodeStatistics"}]},
]


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: next(iter(other)))
def test_auto_chooses_what_works_with_the_other_knobs(other):
    environment = make("CartPole-v1", num_envs=16, vectorization="auto", **other)
    assert environment.settings["vectorization"] == "serial"
    (name,) = other
    with pytest.raises(UnsupportedEnvironmentError, match=f"CartPole-v1: env.{name} need"):
        make("CartPole-v1", num_envs=16, vectorization="vector_entry_point", **other)


def test_auto_takes_a_vector_entry_point_only_where_that_takes_the_arguments(register):
    class Many(gym.vector.SyncVectorEnv):
        def __init__(self, num_envs):
            super().__init__([Seen] * num_envs)

    register("Many-v0", Seen, vector_entry_point=Many)
    plain = make("Many-v0", num_envs=8, vectorization="auto")
    assert plain.settings["vectorization"] == "vector_entry_point"
    told = make("Many-v0", num_envs=8, vectorization="auto", kwargs={"space": None})
    assert told.settings["vectorization"] == "serial"


def test_rewards_follow_the_algorithms_discount_where_none_is_given():
    given = [{}, {"gamma": 0.9}, {"gamma": 0.9, "reward_gamma": 0.5}]
    gammas = [make("CartPole-v1", normalize_reward=True, **more)._reward_gamma for more in given]
    assert gammas == [0.99, 0.9, 0.5]


@pytest.mark.parametrize(
    ("id", "line"),
    [
        (
            "CartPole-v1",
            "env.action_bounds=squash is for actions of numbers, and CartPole-v1 takes one of 2",
        ),
        (
            "Endless-v0",
            "env.action_bounds=squash needs finite bounds, and Endless-v0 takes Box(-inf",
        ),
    ],
)
def test_squashing_what_has_no_bounds_is_refused(id, line, register):
    class Endless(Seen):
        action_space = spaces.Box(-np.inf, np.inf, (1,))

    register("Endless-v0", Endless, kwargs={"space": spaces.Box(0, 1, (1,))})
    with pytest.raises(UnsupportedEnvironmentError) as caught:
        make(id, action_bounds="squash")
    assert str(caught.value).startswith(line)


def test_squashed_actions_stay_within_the_bounds():
    environments = make("Pendulum-v1", action_bounds="squash").make()
    environments.reset([0])
    taken = []
    for env in environments.members:
        step = env.unwrapped.step
        env.unwrapped.step = lambda action, step=step: (taken.append(action.item()), step(action))[
            1
        ]
    environments.step(np.array([[0.5], [-100]], np.float32))
    assert np.allclose(taken, [2 * np.tanh(0.5), -2])


@pytest.mark.parametrize("reward", [np.zeros(2), None, "much", np.zeros((1, 2))])
def test_a_reward_that_is_no_number_is_one_line(reward, register):
    class Odd(Seen):
        def step(self, action):
            return super().step(action)[0], reward, False, False, {}

    register("Odd-v0", Odd)
    environments = make("Odd-v0", probe_exact=False).make()
    environments.reset([0])
    with pytest.raises(ValueError, match=r"^a reward is a number, and the environment gave one of"):
        environments.step(np.array([0, 0]))
