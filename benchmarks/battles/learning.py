"""What does learning cost beside the battles it learns from?

`simulation` steps the battles of experiment=ppo_gen1 by random legal actions; `learning` collects a block of them and
learns from it. Both by the same workers, in turns, in decisions a second of processor time (this process and its
workers together), so that a busy machine changes little, and by the clock.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import psutil

from battles.command import Command
from poke.config import composing
from poke.run.experiment import Agent


def processor_seconds() -> float:
    """Of this process and its workers so far."""
    this = psutil.Process()
    times = [p.cpu_times() for p in (this, *this.children(recursive=True))]
    return sum(t.user + t.system for t in times)


def run_learning(options: argparse.Namespace) -> None:
    overrides = [
        "experiment=ppo_gen1",
        "data.overlap=false",  # no thread plays while another steps the battles
        "~eval",
        "checkpoint.monitor=train/loss",
        *options.overrides,
    ]
    agent = Agent(composing.to_plain(composing.compose("train", overrides)))
    source, algorithm, environments = agent.source, agent.algorithm, agent.source.environments
    rng = np.random.default_rng(0)

    def simulate() -> int:
        decisions = 0
        for _ in range(agent.config["data"]["num_steps"]):
            mask = environments.action_mask
            environments.step((mask * rng.random(mask.shape)).argmax(axis=1))
            decisions += environments.num_envs
        source._see()  # what the next block begins with
        return decisions

    def learn() -> int:
        batch = source.sample()
        algorithm.update(batch)
        return batch.num_steps

    rates: dict[str, list[tuple[float, float]]] = {"simulation": [], "learning": []}
    for n in range(options.rounds + 1):
        for name, work in {"simulation": simulate, "learning": learn}.items():
            processor, clock = processor_seconds(), time.perf_counter()
            decisions = work()
            spent = processor_seconds() - processor, time.perf_counter() - clock
            if n:  # the first is to warm up
                rates[name].append((decisions / spent[0], decisions / spent[1]))
    source.close()
    for i, of in enumerate(("processor time", "the clock")):
        simulation, learning = ([r[i] for r in rates[name]] for name in rates)
        ratios = [a / b for a, b in zip(learning, simulation, strict=True)]
        print(
            f"by {of:15} simulation {statistics.median(simulation):6.0f}, learning "
            f"{statistics.median(learning):6.0f} decisions/s: {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )


learning = Command(
    "PPO beside the battles that it learns from", run_learning, rounds=5, overrides=[]
)
