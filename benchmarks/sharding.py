"""How long does a save of weights that two ranks share keep them from training?

    python benchmarks/sharding.py                        # 64 and 512 MB a rank, a few minutes, two idle cores
    python benchmarks/sharding.py --megabytes 64 --rounds 5

A rank's stall is all that `Trainer` does to save: what ranks tell each other, and the copy of their parts. It is given
beside a copy of the same bytes from memory to memory, both in use before, in the same rounds, by turns; the first round
of each is left out, and of the two ranks the slower counts. Between rounds the writing in the background is waited for.
Rows go to `results/sharding.csv`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from rows import write
from torch import nn
from torch.distributed.tensor import Shard, distribute_tensor

from poke.distributed.group import Group
from poke.distributed.places import Place
from poke.training.checkpointing import CheckpointManager
from poke.training.checkpointing.follower import CheckpointFollower
from poke.training.checkpointing.shards import Shards
from poke.training.trainer import Trainer

RANKS = 2
NUM_TENSORS = 48


class Component:
    """A policy of shared tensors, one after the other, and a source without any."""

    epoch = 0

    def __init__(self, num_bytes: int, mesh: Any) -> None:
        length = RANKS * num_bytes // 4 // NUM_TENSORS
        self.live = {
            f"tensor{i}": nn.Parameter(
                distribute_tensor(torch.randn(length), mesh, [Shard(0)], src_data_rank=None)
            )
            for i in range(NUM_TENSORS)
        }

    def get_state(self) -> dict[str, Any]:
        return self.live


class Nothing:
    epoch = 0

    def get_state(self) -> dict[str, Any]:
        return {}


def work(rank: int, port: int, megabytes: int, rounds: int, folder: str, told: Any) -> None:
    torch.set_num_threads(1)
    store = dist.TCPStore(
        "127.0.0.1", port, RANKS, rank == 0, timeout=timedelta(seconds=60), wait_for_workers=False
    )
    place = Place(rank, RANKS, rank, "127.0.0.1", port, serves=rank == 0)
    group = Group(place, store, torch.device("cpu"), 300.0)
    shards = Shards(rank, *group.channels())
    manager: Any = CheckpointFollower(shards, None)
    if rank == 0:
        manager = CheckpointManager(
            folder, shards=shards, max_to_keep=1, keep_best=False, monitor="train/loss"
        )
    policy = Component(megabytes * 1_000_000, group.mesh)
    trainer = Trainer(
        algorithm=SimpleNamespace(policy=policy, get_state=dict),  # type: ignore[arg-type]
        source=Nothing(),  # type: ignore[arg-type]
        evaluator=None,
        logger=SimpleNamespace(get_state=dict),  # type: ignore[arg-type]
        checkpoints=manager,
        timer=SimpleNamespace(switch=lambda name: None),  # type: ignore[arg-type]
        max_steps=1,
        eval_every=0,
        save_every=0,
        ranks=group,
        whole=lambda: None,  # type: ignore[arg-type,return-value]
    )
    parts = [tensor.to_local() for tensor in policy.live.values()]
    copies = [torch.empty_like(part) for part in parts]
    for number in range(rounds + 1):
        group.gather(None)
        began = time.perf_counter()
        for copy, part in zip(copies, parts, strict=True):
            copy.copy_(part)
        copied = time.perf_counter() - began
        trainer.step = number
        group.gather(None)
        began = time.perf_counter()
        trainer._save()
        stalled = time.perf_counter() - began
        if rank == 0:
            manager.wait()
        group.gather(None)
        both = group.gather((stalled, copied))
        if rank == 0 and number:
            told.put((max(s for s, _ in both), max(c for _, c in both)))
    if rank == 0:
        manager.close()
    shards.end()
    group.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, nargs="+", default=[64, 512])
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    rows = []
    for megabytes in arguments.megabytes:
        told = mp.get_context("spawn").SimpleQueue()
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            port = 29_400 + megabytes % 500
            given = (port, megabytes, arguments.rounds, folder, told)
            mp.spawn(work, given, nprocs=RANKS)
        found = [told.get() for _ in range(arguments.rounds)]
        ratio = statistics.median(s / c for s, c in found)
        stall, copy = (statistics.median(column) for column in zip(*found, strict=True))
        print(
            f"{megabytes} MB a rank: stall {stall * 1e3:.1f} ms, copy {copy * 1e3:.1f} ms, {ratio:.2f}"
        )
        rows.append(
            {
                "megabytes_a_rank": megabytes,
                "stall_ms": round(stall * 1e3, 1),
                "copy_ms": round(copy * 1e3, 1),
                "ratio": round(ratio, 2),
            }
        )
    write("sharding", rows)


if __name__ == "__main__":
    main()
