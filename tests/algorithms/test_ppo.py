import copy
import math
import sys
from concurrent.futures import ThreadPoolExecutor

import gymnasium as gym
import numpy as np
import pytest
import torch

from poke.algorithms.ppo import PPO
from poke.data.rollout import Collector
from poke.envs.evaluation import EpisodeEvaluator
from poke.envs.gym import GymEnvironment
from poke.protocols import NonFiniteError

from ..contracts.corridor import corridor  # noqa: F401
from ..contracts.parts import policy_maker
from ..selecting import few

VALUES = {
    "lr": 1e-2,
    "lr_schedule": "linear",
    "schedule_steps": 1000,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "num_epochs": 4,
    "minibatch_size": 32,
    "clip_range": 0.1,
    "clip_value_loss": True,
    "normalize_advantage": True,
    "entropy_coefficient": 0.01,
    "value_coefficient": 0.5,
    "max_grad_norm": 0.5,
}


class Masked(gym.Env):
    """Action 0 is never legal, and a legal action never wrong."""

    observation_space = gym.spaces.Box(-1, 1, (3,), np.float32)
    action_space = gym.spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._observe()

    def step(self, action):
        assert self.mask[action]
        ended = bool(self.np_random.random() < 0.1)
        return (self._observe()[0], float(action), ended, False, {"action_mask": self.mask})

    def _observe(self):
        self.mask = np.array([False, *self.np_random.permutation([True, True, False])])
        return self.np_random.normal(size=3).astype(np.float32), {"action_mask": self.mask}


class Several(gym.Env):
    """Rewarded is what the observation asks for, in each of an action's parts."""

    observation_space = gym.spaces.Box(-1, 1, (3,), np.float32)

    def __init__(self, action_space):
        self.action_space = action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self._observe(), {}

    def step(self, action):
        assert self.action_space.contains(np.asarray(action, self.action_space.dtype))
        reward = float((np.asarray(action) == (self.asked > 0)).mean())
        self.count += 1
        return self._observe(), reward, False, self.count == 8, {}

    def _observe(self):
        self.asked = self.np_random.uniform(-1, 1, 3).astype(np.float32)
        return self.asked


