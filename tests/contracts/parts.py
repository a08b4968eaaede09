"""One small instance of every algorithm, source and evaluator, for the suites that all of them pass."""

from pathlib import Path

import gymnasium as gym
import numpy as np
import torch

from poke.algorithms.bc import BehaviourCloning, HeldOutEvaluator
from poke.algorithms.off_policy.dqn import DQN
from poke.algorithms.off_policy.sac import SAC
from poke.algorithms.off_policy.td3 import TD3
from poke.algorithms.offline.awr import AWR
from poke.algorithms.offline.cql import CQL
from poke.algorithms.offline.crr import CRR
from poke.algorithms.offline.iql import IQL
from poke.algorithms.ppo import PPO
from poke.algorithms.values.fitted import ValueEvaluator
from poke.data.demonstrations import Demonstrations
from poke.data.replay import Replay
from poke.data.rollout import Collector
from poke.data.trajectories import Trajectories
from poke.data.transitions import RecordedTransitions
from poke.envs.evaluation import EpisodeEvaluator
from poke.envs.gym import GymEnvironment
from poke.networks.actor_critic import ActorCritic
from poke.networks.auto import auto_network
from poke.policies.policy import Policy
from poke.spaces import ActionSpace, ObservationNormalizer

BATTLES = str(Path(__file__).parents[1] / "e2e" / "battles.parquet")
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


def demonstrations(data=BATTLES, memory=None, **options):
    torch.manual_seed(0)
    source = Demonstrations(data, batch_size=32, val_fraction=0.05, seed=1)
    algorithm = BehaviourCloning(policy_maker(source, memory=memory)(), lr=1e-3, **options)
    source.attach(algorithm)
    return source, algorithm, HeldOutEvaluator(source, batch_size=4096)


def network_maker(source, memory=None):
    """What an algorithm with critics is given to make them, as a run gives it."""

    def make_network(num_outputs, *, observation_space=None):
        space = observation_space or source.observation_space
        return auto_network(
            observation_space=space, num_outputs=num_outputs, **{**NETWORK, "memory": memory}
        )

    return make_network


JUDGED = {"lr": 1e-3, "gamma": 0.9}


def offline(kind, algorithm, data=None, **options):
    """An algorithm on recorded transitions; `kind` is of actions, or `masked` for battles."""
    torch.manual_seed(0)
    path = BATTLES if kind == "masked" else rewarded(kind)
    values = {"batch_size": 32, "val_fraction": 0.05, "gamma": 0.9, "seed": 1}
    source = RecordedTransitions(path, **{**values, **(data or {})})
    make_policy, device = policy_maker(source), torch.device("cpu")
    made = algorithm(make_policy, network_maker(source), device, **{**JUDGED, **options})
    source.attach(made)
    return source, made, valued(source, made)


def valued(source, algorithm):
    """What judges an algorithm by recorded transitions, briefly."""
    return ValueEvaluator(
        algorithm,
        source,
        network_maker(source),
        torch.device("cpu"),
        gamma=0.9,
        fitted_updates=3,
        fitted_lr=1e-3,
        fitted_batch_size=16,
        batch_size=4096,
        seed=5,
    )


def rewarded(kind):
    """What `recorded` has, with a reward for each step."""
    data = recorded(kind)
    data.reward[...] = data.observation[:, 0]
    return data


def bc(make_policy, make_network, device, *, gamma, **values):
    return BehaviourCloning(make_policy(), **values)


def iql(make_policy, make_network, device, **values):
    more = {"policy_lr": 1e-3, "expectile": 0.8, "temperature": 1.0}
    return IQL(make_policy(), make_network, device, **{**more, **values})


def cql(make_policy, make_network, device, **values):
    return CQL(make_policy, make_network, device, seed=1, **{"alpha": 0.5, **values})


def crr(make_policy, make_network, device, **values):
    return CRR(make_policy(), make_network, device, **{"policy_lr": 1e-3, "seed": 1, **values})


def awr(make_policy, make_network, device, **values):
    return AWR(make_policy(), make_network, device, **{"policy_lr": 1e-3, **values})


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


def playing(id="CartPole-v1", *, memory=None, ppo=None, overlap=False, num_steps=32, **options):
    torch.manual_seed(0)
    environment = GymEnvironment(id, **{"num_envs": 2, "vectorization": "serial", **options})
    source = Collector(
        environment,
        num_steps=num_steps,
        seed=1,
        overlap=overlap,
        copy_policy=lambda state: copied(state),
    )
    values = {**PPO_VALUES, **({"minibatch_size": 32} if memory else {}), **(ppo or {})}
    make_policy = policy_maker(source, memory=memory)
    algorithm = PPO(make_policy, seed=1, **values)

    def copied(state):
        policy = make_policy(critic="separate")
        policy.set_state(state)
        return policy

    source.attach(algorithm)
    return source, algorithm, EpisodeEvaluator(environment, episodes=2, seed=3)


def replaying(id="CartPole-v1", *, algorithm=None, data=None, env=None, **options):
    """An algorithm that learns from a replay buffer."""
    torch.manual_seed(0)
    environment = GymEnvironment(id, **{"num_envs": 2, "vectorization": "serial", **(env or {})})
    values = {"capacity": 500, "batch_size": 16, "train_freq": 16, "seed": 1, **(data or {})}
    source = Replay(environment, **values)
    made = algorithm(
        policy_maker(source), network_maker(source), torch.device("cpu"), **{**JUDGED, **options}
    )
    source.attach(made)
    return source, made, EpisodeEvaluator(environment, episodes=2, seed=3)


