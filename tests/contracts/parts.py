"""One small instance of every algorithm, source and evaluator, for the suites that all of them pass."""

import gymnasium as gym
import numpy as np
import torch

from poke.algorithms.bc import BehaviourCloning, HeldOutEvaluator
from poke.algorithms.ppo import PPO
from poke.data.demonstrations import Demonstrations
from poke.data.rollout import Collector
from poke.data.trajectories import Trajectories
from poke.envs.evaluation import EpisodeEvaluator
from poke.envs.gym import GymEnvironment
from poke.networks.actor_critic import ActorCritic
from poke.networks.auto import auto_network
from poke.policies.policy import Policy
from poke.spaces import ActionSpace, ObservationNormalizer

# As a run does: on a busy machine threads wait for each other longer than a small network takes.
torch.set_num_threads(1)

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


ACTIONS = {
    "discrete": ActionSpace.discrete(4),
    "multi_discrete": ActionSpace("multi_discrete", (2, 3), (0, 0), (2,)),
    "multi_binary": ActionSpace("multi_binary", (2, 2, 2), (0, 0, 0), (3,), "int8"),
    "continuous": ActionSpace.continuous_box((2,), -3, 3),
}


def recorded(kind, num_episodes=24):
    """A teacher who sees four numbers and acts by their signs; episodes of 5 to 24 steps."""
    rng, space = np.random.default_rng(0), ACTIONS[kind]
    lengths = rng.integers(5, 25, num_episodes)
    count = int(lengths.sum())
    observation = rng.normal(size=(count, 4)).astype(np.float32)
    signs = (observation > 0).astype(np.int64)
    action = {
        "discrete": signs[:, 0] + 2 * signs[:, 1],
        "multi_discrete": np.stack([signs[:, 0], signs[:, 1] + signs[:, 2]], axis=1),
        "multi_binary": signs[:, :3],
        # One number is nearer to the rule than the other.
        "continuous": (observation[:, :2] + rng.normal(size=(count, 2)) * [0.1, 0.3]).astype(
            np.float32
        ),
    }[kind]
    timestep = np.concatenate([np.arange(length) for length in lengths]).astype(np.int32)
    return Trajectories(
        observation=observation,
        action=action,
        action_mask=None,
        reward=np.zeros(count, np.float32),
        terminated=np.append(timestep[1:] == 0, True),
        truncated=np.zeros(count, bool),
        episode=np.repeat(np.arange(num_episodes), lengths),
        player=np.zeros(count, np.int8),
        timestep=timestep,
        outcome=np.zeros(count, np.int8),
        metadata={
            "observation": {"dtype": "float32", "shape": [4]},
            "action": {"kind": kind, "space": space.to_dict()},
        },
    )


def demonstrations(data="sample:gen1randombattle", memory=None, **options):
    torch.manual_seed(0)
    source = Demonstrations(data, batch_size=32, val_fraction=0.05, seed=1)
    algorithm = BehaviourCloning(policy_maker(source, memory=memory)(), lr=1e-3, **options)
    source.attach(algorithm)
    return source, algorithm, HeldOutEvaluator(source, batch_size=4096)


class Acting(gym.Env):
    """Takes actions of any kind; what is seen, rewarded and ended is drawn."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (3,), np.float32)

    def __init__(self, action_space):
        self.action_space = action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.normal(size=3).astype(np.float32), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        ended = self.np_random.random() < 0.1
        drawn = self.np_random.normal(size=3).astype(np.float32)
        return drawn, float(drawn[0] * np.sum(action)), bool(ended), False, {}


gym.register("Acting-v0", Acting, max_episode_steps=15)


def playing(id="CartPole-v1", *, memory=None, ppo=None, **options):
    torch.manual_seed(0)
    environment = GymEnvironment(id, **{"num_envs": 2, "vectorization": "serial", **options})
    source = Collector(environment, num_steps=32, seed=1)
    values = {**PPO_VALUES, **({"minibatch_size": 32} if memory else {}), **(ppo or {})}
    algorithm = PPO(policy_maker(source, memory=memory), seed=1, **values)
    source.attach(algorithm)
    return source, algorithm, EpisodeEvaluator(environment, episodes=2, seed=3)


def acting(space, **options):
    return lambda: playing("Acting-v0", kwargs={"action_space": space}, **options)


SEVERAL = gym.spaces.MultiDiscrete([2, 3])
SWITCHES = gym.spaces.MultiBinary(3)
BOX = gym.spaces.Box(-2, 2, (2,), np.float32)

CASES = {
    "bc": lambda: demonstrations(label_smoothing=0.1),
    **{f"bc-{kind}": lambda kind=kind: demonstrations(recorded(kind)) for kind in ACTIONS},
    **{
        f"bc-{kind}-gru": lambda kind=kind: demonstrations(recorded(kind), "gru")
        for kind in ACTIONS
    },
    "bc-mse": lambda: demonstrations(recorded("continuous"), loss="mse"),
    "bc-lstm": lambda: demonstrations(recorded("discrete"), "lstm"),
    "ppo": playing,
    "ppo-continuous": lambda: playing("Pendulum-v1", max_episode_steps=20),
    "ppo-squashed": acting(BOX, action_bounds="squash"),
    "ppo-normalised": lambda: playing(normalize_observation=True, normalize_reward=True),
    "ppo-vector": lambda: playing(vectorization="vector_entry_point"),
    "ppo-multi-discrete": acting(SEVERAL),
    "ppo-multi-binary": acting(SWITCHES),
    "ppo-scheduled": lambda: playing(ppo={"clip_range_schedule": "linear", "target_kl": 1e-3}),
    "ppo-gru": lambda: playing(memory="gru"),
    "ppo-lstm-normalised": lambda: playing(
        memory="lstm", normalize_observation=True, max_episode_steps=7
    ),
    "ppo-gru-vector": lambda: playing(memory="gru", vectorization="vector_entry_point"),
    "ppo-gru-continuous": acting(BOX, memory="gru"),
    "ppo-gru-multi-discrete": acting(SEVERAL, memory="gru"),
    "ppo-gru-multi-binary": acting(SWITCHES, memory="gru"),
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
