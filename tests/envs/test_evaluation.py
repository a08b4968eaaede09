from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest

from poke.envs import evaluation
from poke.envs.episodes import record_episodes
from poke.envs.evaluation import EpisodeEvaluator
from poke.envs.gym import GymEnvironment
from poke.envs.gym.steppers import Serial
from poke.envs.registration import UnsupportedEnvironmentError
from poke.spaces import ActionSpace, ObservationSpace


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


class Endless(Counted):
    """Never ends; its observation is the step."""

    observation_space = gym.spaces.Box(0, np.inf, (1,))

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return super().reset(seed=seed)

    def step(self, action):
        self.steps += 1
        return np.full(1, self.steps, np.float32), float(action), False, False, {}


def endless(register, episodes=2, limit=None, **options):
    name = f"Endless{limit}-v0"
    if name not in gym.registry:
        register(name, Endless, max_episode_steps=limit)
    environment = GymEnvironment(name, num_envs=1, probe_exact=False)
    return EpisodeEvaluator(environment, episodes=episodes, seed=3, **options)


def test_an_episode_that_nothing_limits_is_cut_and_said_once(register, monkeypatch, caplog):
    assert evaluation.MAX_STEPS == 27_000
    monkeypatch.setattr(evaluation, "MAX_STEPS", 40)
    measuring = endless(register)
    for _ in range(2):
        metrics = measuring.evaluate(Player())
        assert metrics["return_mean"] == metrics["length_mean"] == 40
    assert [record.getMessage() for record in caplog.records] == [
        "2 of 2 episodes of evaluation did not end, were cut and count as far as they went "
        "(eval.max_episode_steps sets where)"
    ]
    assert Counted.opened == 0


@pytest.mark.parametrize("limit", [60, None])
def test_the_environments_own_limit_holds_and_so_does_ones_own(register, monkeypatch, limit):
    monkeypatch.setattr(evaluation, "MAX_STEPS", 40)
    assert endless(register, limit=60).evaluate(Player())["length_mean"] == 60
    own = endless(register, limit=limit, max_episode_steps=7)
    assert own.evaluate(Player())["length_mean"] == 7


class Drawing(Player):
    def choose(self, observation, *, explore=False, generator=None, **_):
        drawn = generator.integers(0, 2, len(observation)) if explore else observation[:, 0] * 0
        return SimpleNamespace(action=drawn.astype(np.int64))


def test_exploring_draws_the_same_at_every_evaluation_and_nothing_of_trainings(register):
    before = np.random.get_state(legacy=False)["state"]["key"].copy()
    measuring = endless(register, max_episode_steps=50, explore=True)
    first = measuring.evaluate(Drawing())
    assert first == measuring.evaluate(Drawing())
    assert 10 < first["return_mean"] < 40
    other = EpisodeEvaluator(
        measuring._environment, episodes=2, seed=4, explore=True, max_episode_steps=50
    )
    assert other.evaluate(Drawing()) != first
    assert endless(register, max_episode_steps=50).evaluate(Drawing())["return_mean"] == 0
    assert np.array_equal(np.random.get_state(legacy=False)["state"]["key"], before)


class Remembering(Player):
    """Acts by how many decisions its memory has seen, and forgets where it is told to."""

    def initial_state(self, batch_size):
        self.state = Memory(batch_size)
        return self.state

    def choose(self, observation, *, state, **_):
        assert state is self.state
        assert (state.seen == observation[:, 0]).all()  # nothing of an earlier episode
        state.seen += 1
        return SimpleNamespace(action=np.ones(len(observation), np.int64))


class Memory:
    def __init__(self, batch_size):
        self.seen = np.zeros(batch_size)

    def reset(self, rows):
        self.seen[rows] = 0


