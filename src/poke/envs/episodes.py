"""Record what a policy does: whole episodes as demonstrations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from poke.data.trajectories import Trajectories
from poke.envs.environments import Environments
from poke.envs.evaluation import Player
from poke.spaces import ActionSpace

Row = dict[str, Any]


def record_episodes(
    environments: Environments,
    policy: Player,
    *,
    num_episodes: int,
    seed: int,
    metadata: Mapping[str, Any],
) -> Trajectories:
    """Let a policy play by its most probable actions, and return what it saw and did.

    The first `num_episodes` that were begun are kept, so that none is left out for being long.

    Args:
        environments: as evaluation has them; are reset first.
        policy: the teacher.
        num_episodes: in all.
        seed: of the episodes.
        metadata: what the file is to say of itself besides the kinds of observation and action.
    """
    environments.reset([seed])
    num_envs = environments.num_envs
    space = environments.action_space
    state = policy.initial_state(num_envs)
    episodes: list[list[Row]] = [[] for _ in range(num_envs)]
    playing = list(range(num_envs))  # which episode each environment plays
    while any(number < num_episodes for number in playing):
        mask = environments.action_mask
        observation = environments.observation.copy()
        action = policy.choose(observation, action_mask=mask, state=state).action
        mask = None if mask is None else mask.copy()
        idle = environments.idle.copy()
        environments.step(action)
        if space.continuous:  # what was done, not what was meant
            action = space.to_environment(action).reshape(num_envs, -1).astype(np.float32)
        for i in np.flatnonzero(~idle).tolist():
            row = {"observation": observation[i], "action": action[i]}
            if mask is not None:
                row["action_mask"] = mask[i]
            for name in ("reward", "terminated", "truncated"):
                row[name] = getattr(environments, name)[i]
            episodes[playing[i]].append(row)
        for i in environments.finished_envs:
            playing[i] = len(episodes)
            episodes.append([])
    seen = policy.observation_space
    described = {
        "observation": {
            "dtype": str(seen.dtype),
            "shape": list(seen.shape),
            "space": seen.to_dict(),
        },
        "action": _described(space),
    }
    return _joined(episodes[:num_episodes], {**described, **metadata})


def _described(space: ActionSpace) -> dict[str, Any]:
    """What a file says of its actions; squashed ones are recorded as the environment got them."""
    space = replace(space, bounds="clip")
    if space.continuous:
        return {"kind": "continuous", "shape": list(space.action_shape), "space": space.to_dict()}
    kind = {"kind": "discrete", "num_actions": space.num_outputs}
    return {**kind, "space": space.to_dict()}


def _joined(episodes: list[list[Row]], metadata: Mapping[str, Any]) -> Trajectories:
    rows = [row for episode in episodes for row in episode]
    columns = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    lengths = [len(episode) for episode in episodes]
    nothing = np.zeros(len(rows), np.int8)
    return Trajectories(
        observation=columns["observation"],
        action=columns["action"],
        action_mask=columns.get("action_mask"),
        reward=columns["reward"].astype(np.float32),
        terminated=columns["terminated"],
        truncated=columns["truncated"],
        episode=np.repeat(np.arange(len(episodes)), lengths),
        player=nothing,
        timestep=np.concatenate([np.arange(length) for length in lengths]).astype(np.int32),
        outcome=nothing,
        metadata=dict(metadata),
    )
