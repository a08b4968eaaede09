"""What does it cost to use a policy? To load it, beside `import torch`; and to act, beside the bare forward pass.

    python benchmarks/policy.py [--rounds 9] [--seconds 2]

Loading is a fresh process that calls `poke.load` on a run and acts once. Acting is `policy.act` of one observation by
an MLP of 64x64, of one that normalises observations besides, and of one whose actions are numbers; beside the same
layers called by torch under `no_grad`, on tensors that are there already and with outputs that nobody reads. They take
turns, in the same process and on one thread; the first rounds are not counted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from poke.policies.building import build, describe
from poke.policies.policy import Policy
from poke.spaces import ActionSpace, ObservationSpace
from poke.training.checkpointing import CheckpointManager, CheckpointMetadata

NETWORK = {"_target_": "poke.networks.mlp.MLP", "hidden_sizes": [64, 64], "activation": "tanh"}
SPACE = ObservationSpace.box((8,))
CHOICES = ActionSpace.discrete(4)
NUMBERS = ActionSpace.continuous_box((4,), -1.0, 1.0)
LOADED = "import sys, poke; poke.load(sys.argv[1]).act([0.0] * 8)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0, help="of acting, each")
    given = parser.parse_args()
    torch.set_num_threads(1)
    loading(given.rounds)
    acting(given.seconds)


def policy_of(actions: ActionSpace, **options: object) -> Policy:
    """A policy of no training."""
    values = {"critic": "separate", "masked": False, "observation_clip": None, **options}
    return build(describe(NETWORK, SPACE, actions, **values))


def loading(rounds: int) -> None:
    """Time fresh processes, by turns."""
    with tempfile.TemporaryDirectory() as folder:
        with CheckpointManager(Path(folder, "checkpoints")) as manager:
            policy = policy_of(CHOICES, observation_clip=10.0)
            manager.save({"policy": policy}, CheckpointMetadata(0, 1))
        # Compiled once, as by whoever starts a program a second time; kept out of the tree.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(Path(folder, "compiled"))}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)

        def wall(*code: str) -> float:
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", *code], check=True, env=environment)
            return time.perf_counter() - start

        pairs = [(wall(LOADED, folder), wall("import torch")) for _ in range(rounds + 1)][1:]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(
        f"poke.load(run) and first action {ours:.2f} s, import torch {theirs:.2f} s: "
        f"{ratio:.2f}x (target <= 1.3x)"
    )


def acting(seconds: float) -> None:
    """Time one observation at a time, by turns."""
    observations = np.random.default_rng(0).standard_normal((256, 8)).astype(np.float32)
    layers = [nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 4)]
    network = nn.Sequential(*layers)

    tensors = [torch.from_numpy(observation)[None] for observation in observations]

    def bare() -> None:
        with torch.no_grad():
            for tensor in tensors:
                network(tensor)

    def act(policy: Policy) -> Callable[[], None]:
        def run() -> None:
            for observation in observations:
                policy.act(observation)

        return run

    cases = {
        "choices": (act(policy_of(CHOICES)), bare),
        "normalised": (act(policy_of(CHOICES, observation_clip=10.0)), bare),
        "numbers": (act(policy_of(NUMBERS)), bare),
    }
    for name, pair in cases.items():
        times: list[tuple[float, float]] = []
        until = time.perf_counter() + seconds
        while time.perf_counter() < until or len(times) < 4:
            times.append((timed(pair[0]), timed(pair[1])))
        ours, theirs = (
            1e6 * statistics.median(column) / len(observations)
            for column in zip(*times[1:], strict=True)
        )
        ratio = statistics.median(a / b for a, b in times[1:])
        print(
            f"policy.act, {name:10s} {ours:6.1f} us, bare torch {theirs:6.1f} us: "
            f"{ratio:.2f}x (target <= 1.0x)"
        )


def timed(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
