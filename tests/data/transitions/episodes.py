"""Episodes of every kind of end, drawn at random, and what a transition of them is, told slowly."""

import numpy as np

from poke.data.files.steps import UNKNOWN_ACTION, Finals, Trajectories

NUM_ACTIONS = 4


def drawn(seed, *, num_episodes=30, masked=True, finals=True, unknown=False):
    """Two players an episode; each ends terminated, cut off, or just stops."""
    rng = np.random.default_rng(seed)
    columns = {n: [] for n in ("episode", "player", "timestep", "terminated", "truncated")}
    for episode in range(num_episodes):
        for player in range(2):
            length, end = int(rng.integers(1, 9)), rng.integers(3)
            last = np.arange(length) == length - 1
            columns["episode"].append(np.full(length, episode))
            columns["player"].append(np.full(length, player))
            columns["timestep"].append(np.arange(length))
            columns["terminated"].append(last & (end == 0))
            columns["truncated"].append(last & (end == 1))
    whole = {name: np.concatenate(parts) for name, parts in columns.items()}
    count = len(whole["episode"])
    action = rng.integers(NUM_ACTIONS, size=count)
    mask = rng.random((count, NUM_ACTIONS)) < 0.6
    mask[np.arange(count), action] = True
    marks = None
    if unknown:
        marks = np.zeros((count, 4), np.uint8)
        action[rng.random(count) < 0.2] = UNKNOWN_ACTION
    cut = np.flatnonzero(whole["truncated"])
    kept = cut[rng.random(len(cut)) < 0.7]  # of the others nobody knows
    final_mask = rng.random((len(kept), NUM_ACTIONS)) < 0.5
    final_mask[:, 0] = True
    shape = (count, 1)
    return Trajectories(
        observation=np.arange(count, dtype=np.int8 if unknown else np.float32).reshape(shape),
        action=action.astype(np.int64),
        action_mask=mask if masked else None,
        reward=rng.normal(size=count).astype(np.float32),
        terminated=whole["terminated"],
        truncated=whole["truncated"],
        episode=whole["episode"].astype(np.int64),
        player=whole["player"].astype(np.int8),
        timestep=whole["timestep"].astype(np.int32),
        outcome=np.repeat(rng.integers(-1, 2, count), 1).astype(np.int8) * 0,
        metadata={
            "observation": {"dtype": "int8" if unknown else "float32", "shape": [1]},
            "action": {"kind": "discrete", "num_actions": NUM_ACTIONS},
        },
        marks=marks,
        finals=Finals(
            kept,
            -1 - np.arange(len(kept), dtype=np.float32).reshape(-1, 1),
            final_mask if masked else None,
        )
        if finals and len(kept) and not unknown
        else None,
    )


def expected(data, row, n_step, gamma):
    """What the transition that begins at a row is; None where nobody knows."""
    end = row
    while end + 1 < len(data) and data.timestep[end + 1] != 0:
        end += 1
    rewards = [float(r) for r in data.reward[row : min(row + n_step, end + 1)]]
    return_ = sum(gamma**k * float(r) for k, r in enumerate(data.reward[row : end + 1]))
    told = {"reward": rewards, "length": len(rewards), "return_": return_, "terminated": False}
    if row + n_step <= end:
        following = row + n_step
        mask = None if data.action_mask is None else data.action_mask[following]
        chosen = data.is_chosen[following]
        action = data.action[following] if chosen else None
        return {**told, "next": data.observation[following], "mask": mask, "action": action}
    if data.terminated[end]:
        return {**told, "terminated": True, "action": None}
    finals = data.finals
    if finals is None or end not in finals.rows:
        return None
    number = finals.rows.tolist().index(end)
    mask = None if finals.action_mask is None else finals.action_mask[number]
    return {**told, "next": finals.observation[number], "mask": mask, "action": None}
