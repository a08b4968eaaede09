"""The resident memory of a worker over many battles between scripted players."""

from __future__ import annotations

import argparse

import psutil

from battles.command import Command
from battles.played import Worked
from poke.envs.showdown.pipes.workers import BattleWorkers


def run_memory(options: argparse.Namespace) -> None:
    """The resident memory of one worker over many battles between scripted players."""
    with BattleWorkers(options.format, num_battles=8, num_workers=1) as workers:
        worker, battles = psutil.Process(workers.pids[0]), 0
        played = Worked(workers, ("random", "random"))
        step = max(1, options.battles // 10)
        print(f"{options.format}: battles, resident MB")
        while battles < options.battles:
            battles += played.play(0.5)[1]
            if battles >= step:
                print(f"  {battles:7,} {worker.memory_info().rss / 1e6:7.0f}", flush=True)
                step += max(1, options.battles // 10)


memory = Command(
    "of a worker over many battles", run_memory, format="gen1randombattle", battles=10_000
)
