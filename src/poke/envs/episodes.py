"""Record what a policy does: whole episodes as demonstrations."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from poke.data.files.described import described
from poke.data.trajectories import Finals, Trajectories
from poke.envs.environments import Environments
from poke.envs.evaluation import Player, act, default_limit

log = logging.getLogger("poke")

Row = dict[str, Any]
# Makes the episodes' seeds others than those of training and evaluation, whatever `seed` is.
RECORDING = 1


def record_episodes(
    environments: Environments,
    policy: Player,
    *,
    num_episodes: int,
    seed: int,
    metadata: Mapping[str, Any],
    max_steps: int | None = None,
    explore: bool = False,
) -> Trajectories:
    """Let a policy play by its most probable actions, or by draws, and return what it saw and did.

    The first `num_episodes` that were begun are kept, so that none is left out for being long. Observations are as the
    environment gives them, and actions as it takes them where they are numbers, else the policy's own.

    Args:
        environments: as evaluation has them; are reset first.
        policy: the teacher.
        num_episodes: in all.
        seed: of the episodes.
        metadata: what the file is to say of itself besides the kinds of observation and action.
        max_steps: cut episodes off here, as truncated; None for the environment's own limit, or 27,000 steps where
            it is not known to have one.
        explore: draw actions, as a learner meets the environment while it learns.
    """
    generator = np.random.default_rng([seed, RECORDING]) if explore else None
    max_steps = max_steps or default_limit(environments)
    num_envs = environments.num_envs
    episodes: list[list[Row]] = []
    playing: list[int | None] = []  # which episode each environment plays; None when it was cut
    state: Any = None
    num_begun = num_cut = 0
    while len(episodes) < num_episodes or any(n is not None and n < num_episodes for n in playing):
        if all(number is None for number in playing):
            environments.reset([seed, num_begun, RECORDING])
            num_begun += 1
            state = policy.initial_state(num_envs)
            playing = list(range(len(episodes), len(episodes) + num_envs))
            episodes += [[] for _ in range(num_envs)]
        idle = environments.idle.copy()
        rows = _step(environments, policy, state, generator)
        void = getattr(environments, "void", None)
        played = ~idle if void is None else ~(idle | void)
        for i in np.flatnonzero(played).tolist():
            number = playing[i]
            if number is None:
                continue
            episodes[number].append(rows[i])
            if i in environments.finished_envs:
                playing[i] = len(episodes)
                episodes.append([])
            elif len(episodes[number]) == max_steps:
                rows[i]["truncated"] = np.True_
                playing[i] = None
                num_cut += number < num_episodes
    if num_cut:
        log.warning("%d episodes did not end and were cut at %d steps", num_cut, max_steps)
    kinds = described(policy.observation_space, environments.action_space)
    return _joined(episodes[:num_episodes], {**kinds, **metadata})


def _step(
    environments: Environments, policy: Player, state: Any, generator: np.random.Generator | None
) -> list[Row]:
    """Step, and return what was seen and done in each environment."""
    mask = environments.action_mask
    mask = None if mask is None else mask.copy()
    observation = environments.observation.copy()
    action = act(environments, policy, state, generator)
    space = environments.action_space
    if space.continuous:  # what was done, not what was meant
        action = space.to_environment(action).reshape(len(action), -1).astype(np.float32)
    rows = []
    for i in range(environments.num_envs):
        row = {"observation": observation[i], "action": action[i]}
        if mask is not None:
            row["action_mask"] = mask[i]
        for name in ("reward", "terminated", "truncated"):
            row[name] = getattr(environments, name)[i]
        row["final"] = _final(environments, i)
        rows.append(row)
    return rows


def _final(environments: Environments, i: int) -> tuple[np.ndarray, np.ndarray | None] | None:
    """What environment i shows after the step, with its mask, while it shows it: an episode may have been cut off.

    Where it began anew within the step its mask went with it; without a mask what is seen is no decision, and nothing
    is returned.
    """
    mask = environments.action_mask
    if i in environments.final_observations:
        return None if mask is not None else (environments.final_observations[i].copy(), None)
    return environments.observation[i].copy(), None if mask is None else mask[i].copy()


def _joined(episodes: list[list[Row]], metadata: Mapping[str, Any]) -> Trajectories:
    rows = [row for episode in episodes for row in episode]
    columns = {name: np.stack([row[name] for row in rows]) for name in rows[0] if name != "final"}
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
        finals=_finals(rows),
    )


def _finals(rows: list[Row]) -> Finals | None:
    cut = [i for i, row in enumerate(rows) if row["truncated"] and not row["terminated"]]
    known = [(i, *rows[i]["final"]) for i in cut if rows[i]["final"] is not None]
    if not known:
        return None
    numbers, seen, masks = zip(*known, strict=True)
    mask = None if masks[0] is None else np.stack(masks)
    return Finals(np.array(numbers, np.int64), np.stack(seen), mask)