class Counting(gym.Env):
    """Shows how many steps it has taken; nothing happens but that a time limit ends it."""

    observation_space = gym.spaces.Box(0, 10, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.count = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.count += 1
        return np.full(1, self.count, np.float32), 1.0, False, self.count == 5, {}


OWN = {"Masked-v0": Masked, "Several-v0": Several, "Counting-v0": Counting}


@pytest.fixture(autouse=True)
def registered():
    for name, kind in OWN.items():
        gym.register(name, kind)
    yield
    for name in OWN:
        del gym.registry[name]


def make(id="CartPole-v1", num_steps=32, num_envs=4, network=None, environment=None, **options):
    torch.manual_seed(0)
    playing = {"num_envs": num_envs, "vectorization": "serial", **(environment or {})}
    source = Collector(GymEnvironment(id, **playing), num_steps=num_steps, seed=0)
    make_policy = policy_maker(source, **{"hidden_sizes": [16, 16], **(network or {})})
    algorithm = PPO(make_policy, seed=0, **{**VALUES, **options})
    source.attach(algorithm)
    return source, algorithm


@pytest.mark.parametrize("id", ["CartPole-v1", "Pendulum-v1", "Masked-v0"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("clip_value_loss", [True, False])
def test_the_fast_path_computes_what_torch_computes(id, activation, clip_value_loss):
    results = []
    for fast_path in (True, False):
        source, algorithm = make(
            id,
            network={"activation": activation},
            fast_path=fast_path,
            clip_value_loss=clip_value_loss,
            lr=3e-3,
        )
        batch = source.sample()
        collected = batch.action.copy(), batch.log_prob.copy(), batch.value.copy()
        metrics = algorithm.update(batch)
        results.append((collected, metrics, algorithm.policy.network.get_weights()))
    (fast, fast_metrics, fast_weights), (torch_, torch_metrics, torch_weights) = results
    for ours, theirs in zip(fast, torch_, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    assert fast_metrics["clip_fraction"] > 0
    for name, value in torch_metrics.items():
        assert fast_metrics[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
    for name, value in torch_weights.items():
        torch.testing.assert_close(fast_weights[name], value, rtol=1e-5, atol=1e-5)


def test_it_learns():
    source, algorithm = make(schedule_steps=20_000)
    returns = [algorithm.update(source.sample()) for _ in range(150)]
    late = [m["episode_return"] for m in returns[-1:]]
    assert late[0] > 3 * returns[0]["episode_return"]


def test_masked_actions_are_never_taken_and_have_no_entropy():
    source, algorithm = make("Masked-v0")
    for _ in range(30):
        batch = source.sample()
        assert np.take_along_axis(batch.action_mask, batch.action[..., None], 2).all()
        metrics = algorithm.update(batch)
        assert 0 <= metrics["entropy"] <= math.log(2) + 1e-6
    assert metrics["episode_return"] > 0


def test_initialisation_is_orthogonal_with_the_published_gains():
    _, algorithm = make()
    hidden = algorithm.policy.network.policy.layers[2].weight.detach()
    torch.testing.assert_close(hidden @ hidden.T, 2 * torch.eye(16), rtol=0, atol=1e-5)
    assert algorithm.policy.network.policy.layers[4].weight.norm(dim=1).tolist() == pytest.approx(
        [0.01] * 2
    )
    assert algorithm.policy.network.critic.layers[4].weight.norm().item() == pytest.approx(1)


def test_the_learning_rate_falls_to_0_with_the_steps():
    source, algorithm = make(schedule_steps=128 * 4)
    rates = [algorithm.update(source.sample())["lr"] for _ in range(6)]
    assert rates == pytest.approx([0.01, 0.0075, 0.005, 0.0025, 0, 0])


@pytest.mark.parametrize("fast_path", [True, False])
def test_an_update_ends_before_the_step_that_would_take_the_policy_too_far(fast_path):
    source, algorithm = make(lr=0.05, target_kl=1e-4, fast_path=fast_path)
    batch = source.sample()
    metrics = algorithm.update(batch)
    # The first minibatch meets the policy that collected it, the second one that has moved by a step.
    assert metrics["gradient_steps"] == 1
    assert metrics["approx_kl"] > 0.5e-4
    steps = [state["step"].item() for state in algorithm._optimizer.state.values()]
    assert steps == [1]
    source, free = make(lr=0.05, target_kl=1e4, fast_path=fast_path)
    assert free.update(source.sample())["gradient_steps"] == 16
    assert "gradient_steps" not in make()[1].update(batch)


def test_the_clip_range_falls_to_0_with_the_steps():
    source, algorithm = make(schedule_steps=128 * 4, clip_range_schedule="linear")
    told = [algorithm.update(source.sample()) for _ in range(5)]
    assert [m["clip_range"] for m in told] == pytest.approx([0.1, 0.075, 0.05, 0.025, 0])
    assert "clip_range" not in make()[1].update(source.sample())


def test_a_narrower_clip_range_clips_more():
    fractions = [
        make(lr=0.01, clip_range=width, clip_range_schedule=schedule)[1]
        for width, schedule in ((0.2, "constant"), (0.02, "constant"))
    ]
    source, _ = make()
    batch = source.sample()
    wide, narrow = (algorithm.update(batch)["clip_fraction"] for algorithm in fractions)
    assert narrow > wide


@pytest.mark.parametrize("initial", [0.0, -1.5])
def test_the_deviation_of_continuous_actions_begins_as_asked_for(initial):
    source, algorithm = make("Pendulum-v1", initial_log_std=initial)
    told = algorithm.policy.act(np.zeros(3), return_info=True)[1]
    assert told["std"] == pytest.approx(math.exp(initial))
    batch = source.sample()
    assert batch.action.std() == pytest.approx(math.exp(initial), rel=0.3)


def test_one_network_may_serve_policy_and_value():
    source, algorithm = make(shared_network=True)
    assert set(algorithm.policy.network.get_weights()) == {
        f"layers.{i}.{kind}" for i in (0, 2, 4) for kind in ("weight", "bias")
    }
    assert algorithm.policy.network.get_weights()["layers.4.weight"].shape == (3, 16)
    metrics = [algorithm.update(source.sample()) for _ in range(5)]
    assert all(math.isfinite(value) for value in metrics[-1].values())


def test_a_gradient_is_clipped_to_its_norm():
    tight, loose = make(max_grad_norm=1e-9, lr=1e-3), make(max_grad_norm=0.0, lr=1e-3)
    for source, algorithm in (tight, loose):
        before = algorithm._parameters.detach().clone()
        metrics = algorithm.update(source.sample())
        assert metrics["grad_norm"] > 1e-3
        algorithm.moved = (algorithm._parameters.detach() - before).abs().max().item()
    # Below Adam's epsilon of 1e-5 a gradient moves nothing to speak of.
    assert tight[1].moved < 0.01 * loose[1].moved


@pytest.mark.parametrize("fast_path", [True, False])
def test_one_bad_minibatch_takes_back_the_good_ones_before_it(fast_path):
    source, algorithm = make(fast_path=fast_path)
    algorithm.update(source.sample())
    before = copy.deepcopy(algorithm.get_state())
    weights = copy.deepcopy(algorithm.policy.get_state()["network"])
    batch = source.sample()
    batch.log_prob[3, 1] = np.nan
    with pytest.raises(NonFiniteError, match="is nan"):
        algorithm.update(batch)
    after = algorithm.get_state()
    for name, value in weights.items():
        assert torch.equal(algorithm.policy.get_state()["network"][name], value)
    for name, value in before["optimizer"]["state"][0].items():
        assert torch.equal(after["optimizer"]["state"][0][name], value)
    assert after["optimizer"]["param_groups"] == before["optimizer"]["param_groups"]


@pytest.mark.parametrize(
    "space", [gym.spaces.MultiDiscrete([2] * 3), gym.spaces.MultiBinary(3)], ids=str
)
def test_actions_of_several_parts_are_learned(space):
    # What is done now changes nothing of what comes.
    source, algorithm = make(
        "Several-v0",
        environment={"kwargs": {"action_space": space}},
        schedule_steps=4000,
        gamma=0.0,
    )
    told = [algorithm.update(source.sample())["episode_return"] for _ in range(25)]
    assert told[0] < 5.5
    assert told[-1] > 6.5


@pytest.mark.parametrize("memory", ["gru", "lstm"])
@pytest.mark.parametrize(
    ("vectorization", "limit"), [("serial", None), ("serial", 13), ("vector_entry_point", None)]
)
def test_what_a_memory_learns_from_is_what_was_played(memory, vectorization, limit):
    """While nothing is learned, the probabilities of the update are those of the play, whatever began and ended."""
    source, algorithm = make(
        num_steps=32,
        network={"memory": memory},
        environment={"vectorization": vectorization, "max_episode_steps": limit},
        lr=1e-12,
    )
    following = None
    for _ in range(4):
        batch = source.sample()
        assert batch.begins.any()
        if following is not None:
            # What the block before was bootstrapped from is what this one begins with.
            np.testing.assert_allclose(batch.value[0], following, rtol=1e-4, atol=1e-5)
        following = batch.last_value.copy()
        with torch.no_grad():
            unrolled = algorithm.policy.network.unroll(
                *(torch.from_numpy(a) for a in (batch.observation, batch.state, batch.begins))
            )[1]
        np.testing.assert_allclose(unrolled, batch.value, rtol=1e-4, atol=1e-5)
        metrics = algorithm.update(batch)
        assert abs(metrics["approx_kl"]) < 1e-6
        assert metrics["clip_fraction"] == 0
    assert batch.state.any()


def test_a_final_observation_is_judged_with_what_its_own_episode_left_in_memory():
    source, algorithm = make(
        "Counting-v0", num_envs=2, network={"memory": "gru"}, minibatch_size=32
    )
    batch = source.sample()
    memory = algorithm.policy.initial_state(1)
    values = [algorithm.value(np.full((1, 1), count, np.float32), memory)[0] for count in range(6)]
    assert batch.truncated[4].all()
    np.testing.assert_allclose(batch.value[:5, 0], values[:5], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(batch.final_value[4], values[5], rtol=1e-4)
    # And the next episode begins with nothing.
    np.testing.assert_allclose(batch.value[5:10, 1], values[:5], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("memory", few(["gru", "lstm", None], "gru", None))
def test_only_a_memory_finds_through_the_corridor(corridor, memory):  # noqa: F811
    steps = 16 * 10 * 40
    source, algorithm = make(
        corridor,
        num_steps=10,
        num_envs=16,
        network={"memory": memory, "hidden_sizes": [16], "memory_size": 16},
        schedule_steps=steps,
        clip_range=0.2,
        minibatch_size=80,
    )
    while algorithm.num_steps < steps:
        algorithm.update(source.sample())
    evaluator = EpisodeEvaluator(source.environment, episodes=64, seed=3)
    share = evaluator.evaluate(algorithm)["return_mean"]
    assert share > 0.95 if memory else share < 0.7


@pytest.mark.parametrize(("size", "num_envs"), [(48, 4), (96, 4), (16, 4), (256, 4)])
def test_a_memory_learns_from_whole_sequences_or_says_why_not(size, num_envs):
    source, algorithm = make(num_envs=num_envs, network={"memory": "gru"}, minibatch_size=size)
    with pytest.raises(ValueError, match=f"^algo.minibatch_size={size} must be sequences") as said:
        algorithm.update(source.sample())
    assert "\n" not in str(said.value)


# A memory has no fast path.
@pytest.mark.parametrize(("memory", "fast_path"), [(None, True), (None, False), ("gru", False)])
@pytest.mark.parametrize("normalize_advantage", [True, False])
def test_a_gradient_computed_in_parts_is_that_of_the_whole(memory, fast_path, normalize_advantage):
    """Advantages are normalised by the whole minibatch, and idle rows count nothing."""
    results = []
    for accumulate in (1, 3):
        source, algorithm = make(
            num_steps=64,
            environment={"vectorization": "vector_entry_point", "num_envs": 8},
            network={"memory": memory},
            minibatch_size=256,
            fast_path=fast_path,
            normalize_advantage=normalize_advantage,
            accumulate=accumulate,
        )
        algorithm.update(source.sample())
        block = source.sample()
        assert 0 < block.idle.sum() < block.idle.size / 2
        told = algorithm.update(block)
        results.append((told, algorithm.policy.network.get_weights()))
    (whole, whole_weights), (parts, parts_weights) = results
    for name, value in whole.items():
        assert parts[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
    for name, value in whole_weights.items():
        torch.testing.assert_close(parts_weights[name], value, rtol=1e-4, atol=1e-5)


class Forgetful(torch.nn.Module):
    """Drops half of what it sees while it is trained."""

    def __init__(self, num_outputs):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(4, num_outputs))

    def forward(self, observation):
        return self.layers(observation)


def test_playing_never_uses_dropout_and_leaves_torchs_random_state_alone():
    source, algorithm = make(network={"make_network": Forgetful})
    evaluator = EpisodeEvaluator(source.environment, episodes=3, seed=1)
    for _ in range(2):
        state = torch.get_rng_state()
        batch = source.sample()
        flat = batch.observation.reshape(-1, 4)
        np.testing.assert_allclose(algorithm.value(flat), batch.value.reshape(-1), rtol=1e-5)
        first = algorithm.policy.act(flat, return_info=True)[1]["probabilities"]
        again = algorithm.policy.act(flat, return_info=True)[1]["probabilities"]
        assert np.array_equal(first, again)
        assert evaluator.evaluate(algorithm) == evaluator.evaluate(algorithm)
        assert torch.equal(torch.get_rng_state(), state)
        assert not algorithm.policy.network.training  # else threads would switch it for each other
        algorithm.update(batch)
        assert not torch.equal(torch.get_rng_state(), state)  # training does drop


def test_several_threads_act_as_one_does():
    _, algorithm = make(network={"make_network": Forgetful})
    policy, seen = algorithm.policy, np.random.default_rng(0).normal(size=(64, 4))
    expected = policy.act(seen, return_info=True)[1]["probabilities"]

    def act(_):
        return policy.act(seen, return_info=True)[1]["probabilities"]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            for told in pool.map(act, range(400)):
                assert np.array_equal(told, expected)
    finally:
        sys.setswitchinterval(interval)
