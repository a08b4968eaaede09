import copy
import math

import gymnasium as gym
import numpy as np
import pytest
import torch

from poke.algorithms.policies import Categorical, DiagonalGaussian
from poke.algorithms.ppo import PPO
from poke.data.rollout import Collector
from poke.envs.gym import GymEnvironment
from poke.networks.mlp import MLP
from poke.protocols import NonFiniteError

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


@pytest.fixture(autouse=True)
def registered():
    gym.register("Masked-v0", Masked)
    yield
    del gym.registry["Masked-v0"]


def make(id="CartPole-v1", activation="tanh", num_steps=32, num_envs=4, **options):
    torch.manual_seed(0)
    environment = GymEnvironment(id, num_envs=num_envs, vectorization="serial")
    source = Collector(environment, num_steps=num_steps, seed=0)

    def network(num_outputs):
        return MLP(
            observation_shape=source.observation_shape,
            num_outputs=num_outputs,
            hidden_sizes=[16, 16],
            activation=activation,
        )

    algorithm = PPO(network, action_space=source.action_space, seed=0, **{**VALUES, **options})
    source.attach(algorithm)
    return source, algorithm


@pytest.mark.parametrize("id", ["CartPole-v1", "Pendulum-v1", "Masked-v0"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("clip_value_loss", [True, False])
def test_the_fast_path_computes_what_torch_computes(id, activation, clip_value_loss):
    results = []
    for fast_path in (True, False):
        source, algorithm = make(
            id, activation, fast_path=fast_path, clip_value_loss=clip_value_loss, lr=3e-3
        )
        batch = source.sample()
        collected = batch.action.copy(), batch.log_prob.copy(), batch.value.copy()
        metrics = algorithm.update(batch)
        results.append((collected, metrics, algorithm.get_weights()))
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


@pytest.mark.parametrize("mask", [None, np.array([[True, False, True], [False, False, True]])])
def test_samples_follow_the_distribution(mask):
    logits = np.log(np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]], np.float32))
    policy, generator = Categorical(), np.random.default_rng(0)
    counts = np.zeros((2, 3))
    for _ in range(4000):
        action, log_prob = policy.sample(logits, mask, generator)
        counts[[0, 1], action] += 1
    expected = np.exp(logits) * (1 if mask is None else mask)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(counts / 4000, expected, atol=0.03)
    assert (counts[expected == 0] == 0).all()
    np.testing.assert_allclose(np.exp(log_prob), expected[[0, 1], action], rtol=1e-5)


def test_log_probabilities_and_entropies_are_torchs():
    log_std = torch.nn.Parameter(torch.tensor([0.3, -0.7]))
    mean, action = torch.randn(5, 2), torch.randn(5, 2)
    log_prob, entropy = DiagonalGaussian(log_std).log_prob_and_entropy(mean, action, None)
    normal = torch.distributions.Normal(mean, log_std.exp().expand_as(mean))
    torch.testing.assert_close(log_prob, normal.log_prob(action).sum(1))
    torch.testing.assert_close(entropy, normal.entropy().sum(1))


def test_initialisation_is_orthogonal_with_the_published_gains():
    _, algorithm = make()
    hidden = algorithm.network.policy.layers[2].weight.detach()
    torch.testing.assert_close(hidden @ hidden.T, 2 * torch.eye(16), rtol=0, atol=1e-5)
    assert algorithm.network.policy.layers[4].weight.norm(dim=1).tolist() == pytest.approx(
        [0.01] * 2
    )
    assert algorithm.network.critic.layers[4].weight.norm().item() == pytest.approx(1)


def test_the_learning_rate_falls_to_0_with_the_steps():
    source, algorithm = make(schedule_steps=128 * 4)
    rates = [algorithm.update(source.sample())["lr"] for _ in range(6)]
    assert rates == pytest.approx([0.01, 0.0075, 0.005, 0.0025, 0, 0])


def test_an_update_ends_when_the_policy_has_moved_too_far():
    free, bound = make(lr=0.05), make(lr=0.05, target_kl=1e-4)
    for source, algorithm in (free, bound):
        algorithm.update(source.sample())
    num_gradient_steps = [
        sum(state["step"].item() for state in algorithm._optimizer.state.values())
        for _, algorithm in (free, bound)
    ]
    assert num_gradient_steps == [16, 4]


def test_one_network_may_serve_policy_and_value():
    source, algorithm = make(shared_network=True)
    assert set(algorithm.get_weights()) == {
        f"layers.{i}.{kind}" for i in (0, 2, 4) for kind in ("weight", "bias")
    }
    assert algorithm.get_weights()["layers.4.weight"].shape == (3, 16)
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
    batch = source.sample()
    batch.log_prob[3, 1] = np.nan
    with pytest.raises(NonFiniteError, match="is nan"):
        algorithm.update(batch)
    after = algorithm.get_state()
    for name, value in before["network"].items():
        assert torch.equal(after["network"][name], value)
    for name, value in before["optimizer"]["state"][0].items():
        assert torch.equal(after["optimizer"]["state"][0][name], value)
    assert after["optimizer"]["param_groups"] == before["optimizer"]["param_groups"]