def dqn(make_policy, make_network, device, **values):
    return DQN(make_policy, device, seed=1, **values)


def sac(make_policy, make_network, device, **values):
    return SAC(make_policy, make_network, device, seed=1, **{"policy_lr": 1e-3, **values})


def td3(make_policy, make_network, device, **values):
    return TD3(make_policy, make_network, device, seed=1, **{"policy_lr": 1e-3, **values})


RAINBOW = {"dueling": True, "atoms": 11, "low": -5.0, "high": 20.0, "noisy": True}
SQUASHED = {"action_bounds": "squash", "max_episode_steps": 20}
WITHIN = {"action_bounds": "squash"}


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
    "bc-transitions": lambda: offline("masked", bc),
    "bc-transitions-continuous": lambda: offline("continuous", bc),
    **{f"iql-{kind}": lambda kind=kind: offline(kind, iql) for kind in (*ACTIONS, "masked")},
    "iql-two-hot": lambda: offline(
        "masked", iql, critics={"bins": 11, "extra_gammas": [0.5]}, lr_schedule="cosine"
    ),
    "iql-layer-norm": lambda: offline("continuous", iql, critics={"layer_norm": True}),
    "iql-n-step": lambda: offline("discrete", iql, data={"n_step": 3}),
    "iql-normalised": lambda: offline("continuous", iql, data={"normalize_observation": True}),
    **{f"crr-{kind}": lambda kind=kind: offline(kind, crr) for kind in (*ACTIONS, "masked")},
    "crr-exponential": lambda: offline("masked", crr, filter="exponential", temperature=0.5),
    **{f"awr-{kind}": lambda kind=kind: offline(kind, awr) for kind in (*ACTIONS, "masked")},
    "awr-bootstrapped": lambda: offline("masked", awr, return_share=0.5, bins=11),
    "cql": lambda: offline("discrete", cql),
    "cql-continuous": lambda: offline("continuous", cql, data=WITHIN, num_samples=3),
    "cql-layer-norm": lambda: offline("continuous", cql, data=WITHIN, critics={"layer_norm": True}),
    "cql-two-hot": lambda: offline(
        "continuous", cql, data=WITHIN, critics={"bins": 11, "extra_gammas": [0.5]}
    ),
    "cql-masked": lambda: offline("masked", cql, critics={"num": 3}),
    "dqn": lambda: replaying(algorithm=dqn),
    "dqn-dueling": lambda: replaying(algorithm=dqn, dueling=True, double=False),
    "dqn-prioritised": lambda: replaying(
        algorithm=dqn, data={"alpha": 0.6, "n_step": 3, "updates": 1}, target_every=2
    ),
    "dqn-normalised": lambda: replaying(
        algorithm=dqn, env={"normalize_observation": True, "normalize_reward": True}
    ),
    "dqn-vector": lambda: replaying(
        algorithm=dqn, env={"vectorization": "vector_entry_point"}, data={"n_step": 2}
    ),
    "dqn-atoms": lambda: replaying(algorithm=dqn, atoms=11, low=-5.0, high=20.0),
    "dqn-noisy": lambda: replaying(algorithm=dqn, noisy=True),
    "dqn-rainbow": lambda: replaying(
        algorithm=dqn, data={"alpha": 0.6, "n_step": 3, "updates": 2}, target_every=2, **RAINBOW
    ),
    "dqn-rainbow-offline": lambda: offline("masked", dqn, **RAINBOW),
    "dqn-offline": lambda: offline("masked", dqn),
    "sac": lambda: replaying("Pendulum-v1", algorithm=sac, env=SQUASHED),
    "sac-choice": lambda: replaying(algorithm=sac, data={"n_step": 2}),
    "sac-normalised": lambda: replaying(
        "Pendulum-v1", algorithm=sac, env={**SQUASHED, "normalize_observation": True}
    ),
    "sac-fixed": lambda: replaying(
        "Pendulum-v1", algorithm=sac, env=SQUASHED, learn_temperature=False, temperature=0.2
    ),
    "sac-offline": lambda: offline("continuous", sac, data=WITHIN),
    "sac-offline-masked": lambda: offline("masked", sac),
    "td3": lambda: replaying("Pendulum-v1", algorithm=td3, env=SQUASHED, policy_every=1),
    "td3bc": lambda: offline(
        "continuous", td3, data=WITHIN, bc_weight=0.4, normalize_q=True, policy_every=1
    ),
    "rebrac": lambda: offline(
        "continuous", td3, data=WITHIN, bc_weight=0.1, next_bc_weight=0.1, policy_every=1
    ),
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
    "ppo-overlap": lambda: playing(overlap=True),
    "ppo-overlap-normalised": lambda: playing(
        "Pendulum-v1",
        overlap=True,
        max_episode_steps=20,
        normalize_observation=True,
        normalize_reward=True,
    ),
    "ppo-overlap-gru": lambda: playing(overlap=True, memory="gru", max_episode_steps=7),
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
