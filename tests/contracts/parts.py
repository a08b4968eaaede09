"""One small instance of every algorithm, source and evaluator, for the suites that all of them pass."""

import numpy as np
import torch

from poke.algorithms.bc import BehaviourCloning, HeldOutEvaluator
from poke.algorithms.ppo import PPO
from poke.data.demonstrations import Demonstrations
from poke.data.rollout import Collector
from poke.envs.evaluation import EpisodeEvaluator
from poke.envs.gym import GymEnvironment
from poke.networks.actor_critic import ActorCritic
from poke.networks.auto import auto_network
from poke.policies.policy import Policy
from poke.spaces import ObservationNormalizer

PPO_VALUES = {
    "lr": 1e-3,
    "lr_schedule": "linear",
    "schedule_steps": 4096,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "num_epochs": 2,
    "minibatch_size": 16,
    "clip_range": 0.2,
    "clip_value_loss": True,
    "normalize_advantage": True,
    "entropy_coefficient": 0.01,
    "value_coefficient": 0.5,
    "max_grad_norm": 0.5,
}


NETWORK = {
    "hidden_sizes": [8],
    "activation": "tanh",
    "picture_size": 8,
    "embedding_size": 4,
    "entity_size": 8,
    "battle_size": 8,
    "memory_size": 8,
}


def policy_maker(source, make_network=None, **network):
    """What an algorithm is given to make its policy, as a run gives it.

    Args:
        source: says what is seen and chosen among.
        make_network: makes a network with so many outputs; `network=auto`, small, by default.
        network: in which of its arguments that is another one.
    """
    space = source.observation_space

    def auto(num_outputs):
        return auto_network(
            observation_space=space, num_outputs=num_outputs, **{**NETWORK, **network}
        )

    def make_policy(*, critic="none", **weights):
        clip = source.observation_clip
        return Policy(
            ActorCritic(make_network or auto, source.action_space, critic=critic, **weights),
            space,
            source.action_space,
            masked=source.masked,
            normalizer=None if clip is None else ObservationNormalizer(space, clip),
            seed=1,
        )

    return make_policy


def demonstrations():
    torch.manual_seed(0)
    source = Demonstrations("sample:gen1randombattle", batch_size=32, val_fraction=0.05, seed=1)
    algorithm = BehaviourCloning(policy_maker(source)(), lr=1e-3, label_smoothing=0.1)
    return source, algorithm, HeldOutEvaluator(source, batch_size=4096)


def playing(id="CartPole-v1", **options):
    torch.manual_seed(0)
    environment = GymEnvironment(id, **{"num_envs": 2, "vectorization": "serial", **options})
    source = Collector(environment, num_steps=32, seed=1)
    algorithm = PPO(policy_maker(source), seed=1, **PPO_VALUES)
    source.attach(algorithm)
    return source, algorithm, EpisodeEvaluator(environment, episodes=2, seed=3)


CASES = {
    "bc": demonstrations,
    "ppo": playing,
    "ppo-continuous": lambda: playing("Pendulum-v1", max_episode_steps=20),
    "ppo-normalised": lambda: playing(normalize_observation=True, normalize_reward=True),
    "ppo-vector": lambda: playing(vectorization="vector_entry_point"),
}


def through_a_file(state, path):
    """What a checkpoint makes of a state."""
    torch.save(state, path)
    return torch.load(path, weights_only=True)


def assert_equal(a, b, path=""):
    if isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            assert_equal(a[key], b[key], f"{path}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal(x, y, f"{path}/{i}")
    elif isinstance(a, torch.Tensor | np.ndarray):
        assert torch.equal(torch.as_tensor(a), torch.as_tensor(b)), path
    else:
        assert a == b or (a != a and b != b), path