def recorded(register, seed=0, limit=None, num_episodes=5, num_envs=2, **options):
    register("Endless-v0", Endless, max_episode_steps=limit)
    environment = GymEnvironment("Endless-v0", num_envs=1, probe_exact=False)
    environments = environment.make_evaluation(num_envs)
    policy = Remembering()
    policy.observation_space = environment.observation_space
    try:
        return record_episodes(
            environments, policy, num_episodes=num_episodes, seed=seed, metadata={}, **options
        )
    finally:
        environments.close()


@pytest.mark.parametrize("limits", [{"limit": 6}, {"max_steps": 6}])
def test_recorded_episodes_end_at_a_limit_and_memories_begin_anew_with_each(register, limits):
    rows = recorded(register, **limits)
    assert rows.num_episodes == 5
    assert rows.observation[:, 0].tolist() == 5 * [0, 1, 2, 3, 4, 5]
    assert rows.truncated.tolist() == 5 * [False, False, False, False, False, True]
    assert not rows.terminated.any()


def test_recorded_episodes_that_nothing_limits_are_cut_and_said(register, monkeypatch, caplog):
    monkeypatch.setattr(evaluation, "MAX_STEPS", 4)
    assert len(recorded(register, num_episodes=3)) == 12
    assert [r.getMessage() for r in caplog.records] == [
        "3 episodes did not end and were cut at 4 steps"
    ]


def test_what_is_recorded_has_seeds_of_its_own_and_clipped_actions():
    class Pushing(Player):
        observation_space = None

        def choose(self, observation, **_):
            return SimpleNamespace(action=np.full((len(observation), 1), 50, np.float32))

    environment = GymEnvironment("Pendulum-v1", num_envs=1, probe_exact=False)
    policy = Pushing()
    policy.observation_space = environment.observation_space
    firsts = []
    for reset in ([7], [7, 0]):
        environments = environment.make_evaluation(1)
        environments.reset(reset)
        firsts.append(environments.observation[0].copy())
    rows = record_episodes(environments, policy, num_episodes=1, seed=7, metadata={}, max_steps=3)
    assert rows.action.tolist() == [[2.0]] * 3
    assert all((rows.observation[0] != first).any() for first in firsts)


class Stubborn(Counted):
    """Is closed, and complains."""

    def close(self):
        super().close()
        raise OSError(f"{Counted.opened} left")


class Breaking(Counted):
    """Breaks where it is told to, from its second on."""

    def __init__(self, where="reset"):
        super().__init__()
        self.where, self.number = where, Counted.opened

    def reset(self, *, seed=None, options=None):
        if self.where == "reset":
            raise ArithmeticError("reset")
        return super().reset(seed=seed)

    def step(self, action):
        if self.where == "probe" and self.number > 1:
            raise ArithmeticError("probe")
        return super().step(action)


def test_all_are_closed_where_closing_one_fails(register):
    register("Stubborn-v0", Stubborn)
    with pytest.raises(OSError, match="left"):
        GymEnvironment("Stubborn-v0", num_envs=1)
    serial = Serial(Stubborn, 3, ObservationSpace.box((1,)), ActionSpace.discrete(2), False)
    with pytest.raises(OSError, match="left"):
        serial.close()
    assert Counted.opened == 0


@pytest.mark.parametrize("where", ["reset", "probe"])
def test_all_are_closed_where_trying_them_fails(register, where):
    register("Breaking-v0", Breaking)
    with pytest.raises(ArithmeticError, match=where):
        GymEnvironment("Breaking-v0", num_envs=2, kwargs={"where": where}).make()
    assert Counted.opened == 0


@pytest.mark.parametrize(
    "wrapper", ["gymnasium.wrappers.Nothing", "gymnasium.wrappers.ResizeObservation"]
)
def test_all_are_closed_where_a_wrapper_cannot_be_made(wrapper):
    with pytest.raises(UnsupportedEnvironmentError):
        GymEnvironment("Counted-v0", num_envs=1, wrappers=[{"_target_": wrapper}])
    assert Counted.opened == 0
