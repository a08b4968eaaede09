"""How fast is PPO on CartPole-v1 (4 environments x 128 steps, 64x64 tanh), beside its peers, in one run?

    python benchmarks/ppo.py            # needs poke[bench]

Ours runs through the runner with logging and checkpoints on; `bare` is its collector and algorithm in a plain loop;
`cleanrl` is a loop in that style, right for gymnasium >= 1.0; `sb3` is Stable-Baselines3. One thread each, taken in
turns, counted in environment steps a second of processor time (all threads), so that a busy machine
changes little.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from poke.config import composing
from poke.run.experiment import Agent, Experiment

NUM_ENVS, NUM_STEPS = 4, 128


def ours(num_steps: int) -> Callable[[], None]:
    overrides = [
        "algo=ppo",
        "~eval",
        "checkpoint.monitor=train/loss",
        f"trainer.max_steps={num_steps}",
    ]
    plain = composing.to_plain(composing.compose("train", overrides))
    folder = tempfile.TemporaryDirectory()
    experiment = Experiment(plain, Path(folder.name))

    def run() -> None:
        experiment.trainer.fit()
        experiment.close()
        folder.cleanup()

    return run


def bare(num_steps: int) -> Callable[[], None]:
    plain = composing.to_plain(
        composing.compose("train", ["algo=ppo", f"trainer.max_steps={num_steps}"])
    )
    agent = Agent(plain)
    source, algorithm = agent.source, agent.algorithm

    def run() -> None:
        done = 0
        while done < num_steps:
            batch = source.sample()
            algorithm.update(batch)
            done += batch.num_steps
        source.close()

    return run


def sb3(num_steps: int) -> Callable[[], None]:
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    model = PPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", NUM_ENVS),
        n_steps=NUM_STEPS,
        batch_size=128,
        n_epochs=4,
        learning_rate=2.5e-4,
        ent_coef=0.01,
        clip_range_vf=0.2,
        device="cpu",
        seed=0,
    )
    return lambda: model.learn(num_steps) and None


def layer(inputs: int, outputs: int, gain: float) -> nn.Linear:
    linear = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(linear.weight, gain)
    nn.init.zeros_(linear.bias)
    return linear


def tower(outputs: int, gain: float) -> nn.Sequential:
    root = 2**0.5
    return nn.Sequential(
        layer(4, 64, root), nn.Tanh(), layer(64, 64, root), nn.Tanh(), layer(64, outputs, gain)
    )


def cleanrl(num_steps: int) -> Callable[[], None]:
    """PPO as CleanRL writes it: torch for everything, a step at a time."""
    mode = gym.vector.AutoresetMode.SAME_STEP
    make = [lambda: gym.wrappers.RecordEpisodeStatistics(gym.make("CartPole-v1"))] * NUM_ENVS
    envs = gym.vector.SyncVectorEnv(make, autoreset_mode=mode)
    actor, critic = tower(2, 0.01), tower(1, 1.0)
    parameters = [*actor.parameters(), *critic.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=2.5e-4, eps=1e-5)
    observation = torch.tensor(envs.reset(seed=0)[0])
    shape = (NUM_STEPS, NUM_ENVS)

    def rollout(observation: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        obs, actions = torch.zeros((*shape, 4)), torch.zeros(shape)
        log_probs, rewards, dones, values = (torch.zeros(shape) for _ in range(4))
        for t in range(NUM_STEPS):
            obs[t] = observation
            with torch.no_grad():
                policy = torch.distributions.Categorical(logits=actor(observation))
                action = policy.sample()
                values[t] = critic(observation).flatten()
            actions[t], log_probs[t] = action, policy.log_prob(action)
            after, reward, terminated, truncated, _ = envs.step(action.numpy())
            rewards[t] = torch.tensor(reward)
            dones[t] = torch.tensor(np.logical_or(terminated, truncated), dtype=torch.float32)
            observation = torch.tensor(after)
        with torch.no_grad():
            following = critic(observation).flatten()
        advantages, running = torch.zeros(shape), torch.zeros(NUM_ENVS)
        for t in reversed(range(NUM_STEPS)):
            next_value = following if t == NUM_STEPS - 1 else values[t + 1]
            delta = rewards[t] + 0.99 * next_value * (1 - dones[t]) - values[t]
            running = advantages[t] = delta + 0.99 * 0.95 * (1 - dones[t]) * running
        columns = [obs, actions, log_probs, values, advantages, advantages + values]
        return observation, [column.flatten(0, 1) for column in columns]

    def update(block: list[torch.Tensor]) -> None:
        order, clip_fractions = np.arange(NUM_STEPS * NUM_ENVS), []
        for _ in range(4):
            np.random.shuffle(order)
            for start in range(0, len(order), 128):
                obs, action, log_prob, value, advantage, return_ = (
                    column[order[start : start + 128]] for column in block
                )
                policy = torch.distributions.Categorical(logits=actor(obs))
                log_ratio = policy.log_prob(action) - log_prob
                ratio = log_ratio.exp()
                clip_fractions.append(((ratio - 1).abs() > 0.2).float().mean().item())
                advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
                loss = torch.max(-advantage * ratio, -advantage * ratio.clamp(0.8, 1.2)).mean()
                new = critic(obs).flatten()
                bounded = value + (new - value).clamp(-0.2, 0.2)
                errors = torch.max((new - return_) ** 2, (bounded - return_) ** 2)
                loss = loss - 0.01 * policy.entropy().mean() + 0.25 * errors.mean()
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, 0.5)
                optimizer.step()

    def run() -> None:
        nonlocal observation
        for _ in range(num_steps // (NUM_STEPS * NUM_ENVS)):
            observation, block = rollout(observation)
            update(block)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=102_400, help="of each side in each round")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    sides = {"poke": ours, "bare": bare, "cleanrl": cleanrl, "sb3": sb3}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(given.rounds):
        for name, prepare in sides.items():
            run = prepare(given.steps)
            torch.set_num_threads(1)
            begun = time.process_time()
            with contextlib.redirect_stdout(io.StringIO()):
                run()
            rates[name].append(given.steps / (time.process_time() - begun))
    for name, measured in rates.items():
        ratios = [ours / theirs for ours, theirs in zip(rates["poke"], measured, strict=True)]
        print(
            f"{name:8} {statistics.median(measured):8.0f} steps/s   "
            f"poke / {name} {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
