import gymnasium as gym
import numpy as np
import pytest

from poke.envs.gym import GymEnvironment
from poke.envs.registration import UnsupportedEnvironmentError


class Counter(gym.Env):
    """Counts up to 5; the reward is the count. Where masked, action 1 is illegal at odd counts."""

    observation_space = gym.spaces.Box(0, 100, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, masked=False, ends_at=5):
        self.masked = masked
        self.ends_at = ends_at

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self._observe()

    def step(self, action):
        self.count += 1
        observation, info = self._observe()
        return observation, float(self.count), self.count >= self.ends_at, False, info

    def _observe(self):
        info = {"action_mask": np.array([1, self.count % 2 == 0], np.int8)} if self.masked else {}
        return np.array([self.count], np.float32), info


class CounterVector(gym.vector.VectorEnv):
    """The same, many at once, beginning anew in the step after the last."""

    metadata = {"autoreset_mode": gym.vector.AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, num_envs=1, max_episode_steps=None):
        self.num_envs = num_envs
        self.single_observation_space = Counter.observation_space
        self.single_action_space = Counter.action_space
        self.limit = max_episode_steps

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = np.zeros(self.num_envs, np.float32)
        self.ended = np.zeros(self.num_envs, bool)
        return self.count[:, None].copy(), {}

    def step(self, actions):
        self.count = np.where(self.ended, 0, self.count + 1).astype(np.float32)
        reward = self.count.astype(np.float64)
        terminated = self.count >= 5
        truncated = self.count >= (self.limit or 1000)
        self.ended = terminated | truncated
        return self.count[:, None].copy(), reward, terminated, truncated, {}


class Wild(gym.Env):
    observation_space = gym.spaces.Text(5)
    action_space = gym.spaces.Discrete(2)


class Choosy(gym.Env):
    observation_space = gym.spaces.Box(0, 1, (1,))
    action_space = gym.spaces.Box(0, 1000, (2,), np.int64)


class DictMasked(gym.Env):
    observation_space = gym.spaces.Dict(
        observation=gym.spaces.Discrete(4), action_mask=gym.spaces.MultiBinary(3)
    )
    action_space = gym.spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return {"observation": 2, "action_mask": np.array([0, 1, 0], np.int8)}, {}

    def step(self, action):
        assert action in (1, 2)
        return (
            {"observation": 3, "action_mask": np.array([0, 1, 1], np.int8)},
            1.0,
            False,
            False,
            {},
        )


@pytest.fixture(autouse=True)
def registered():
    before = dict(gym.registry)
    gym.register("Counter-v0", Counter, vector_entry_point=CounterVector)
    gym.register("Wild-v0", Wild)
    gym.register("Choosy-v0", Choosy)
    gym.register("DictMasked-v0", DictMasked)
    yield
    gym.registry.clear()
    gym.registry.update(before)


def make(id="Counter-v0", **options):
    options = {"num_envs": 2, "vectorization": "serial", **options}
    return GymEnvironment(id, **options)


def play(environments, num_steps, action=0):
    environments.reset([0])
    seen = []
    for _ in range(num_steps):
        environments.step(np.full(environments.num_envs, action))
        seen.append(
            (environments.observation[0, 0], environments.reward[0], *environments.finished)
        )
    return seen


@pytest.mark.parametrize("vectorization", ["serial", "async"])
def test_an_episode_that_ends_begins_anew_in_the_same_step(vectorization):
    environments = make(vectorization=vectorization).make()
    seen = play(environments, 5)
    environments.close()
    assert [float(row[0]) for row in seen] == [1, 2, 3, 4, 0]
    assert seen[-1][2:] == ((15.0, 5), (15.0, 5))
    assert environments.terminated.all()
    assert float(environments.final_observations[0][0]) == 5
    assert not environments.idle.any()


def test_an_episode_that_ends_may_begin_anew_in_the_step_after():
    environments = make(vectorization="vector_entry_point").make()
    seen = play(environments, 6)
    assert [float(row[0]) for row in seen] == [1, 2, 3, 4, 5, 0]
    assert seen[4][2:] == ((15.0, 5), (15.0, 5))
    environments.reset([0])
    idle = []
    for _ in range(7):
        idle.append(bool(environments.idle[0]))
        environments.step(np.zeros(2, np.int64))
    assert idle == [False] * 5 + [True, False]
    assert environments.finished == []
    for _ in range(4):
        environments.step(np.zeros(2, np.int64))
    assert environments.finished == [(15.0, 5), (15.0, 5)]


def test_a_time_limit_truncates():
    environments = make(max_episode_steps=3).make()
    play(environments, 3)
    assert environments.truncated.all()
    assert not environments.terminated.any()
    assert environments.finished == [(6.0, 3), (6.0, 3)]


