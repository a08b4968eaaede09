"""d3rlpy on the same rows: run by `benchmarks/offline.py` with a python that has it, one line of JSON a peer.

python d3rlpy_peers.py ARRAYS.npz ENV_ID UPDATES SEED bc,bcq,cql ALPHA,ALPHA
"""

from __future__ import annotations

import json
import logging
import sys
import time

import d3rlpy
import gymnasium
import numpy as np
import torch


def main() -> None:
    arrays, env_id, updates, seed, names, alphas = sys.argv[1:]
    torch.set_num_threads(1)
    d3rlpy.seed(int(seed))
    logging.disable(logging.WARNING)
    with np.load(arrays) as found:
        action = found["action"]
        data = d3rlpy.dataset.MDPDataset(
            found["observation"],
            action[:, None] if action.ndim == 1 else action,
            found["reward"][:, None],
            found["terminated"].astype(np.float32),
            found["truncated"].astype(np.float32),
        )
    factory = d3rlpy.models.VectorEncoderFactory([256, 256])
    common = {"batch_size": 256, "gamma": 0.99, "encoder_factory": factory}
    rate = {"learning_rate": 1e-3}
    kinds = {}
    for name in names.split(","):
        if name == "bc":
            kinds["d3rlpy DiscreteBC"] = d3rlpy.algos.DiscreteBCConfig(
                batch_size=256, encoder_factory=factory, **rate
            )
        if name == "bcq":
            kinds["d3rlpy DiscreteBCQ"] = d3rlpy.algos.DiscreteBCQConfig(**common, **rate)
        if name == "cql":
            for alpha in alphas.split(","):
                kinds[f"d3rlpy DiscreteCQL alpha {alpha}"] = d3rlpy.algos.DiscreteCQLConfig(
                    **common, **rate, alpha=float(alpha), n_critics=2, target_update_interval=500
                )
        if name in ("mse", "iql", "rebrac"):
            kinds |= numbers(name, factory)
    for name, config in kinds.items():
        learner = config.create(device=False)
        began = time.process_time()
        learner.fit(
            data,
            n_steps=int(updates),
            n_steps_per_epoch=int(updates),
            logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
            show_progress=False,
        )
        seconds = time.process_time() - began
        score = play(gymnasium.make(env_id), learner)
        told = {"algorithm": name, "updates": int(updates), "score": round(score, 3)}
        print(
            json.dumps({**told, "updates_a_second": round(int(updates) / seconds, 1)}), flush=True
        )


def numbers(name: str, factory):
    """Of continuous actions: with d3rlpy's own rates, observations standardised."""
    d3 = d3rlpy.algos
    scaler = {"observation_scaler": d3rlpy.preprocessing.StandardObservationScaler()}
    critics = {"actor_encoder_factory": factory, "critic_encoder_factory": factory}
    if name == "mse":
        return {"d3rlpy BC": d3.BCConfig(batch_size=256, encoder_factory=factory, **scaler)}
    if name == "iql":
        more = {"value_encoder_factory": factory, "expectile": 0.7, "weight_temp": 3.0}
        return {"d3rlpy IQL": d3.IQLConfig(batch_size=256, **critics, **more, **scaler)}
    return {"d3rlpy ReBRAC": d3.ReBRACConfig(batch_size=256, **critics, **scaler)}


def play(env, learner, episodes: int = 100) -> float:
    returns = []
    for seed in range(episodes):
        observation, _ = env.reset(seed=1_000_003 + seed)
        ended, total = False, 0.0
        while not ended:
            action = learner.predict(observation[None].astype(np.float32))[0]
            action = action if isinstance(env.action_space, gymnasium.spaces.Box) else int(action)
            observation, reward, terminated, truncated, _ = env.step(action)
            total += float(reward)
            ended = terminated or truncated
        returns.append(total)
    return float(np.mean(returns))


if __name__ == "__main__":
    main()
