"""Policies of every kind of observation and action, with weights of no training, and what they could see."""

import math

import numpy as np
import torch

from poke.envs.showdown import layout
from poke.networks.encoding.layout import byte_bounds
from poke.policies.building import build, describe
from poke.spaces import ActionSpace, Entry, ObservationSpace

MLP = {"_target_": "poke.networks.mlp.MLP", "hidden_sizes": [16, 16], "activation": "tanh"}
AUTO = {
    "_target_": "poke.networks.auto.auto_network",
    "hidden_sizes": [16, 16],
    "activation": "tanh",
    "picture_size": 32,
    "embedding_size": 4,
    "entity_size": 8,
    "battle_size": 16,
}
BATTLE = {
    "_target_": "poke.networks.battle.BattleNetwork",
    "entity_size": 8,
    "move_size": 4,
    "hidden_size": 16,
}
CNN = {"_target_": "poke.networks.cnn.CNN", "hidden_size": 16}

VECTOR = ObservationSpace.box((4,))
PARTS = ObservationSpace(
    (
        Entry(("arm", 0), "box", (3,)),
        Entry(("arm", 1), "binary", (2,)),
        Entry(("camera",), "box", (12, 12, 3), "uint8", 0.0, 255.0),
        Entry(("gear",), "discrete", (), sizes=(5,), starts=(1,)),
        Entry(("state",), "box", (2,), "int32", -9.0, 9.0),
    )
)
BATTLES = ObservationSpace.box((layout.SIZE,), "int8", layout=layout.describe(1))
DISCRETE = ActionSpace.discrete(5)
LATER = ActionSpace.discrete(5, start=-2)
ATOMS = {"num": 11, "low": -3.0, "high": 7.0}

# Network, observations, actions, and what else the policy has.
KINDS = {
    "discrete": (MLP, VECTOR, DISCRETE, {}),
    "start": (MLP, VECTOR, LATER, {"critic": "separate"}),
    "masked": (MLP, VECTOR, DISCRETE, {"masked": True}),
    "clip": (MLP, VECTOR, ActionSpace.continuous_box((2, 1), -0.1, [[0.1], [math.inf]]), {}),
    "squash": (
        MLP,
        VECTOR,
        ActionSpace.continuous_box((2,), [-2, 0], [2, 5], bounds="squash", dtype="float64"),
        {"critic": "separate"},
    ),
    "squash-by-state": (
        MLP,
        VECTOR,
        ActionSpace.continuous_box((2,), [-2, 0], [2, 5], bounds="squash"),
        {"std": "network"},
    ),
    "atoms": (MLP, VECTOR, LATER, {"atoms": ATOMS}),
    "atoms-dueling": (
        MLP,
        VECTOR,
        DISCRETE,
        {"atoms": ATOMS, "critic": "shared", "masked": True},
    ),
    "noisy": (MLP, VECTOR, DISCRETE, {"noisy": True, "critic": "separate"}),
    "noisy-atoms-dueling": (
        AUTO,
        PARTS,
        DISCRETE,
        {"noisy": True, "atoms": ATOMS, "critic": "shared", "masked": True},
    ),
    "noisy-picture": (
        CNN,
        ObservationSpace.box((4, 40, 36), "uint8", low=0, high=255),
        DISCRETE,
        {"noisy": True, "critic": "shared"},
    ),
    "noisy-battle": (
        BATTLE,
        BATTLES,
        ActionSpace.discrete(10),
        {"noisy": True, "masked": True, "critic": "shared"},
    ),
    "normalised": (MLP, VECTOR, DISCRETE, {"observation_clip": 2.0}),
    "normalised-pictures": (
        AUTO,
        ObservationSpace.box((12, 12, 3)),
        DISCRETE,
        {"observation_clip": 5.0},
    ),
    "one-hot": (
        MLP,
        ObservationSpace((Entry((), "discrete", (2,), sizes=(7, 3), starts=(0, 4)),)),
        DISCRETE,
        {},
    ),
    "binary": (MLP, ObservationSpace((Entry((), "binary", (6,)),)), DISCRETE, {}),
    "picture": (
        CNN,
        ObservationSpace.box((4, 40, 36), "uint8", low=0, high=255),
        DISCRETE,
        {"critic": "shared"},
    ),
    "several": (
        MLP,
        VECTOR,
        ActionSpace("multi_discrete", (3, 4), (0, 2), (2,)),
        {"masked": True},
    ),
    "switches": (
        MLP,
        VECTOR,
        ActionSpace("multi_binary", (2,) * 6, (0,) * 6, (2, 3), "int8"),
        {},
    ),
    "battle": (BATTLE, BATTLES, ActionSpace.discrete(10), {"masked": True, "critic": "shared"}),
    "parts": (AUTO, PARTS, DISCRETE, {"observation_clip": 3.0, "masked": True}),
    "memory": (
        {**AUTO, "memory": "gru", "memory_size": 8},
        VECTOR,
        DISCRETE,
        {"critic": "separate"},
    ),
    "memory-parts": (
        {**AUTO, "memory": "lstm", "memory_size": 8},
        PARTS,
        LATER,
        {"masked": True, "critic": "shared", "observation_clip": 3.0},
    ),
}


def policy_of(kind, seed=0):
    """A policy of a kind: larger weights than usual, so that actions differ."""
    network, observations, actions, more = KINDS[kind]
    options = {"critic": "none", "masked": False, "observation_clip": None, **more}
    torch.manual_seed(seed)
    policy = build(describe(network, observations, actions, **options), seed=1)
    generator = torch.Generator().manual_seed(seed)
    state = policy.get_state()
    weights = {
        name: torch.randn(value.shape, generator=generator)
        * (0.1 if value.ndim == 1 else 2 / value[0].numel() ** 0.5)
        for name, value in state["network"].items()
    }
    policy.set_state({**state, "network": weights})
    if policy.normalizer is not None:
        array, _ = observations.encode(observations_of(policy, 50, seed))
        policy.normalizer.learn(array)
    return policy


def observations_of(policy, count, seed=0):
    """A batch of observations, as the environment gives them."""
    generator = np.random.default_rng(seed)
    space = policy.observation_space

    def drawn(entry):
        shape = (count, *entry.shape)
        if space.layout is not None:
            low, high = (bound.numpy() for bound in byte_bounds(space.layout))
            return generator.integers(low, high, shape, np.int8, endpoint=True)
        if entry.kind == "discrete":
            values = generator.integers(0, np.reshape(entry.sizes, entry.shape), shape)
            return values + np.reshape(entry.starts, entry.shape)
        if entry.kind == "binary":
            return generator.integers(0, 2, shape).astype(np.int8)
        if entry.dtype == "float32":
            return (3 * generator.standard_normal(shape) + 1).astype(np.float32)
        return generator.integers(int(entry.low), int(entry.high) + 1, shape).astype(entry.dtype)

    if not space.packed:
        return drawn(space.entries[0])
    whole = {"arm": ()}
    for entry in space.entries:
        if entry.path[0] == "arm":
            whole["arm"] += (drawn(entry),)
        else:
            whole[entry.path[0]] = drawn(entry)
    return whole


def masks_of(policy, count, seed=0):
    """Masks with at least one legal action a choice; None for a policy without."""
    if not policy.masked:
        return None
    generator = np.random.default_rng(seed)
    parts = []
    for size in policy.action_space.sizes:
        part = generator.random((count, size)) < 0.4
        part[np.arange(count), generator.integers(0, size, count)] = True
        parts.append(part)
    return np.concatenate(parts, axis=1)
