"""What a replay buffer costs: the stall of a checkpoint beside a copy of what is new, draws, and appends.

    python benchmarks/replay.py                          # 1,000,000 transitions of 84 numbers, about two minutes
    python benchmarks/replay.py --capacity 100000 --rounds 10

The stall is what training waits for in `CheckpointManager.save`; it is measured on a full buffer that goes round, with
as many new transitions each time as `--new` says, and stands beside a copy of the new rows of every column into memory
that is there already. Contenders take turns in every round, and the fastest round of each counts, the first one aside.
One thread.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from poke.data.replay import Replay
from poke.protocols import VectorEnvironmentDefaults
from poke.spaces import ActionSpace, ObservationSpace
from poke.training.checkpointing import CheckpointManager, CheckpointMetadata

BATCH_SIZE = 256


class Noise(VectorEnvironmentDefaults):
    """Environments that show numbers and never end; they cost next to nothing."""

    observation_clip = None

    def __init__(self, size: int) -> None:
        self.num_envs = 1
        self.observation_space = ObservationSpace.box((size,))
        self.action_space = ActionSpace.continuous_box((6,), -1, 1)
        self.observation = np.random.default_rng(0).normal(size=(1, size)).astype(np.float32)
        self.reward = np.ones(1, np.float32)
        self.terminated, self.truncated, self.idle = np.zeros((3, 1), np.bool_)
        self.finished: list[tuple[float, int]] = []

    def make(self) -> Noise:
        return self

    def reset(self, entropy: object) -> None:
        """They go on as they are."""

    def step(self, action: np.ndarray) -> None:
        """Nothing changes."""


class Still:
    """An algorithm, as far as a buffer asks for one: always the same action."""

    normalizer = None

    def __init__(self) -> None:
        self.policy = self
        self._action = np.zeros((1, 6), np.float32)

    def initial_state(self, batch_size: int) -> None:
        return None

    def explore(self, observation: np.ndarray, action_mask: np.ndarray | None) -> np.ndarray:
        return self._action


def filled(capacity: int, size: int, alpha: float) -> Replay:
    """Return a buffer that is full, and has gone round by a half."""
    environment = Noise(size)
    source = Replay(environment, capacity=capacity, batch_size=BATCH_SIZE, alpha=alpha)
    source.attach(Still())
    append(source, capacity + capacity // 2)
    return source


def append(source: Replay, count: int) -> None:
    """Put drawn rows into a buffer, as many at once as fit the memory."""
    rng = np.random.default_rng(source._ring.num_appended)
    for start in range(0, count, 65_536):
        some = min(65_536, count - start)
        rows = {
            name: rng.integers(0, 2, (some, *column.shape[1:])).astype(column.numpy().dtype)
            for name, column in source._ring.columns.items()
        }
        source._drawing.add(source._ring.extend(rows))


def fastest(contenders: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Return each contender's fastest round in seconds, the first one aside."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: min(values[1:]) for name, values in seconds.items()}


def stall(folder: Path, source: Replay, new: int, rounds: int) -> None:
    """Print what a checkpoint of a buffer stalls, beside a copy of what is new: rows, and all priorities."""
    manager = CheckpointManager(folder, max_to_keep=2, keep_best=False)
    columns = source._ring.columns
    priority = source.get_state()["drawing"].get("priority", torch.zeros(0))
    parts = {name: column[:new] for name, column in columns.items()} | {"priority": priority}
    ready = {name: torch.zeros_like(part) for name, part in parts.items()}
    manager.save({"source": source}, CheckpointMetadata(0, 0))
    seconds: dict[str, list[float]] = {"checkpoint": [], "memcpy": []}
    for number in range(2, 2 * rounds + 4):
        manager.wait()
        # As many as it comes to where updates are no divisor of save_every. Each contender finds rows of its own that
        # were just written, so that none has them in a nearer cache than the other.
        count = new - new // 100 * (number % 3)
        if source._ring.num_appended % source._ring.capacity + 2 * count > source._ring.capacity:
            append(source, 2 * count)  # not around the end, where rows are no single piece
            manager.save({"source": source}, CheckpointMetadata(0, 2 * number))
            manager.wait()
        append(source, count)
        first = source._ring.num_appended % source._ring.capacity - count
        rows = {name: column[first : first + count] for name, column in columns.items()}
        start = time.perf_counter()
        if number % 2:
            for name, part in rows.items():
                ready[name][:count].copy_(part)
            ready["priority"].copy_(priority)
            seconds["memcpy"].append(time.perf_counter() - start)
        manager.save({"source": source}, CheckpointMetadata(0, 2 * number + 1))
        if number % 2 == 0:
            seconds["checkpoint"].append(time.perf_counter() - start)
    num_bytes = sum(part.nbytes for part in parts.values())
    checkpoint, copy = (min(values[1:]) for values in seconds.values())
    print(
        f"| stall, {_kind(source)}, {new:,} new rows, {num_bytes / 1e6:.1f} MB | {checkpoint * 1e3:.2f} ms "
        f"| memcpy {copy * 1e3:.2f} ms | {checkpoint / copy:.2f}x |",
        flush=True,
    )
    manager.close()


def _kind(source: Replay) -> str:
    return "prioritised" if source.get_state()["drawing"] else "uniform"


def speeds(source: Replay, rounds: int) -> None:
    """Print how fast a buffer draws and plays."""
    kind, error = _kind(source), torch.rand(BATCH_SIZE)

    def draw() -> None:
        for part in source._minibatches(200):
            if part.weight is not None and part.rows is not None:
                source.tell(part.rows, error)

    def play() -> None:
        for _ in range(1000):
            source.sample()

    seconds = fastest({"draw": draw, "play": play}, rounds)
    print(f"| draws of {BATCH_SIZE}/s, {kind} | {200 / seconds['draw']:,.0f} | | |")
    steps = 1000 / seconds["play"]
    print(f"| steps/s of one environment that costs nothing, {kind} | {steps:,.0f} | | |")


def main() -> None:
    """Measure what the command line asks for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--capacity", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=84, help="numbers of an observation")
    parser.add_argument("--new", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--directory", type=Path, default=None, help="on the disk to measure")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    scratch = Path(tempfile.mkdtemp(dir=options.directory))
    try:
        print("| figure | poke | limit | ratio |\n|---|---|---|---|")
        for alpha in (0.0, 0.6):
            source = filled(options.capacity, options.size, alpha)
            for new in options.new:
                stall(scratch / f"{alpha}-{new}", source, new, options.rounds)
            speeds(source, options.rounds)
            del source
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