def test_masks_come_from_info():
    environments = make(kwargs={"masked": True}).make()
    environments.reset([0])
    assert environments.action_mask.tolist() == [[True, True]] * 2
    environments.step(np.zeros(2, np.int64))
    assert environments.action_mask.tolist() == [[True, False]] * 2


def test_masks_come_from_the_observation_and_discrete_observations_are_one_hot():
    environments = make("DictMasked-v0").make()
    environments.reset([0])
    assert environments.observation.tolist() == [[0, 0, 1, 0]] * 2
    assert environments.action_mask.tolist() == [[False, True, False]] * 2
    environments.step(np.ones(2, np.int64))
    assert environments.observation.tolist() == [[0, 0, 0, 1]] * 2


def test_auto_takes_the_environments_own_vectorization_where_it_is_faster():
    assert not make(vectorization="auto", num_envs=2).make().idle.any()
    own = make(vectorization="auto", num_envs=8).make()
    play(own, 5)
    assert own.idle.all()


def test_rewards_are_scaled_but_the_episodes_return_is_not():
    environments = make(normalize_reward=True, reward_clip=1.5).make()
    play(environments, 5)
    assert environments.finished[0] == (15.0, 5)
    assert 0 < environments.reward[0] <= 1.5
    assert environments.reward[0] != 5


def test_frames_are_stacked():
    environments = make(frame_stack=3).make()
    play(environments, 4)
    assert environments.observation[0].ravel().tolist() == [2, 3, 4]


def test_continuous_actions_are_clipped_to_the_space():
    environments = make("Pendulum-v1", num_envs=1).make()
    environments.reset([0])
    environments.step(np.array([[100.0]], np.float32))
    huge = environments.observation.copy()
    environments.reset([0])
    environments.step(np.array([[2.0]], np.float32))
    assert np.array_equal(environments.observation, huge)


@pytest.mark.parametrize(
    ("id", "line"),
    [
        ("CartPol-v1", "unknown environment env.id=CartPol-v1 (did you mean CartPole-v1"),
        ("nowhere:Thing-v0", "unknown environment env.id=nowhere:Thing-v0"),
        ("Wild-v0", "Wild-v0 has observations of Text(1, 5, charset="),
        ("Choosy-v0", "Choosy-v0 takes actions of Box(0, 1000, (2,), int64), but poke gives"),
    ],
)
def test_what_cannot_be_played_is_said_in_one_line(id, line):
    with pytest.raises(UnsupportedEnvironmentError) as caught:
        make(id)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_a_wrong_constructor_argument_is_said_in_one_line():
    with pytest.raises(UnsupportedEnvironmentError, match=r"CartPole-v1 cannot be made: .*colour"):
        make("CartPole-v1", kwargs={"colour": "red"})


@pytest.mark.parametrize(
    "id", ["CartPole-v1", "Acrobot-v1", "Pendulum-v1", "MountainCar-v0", "Counter-v0"]
)
@pytest.mark.parametrize("vectorization", ["serial", "vector_entry_point"])
def test_a_copy_goes_on_as_the_original_does(id, vectorization):
    if vectorization == "vector_entry_point" and gym.spec(id).vector_entry_point is None:
        pytest.skip("has none")
    environment = make(
        id, vectorization=vectorization, normalize_observation=True, normalize_reward=True
    )
    first, second = (
        environment.make(),
        make(
            id, vectorization=vectorization, normalize_observation=True, normalize_reward=True
        ).make(),
    )
    assert first.exact_state
    first.reset([3])
    second.reset([4])
    actions = first.random_actions(np.random.default_rng(0))
    for _ in range(57):
        first.step(next(actions))
    second.set_state(first.get_state())
    for _ in range(300):
        action = next(actions)
        first.step(action)
        second.step(action)
        assert np.array_equal(first.observation, second.observation)
        assert np.array_equal(first.reward, second.reward)
        assert first.finished == second.finished


def test_environments_in_other_processes_are_copied_too():
    first, second = (
        make("CartPole-v1", vectorization="async").make(),
        make("CartPole-v1", vectorization="async").make(),
    )
    try:
        first.reset([3])
        second.reset([4])
        second.set_state(first.get_state())
        for _ in range(60):
            first.step(np.array([0, 1]))
            second.step(np.array([0, 1]))
            assert np.array_equal(first.observation, second.observation)
    finally:
        first.close()
        second.close()


def test_an_environment_whose_state_is_nowhere_to_be_found_is_not_called_exact():
    class Hidden(Counter):
        __slots__ = ("hidden",)

        def reset(self, *, seed=None, options=None):
            self.hidden = iter(range(1000))
            return super().reset(seed=seed)

        def step(self, action):
            observation, _, ended, cut, info = super().step(action)
            return observation, float(next(self.hidden)), ended, cut, info

    gym.register("Hidden-v0", Hidden, kwargs={"ends_at": 900})
    assert not make("Hidden-v0").make().exact_state
    assert make().make().inexact_reason is None
