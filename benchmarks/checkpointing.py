"""What a checkpoint costs, beside its limits and its peers, in one run.

    python benchmarks/checkpointing.py                   # 50 MB and 1 GB, a few minutes
    python benchmarks/checkpointing.py --megabytes 50 --rounds 5 --skip slowdown

Every figure is a ratio to a limit measured in the same rounds: a copy of the same bytes in memory,
a raw write and sync, a raw read. The contenders take turns in every round, and the fastest round of
each counts, the first one aside. One thread. Lightning takes part where it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp

from poke.training.checkpointing import CheckpointManager, CheckpointMetadata

NUM_TENSORS = {50: 200, 1000: 1200}
WRITE_BYTES = 1 << 26
LIMITS = {
    "stall": "memory copy",
    "durable": "raw write + fsync",
    "load": "raw read",
    "incremental": "whole buffer",
}


class Component:
    """A state of many tensors of one size, each with its live copy."""

    def __init__(self, num_bytes: int, num_tensors: int) -> None:
        length = num_bytes // 4 // max(1, num_tensors)
        self.live = {f"tensor{number}": torch.randn(length) for number in range(num_tensors)}

    def get_state(self) -> dict:
        return self.live

    def set_state(self, state) -> None:
        for name, tensor in self.live.items():
            tensor.copy_(state[name])


class Replay:
    """A ring buffer whose rows are 1 kB."""

    def __init__(self, num_bytes: int) -> None:
        self.rows = torch.randn(num_bytes // 1024, 256)
        self.num_appended = len(self.rows)

    def append(self, count: int) -> None:
        rows = torch.arange(self.num_appended, self.num_appended + count) % len(self.rows)
        self.rows[rows] = torch.randn(count, 256)
        self.num_appended += count

    def get_state(self) -> dict:
        ring = {"rows": self.rows}
        return {"ring": {"ring_columns": ring, "num_appended": self.num_appended, "generation": 0}}


class Stopwatch:
    """Seconds by figure and contender, one value a round."""

    def __init__(self) -> None:
        self.seconds: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def time(self, figure: str, contender: str, run: Callable[[], object]) -> None:
        start = time.perf_counter()
        run()
        self.note(figure, contender, start)

    def note(self, figure: str, contender: str, start: float) -> None:
        self.seconds[figure][contender].append(time.perf_counter() - start)

    def table(self, title: str) -> Iterator[str]:
        """Yield a line a contender, with its ratio to the limit of its figure."""
        for figure, contenders in self.seconds.items():
            # Other work on the machine only ever adds; and the first round finds cold buffers.
            fastest = {name: min(values[1:] or values) for name, values in contenders.items()}
            limit = fastest[LIMITS[figure]]
            for contender, typical in fastest.items():
                yield (
                    f"| {figure}, {title} | {contender} | {typical * 1e3:.1f} ms"
                    f" | {typical / limit:.2f}x |"
                )


def raw_write(path: Path, data: memoryview) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for start in range(0, len(data), WRITE_BYTES):
        chunk = data[start : start + WRITE_BYTES]
        while chunk:
            chunk = chunk[os.write(descriptor, chunk) :]
    os.fsync(descriptor)
    os.close(descriptor)


def synced_torch_save(state: dict, path: Path) -> None:
    with open(path, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())


def lightning_trainer() -> object | None:
    """Return what Lightning saves a checkpoint with, or None where it is not installed."""
    if importlib.util.find_spec("lightning") is None:
        return None
    from lightning.fabric.plugins import TorchCheckpointIO

    return TorchCheckpointIO()


def save_and_load(directory: Path, num_bytes: int, num_tensors: int, rounds: int) -> Stopwatch:
    """Time the stall, the durable write and the load of one state, contender by contender."""
    watch = Stopwatch()
    component = Component(num_bytes, num_tensors)
    kept = {name: torch.empty_like(tensor) for name, tensor in component.live.items()}
    data = memoryview(bytearray(num_bytes))
    raw = directory / "raw"
    lightning = lightning_trainer()
    manager = CheckpointManager(directory / "poke", max_to_keep=1, keep_best=False)

    def copy() -> None:
        for name, tensor in component.live.items():
            kept[name].copy_(tensor)

    def poke() -> None:
        start = time.perf_counter()
        manager.save({"component": component}, CheckpointMetadata(0, 0))
        watch.note("stall", "poke", start)
        manager.wait()
        watch.note("durable", "poke", start)

    def dcp_async() -> None:
        target = directory / "dcp"
        shutil.rmtree(target, ignore_errors=True)
        start = time.perf_counter()
        future = dcp.async_save(dict(component.live), checkpoint_id=str(target))
        watch.note("stall", "DCP async_save", start)
        future.result()
        watch.note("durable", "DCP async_save", start)

    def blocking(contender: str, save: Callable[[dict, Path], object]) -> None:
        start = time.perf_counter()
        save(component.live, directory / contender.split()[0])
        watch.note("stall", contender, start)
        watch.note("durable", contender, start)

    turns = [
        lambda: watch.time("stall", "memory copy", copy),
        lambda: watch.time("durable", "raw write + fsync", lambda: raw_write(raw, data)),
        poke,
        dcp_async,
        lambda: blocking("torch.save + fsync", synced_torch_save),
    ]
    if lightning is not None:
        turns.append(lambda: blocking("Lightning (no fsync)", lightning.save_checkpoint))
    for number in range(rounds):
        # A disk with a budget serves whoever comes first best: each has its turn at that.
        for turn in turns[number % len(turns) :] + turns[: number % len(turns)]:
            turn()
        time_loads(watch, directory, component, manager, data)
    manager.close()
    return watch


def time_loads(
    watch: Stopwatch,
    directory: Path,
    component: Component,
    manager: CheckpointManager,
    data: memoryview,
) -> None:
    """Time one load by each contender, into the live tensors, from files the system has cached."""

    def raw_read(name: str = "raw") -> None:
        with open(directory / name, "rb", buffering=0) as file:
            file.readinto(data)

    def poke_load() -> None:
        manager.restore({"component": component}, manager.load())

    for name in ("raw", "torch.save", "poke/checkpoint_epoch0_step0.pt"):
        raw_read(name)  # the files are in the system's cache from here on
    watch.time("load", "raw read", raw_read)
    watch.time("load", "poke (verified)", poke_load)
    for mmap in (True, False):
        watch.time(
            "load",
            f"torch.load(mmap={mmap})",
            lambda mmap=mmap: component.set_state(
                torch.load(directory / "torch.save", mmap=mmap, weights_only=True)
            ),
        )


def incremental(directory: Path, num_bytes: int, rounds: int) -> Stopwatch:
    """Time a save of a replay buffer as it stands, and one of what a hundredth of new rows adds."""
    watch = Stopwatch()
    replay = Replay(num_bytes)
    managers = {
        name: CheckpointManager(directory / name, max_to_keep=1, keep_best=False)
        for name in ("whole buffer", "1 % new")
    }

    def save(name: str, state: object, step: int) -> None:
        managers[name].save({"replay": state}, CheckpointMetadata(0, step))
        managers[name].wait()

    save("1 % new", replay, 0)
    plain = Component(0, 0)
    plain.live = {"rows": replay.rows}
    for number in range(1, rounds + 1):
        replay.append(len(replay.rows) // 100)
        watch.time("incremental", "whole buffer", partial(save, "whole buffer", plain, number))
        watch.time("incremental", "1 % new", partial(save, "1 % new", replay, number))
    return watch


def _peak_memory(directory: Path, num_bytes: int, num_tensors: int, answer) -> None:
    component = Component(num_bytes, num_tensors)
    manager = CheckpointManager(directory / "memory", max_to_keep=1, keep_best=False)
    before = _memory("VmRSS")
    for step in range(4):
        manager.save({"component": component}, CheckpointMetadata(0, step))
    manager.close()
    answer.put((_memory("VmHWM") - before) / num_bytes)


def _memory(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"the system does not say {field}")


def peak_memory(directory: Path, num_bytes: int, num_tensors: int) -> float:
    """Return the peak memory of repeated saves beyond the state itself, in states."""
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=_peak_memory, args=(directory, num_bytes, num_tensors, answer))
    process.start()
    extra = answer.get()
    process.join()
    return extra


def slowdown(directory: Path, rounds: int, seconds: float) -> float:
    """Return by what share saving 50 MB every ten seconds slows a training loop down."""
    network = torch.nn.Sequential(
        torch.nn.Linear(512, 512), torch.nn.ReLU(), torch.nn.Linear(512, 512)
    )
    optimizer = torch.optim.AdamW(network.parameters())
    batch = torch.randn(64, 512)
    component = Component(50_000_000, NUM_TENSORS[50])
    manager = CheckpointManager(directory / "slowdown", max_to_keep=2, keep_best=False)

    def step() -> None:
        optimizer.zero_grad()
        network(batch).square().mean().backward()
        optimizer.step()

    def train(num_steps: int) -> float:
        start = time.perf_counter()
        for _ in range(num_steps):
            step()
        return time.perf_counter() - start

    train(50)
    num_steps = int(200 * seconds / train(200))
    shares = []
    for number in range(rounds):
        plain = train(num_steps)
        start = time.perf_counter()
        manager.save({"component": component}, CheckpointMetadata(0, number))
        saving = time.perf_counter() - start + train(num_steps)
        manager.wait()
        shares.append(saving / plain - 1)
    manager.close()
    return statistics.median(shares[1:] or shares)


def main() -> None:
    """Measure what the command line asks for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, nargs="+", default=[50, 1000])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--directory", type=Path, default=None, help="on the disk to measure")
    parser.add_argument(
        "--skip", nargs="+", default=[], choices=("save", "memory", "incremental", "slowdown")
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    scratch = Path(tempfile.mkdtemp(dir=options.directory))
    try:
        dist.init_process_group(
            "gloo", init_method=f"file://{scratch}/rendezvous", rank=0, world_size=1
        )
        print("| figure | contender | fastest | ratio |\n|---|---|---|---|")
        for megabytes in options.megabytes:
            num_bytes = megabytes * 1_000_000
            num_tensors = NUM_TENSORS.get(megabytes, 400)
            if "save" not in options.skip:
                watch = save_and_load(scratch, num_bytes, num_tensors, options.rounds)
                print("\n".join(watch.table(f"{megabytes} MB")), flush=True)
            if "memory" not in options.skip:
                extra = peak_memory(scratch, num_bytes, num_tensors)
                print(f"| peak extra memory, {megabytes} MB | poke | | {extra:.2f}x |", flush=True)
            if "incremental" not in options.skip:
                watch = incremental(scratch, num_bytes, max(3, options.rounds // 2))
                print("\n".join(watch.table(f"{megabytes} MB")), flush=True)
        if "slowdown" not in options.skip:
            share = slowdown(scratch, options.rounds, seconds=10)
            print(f"| slowdown, 50 MB every 10 s | poke | | {share:.2%} |")
        dist.destroy_process_group()
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
