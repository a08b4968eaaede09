"""Kill a process that saves checkpoints, again and again, and look at what it leaves.

    python benchmarks/faults.py kills --count 200 --megabytes 200
    python benchmarks/faults.py training --count 200
    python benchmarks/faults.py boundaries

``kills`` sends SIGKILL at random moments of a save loop, ``training`` at random moments of real runs of behaviour
cloning and PPO. ``boundaries`` ends the process at every single call to the file system that a save and a
rewind make. After each death the next start must find a newest checkpoint that loads, no damaged file under a final
name, and no leftover bytes. What it holds must be exactly what an undisturbed run has at that step; a run that was
killed as often as it took must end with the same components and the same metrics.csv, times aside. The exit status is
0 if all of that held.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from poke.config import composing
from poke.data import trajectories
from poke.run import runner
from poke.training.checkpointing import CheckpointManager, CheckpointMetadata
from poke.training.checkpointing.contents import read_checkpoint
from poke.verify import differences

MAX_TO_KEEP = 3
FILE_CALLS = ("open", "write", "pwrite", "fsync", "replace", "link", "unlink", "close", "mkdir")


class Walk:
    """A random walk in a large tensor, with a replay of every value it had.

    Its next step depends on the process's random state: a resume that loses that state, or
    any row of the replay, ends elsewhere.
    """

    def __init__(self, num_bytes: int) -> None:
        self.weights = torch.zeros(num_bytes // 4)
        self.visited = torch.zeros(64)
        self.step = 0

    def advance(self) -> None:
        self.weights += torch.rand(())
        self.visited[self.step % len(self.visited)] = self.weights[0]
        self.step += 1

    def get_state(self) -> dict:
        ring = {
            "ring_columns": {"value": self.visited},
            "num_appended": self.step,
            "generation": 0,
        }
        return {"weights": self.weights, "visited": ring, "step": self.step}

    def set_state(self, state) -> None:
        self.weights.copy_(state["weights"])
        self.visited.copy_(state["visited"]["ring_columns"]["value"])
        self.step = state["step"]


def save_loop(
    directory: Path,
    num_bytes: int,
    num_saves: int,
    *,
    async_save: bool,
    ready: Callable[[], object] = lambda: None,
) -> None:
    """Resume where there is something to resume from, call ``ready``, then step and save."""
    walk = Walk(num_bytes)
    manager = CheckpointManager(directory, max_to_keep=MAX_TO_KEEP, async_save=async_save)
    if manager.list_checkpoints():
        manager.restore({"walk": walk}, manager.load())
    else:
        torch.manual_seed(0)
    ready()
    for _ in range(num_saves):
        walk.advance()
        # A loss that falls and rises: the best is now the newest, now an old one.
        metrics = {"val/loss": float((walk.step * 7) % 5)}
        manager.save({"walk": walk}, CheckpointMetadata(0, walk.step, metrics))
    manager.close()


def fork(run: Callable[[], None]) -> int:
    """Run a function in a child process and return its id."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            run()
            status = 0
        finally:
            os._exit(status)
    return pid


def faults_after(directory: Path, num_bytes: int) -> tuple[list[str], int]:
    """Start anew on what a death left; return what is wrong and the step resumed from."""
    wrong = damaged(directory)
    manager = CheckpointManager(directory, max_to_keep=MAX_TO_KEEP)
    listed = manager.list_checkpoints()
    if not listed:
        return [*wrong, "no checkpoint is left"], 0
    checkpoint = manager.load()
    if checkpoint.metadata.step != listed[-1].step:
        wrong.append(f"step {listed[-1].step} is listed, {checkpoint.metadata.step} was loaded")
    expected = Walk(4)
    torch.manual_seed(0)
    for _ in range(checkpoint.metadata.step):
        expected.advance()
    random_state = torch.get_rng_state()
    walk = Walk(num_bytes)
    manager.restore({"walk": walk}, checkpoint)
    if not torch.equal(walk.weights, expected.weights.expand_as(walk.weights)):
        wrong.append(f"step {walk.step} has other weights than an undisturbed run")
    if not torch.equal(walk.visited, expected.visited):
        wrong.append(f"step {walk.step} has another replay than an undisturbed run")
    if not torch.equal(torch.get_rng_state(), random_state):
        wrong.append(f"step {walk.step} has another random state than an undisturbed run")
    wrong += leaked(directory, len(listed))
    return wrong, checkpoint.metadata.step


def damaged(directory: Path) -> list[str]:
    """Return which files under a final name cannot be read."""
    wrong = []
    for path in directory.glob("*.pt"):
        try:
            read_checkpoint(path)
        except Exception as error:
            wrong.append(f"bad file under a final name: {error}")
    return wrong


def leaked(directory: Path, num_listed: int, max_to_keep: int = MAX_TO_KEEP) -> list[str]:
    """Return what stands in the directory and has no business there."""
    named = {"best.pt", "checkpoints.json", "segments", "superseded"}
    files = [path.name for path in directory.iterdir() if path.name not in named]
    checkpoints = [name for name in files if name.startswith("checkpoint_")]
    wrong = [f"leftover {name}" for name in files if name not in checkpoints]
    wrong += [f"leftover {path.name}" for path in directory.glob("s*/**/.*")]
    for path in directory.glob("superseded/*/*.pt"):
        if (directory / path.name).exists() and path.samefile(directory / path.name):
            wrong.append(f"{path.name} is superseded and still in use")
    if len(checkpoints) != num_listed or num_listed > max_to_keep + 1:
        wrong.append(f"{num_listed} checkpoints are listed, the directory holds {checkpoints}")
    return wrong


def random_kills(directory: Path, count: int, num_bytes: int, seed: int) -> list[str]:
    """Kill a save loop ``count`` times, resuming each time from what the kill before left."""
    moments = random.Random(seed)
    wrong: list[str] = []
    start = time.perf_counter()
    step = 3
    save_loop(directory, num_bytes, step, async_save=True)
    window = time.perf_counter() - start
    for number in range(count):
        reader, writer = os.pipe()
        ready = partial(os.write, writer, b"!")
        pid = fork(partial(save_loop, directory, num_bytes, 10_000, async_save=True, ready=ready))
        os.close(writer)  # or a child that fails would be waited for
        os.read(reader, 1)
        time.sleep(moments.uniform(0, window))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reader)
        found, reached = faults_after(directory, num_bytes)
        if reached < step:
            found.append(f"went back from step {step} to {reached}")
        step = reached
        wrong += [f"kill {number}: {line}" for line in found]
    print(f"{count} kills of a {num_bytes / 1e6:g} MB save loop, {step} steps saved")
    return wrong


def boundary_kills(directory: Path, num_bytes: int) -> list[str]:
    """End a process at its first file system call, at its second, and so on."""
    wrong: list[str] = []
    before = directory.with_name("before")
    save_loop(before, num_bytes, 4, async_save=False)
    for what, work, steps in (
        ("two saves", _save_again, {4, 5}),
        ("a rewind", _rewind, {2, 4}),
    ):
        number, status = 0, 1
        while status != 0:
            number += 1
            shutil.rmtree(directory)
            shutil.copytree(before, directory)
            pid = fork(partial(_die_at_call, number, partial(work, directory, num_bytes)))
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            found, step = faults_after(directory, num_bytes)
            if step not in steps:
                found.append(f"step {step} is the newest")
            wrong += [f"death at call {number} of {what}: {line}" for line in found]
        print(f"{number - 1} deaths, one at each file system call of {what}")
    return wrong


def _save_again(directory: Path, num_bytes: int) -> None:
    """Two more saves, the second in place of a checkpoint of the same step."""
    save_loop(directory, num_bytes, 1, async_save=False)
    walk = Walk(num_bytes)
    manager = CheckpointManager(directory, max_to_keep=MAX_TO_KEEP, async_save=False)
    manager.restore({"walk": walk}, manager.load())
    manager.save({"walk": walk}, CheckpointMetadata(0, walk.step, {"val/loss": -1.0}))
    manager.close()


def _rewind(directory: Path, num_bytes: int) -> None:
    """Leave the two newest checkpoints behind."""
    manager = CheckpointManager(directory, max_to_keep=MAX_TO_KEEP)
    manager.rewind(manager.load(directory / "checkpoint_epoch0_step2.pt"))


def _die_at_call(number: int, run: Callable[[], None]) -> None:
    """Run a function in a process that ends, without any clean-up, just before its n-th call."""
    calls = 0

    def counted(call: Callable) -> Callable:
        def counting(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls == number:
                os._exit(9)
            return call(*arguments, **options)

        return counting

    for name in FILE_CALLS:
        setattr(os, name, counted(getattr(os, name)))
    run()


def training_kills(scratch: Path, count: int, seed: int) -> list[str]:
    """Kill runs of behaviour cloning and PPO in turn, and compare them with undisturbed ones once they finish."""
    battles = scratch / "battles.parquet"
    _wait(fork(partial(_write_battles, battles)))
    wrong: list[str] = []
    moments = random.Random(seed)
    num_finished = 0
    for name, overrides in RUNS.items():
        plain = composing.to_plain(
            composing.compose("train", [o.format(battles) for o in overrides])
        )
        reference, run_dir = scratch / f"{name}-reference", scratch / name
        start = time.perf_counter()
        _wait(fork(partial(_train, plain, reference)))
        window = time.perf_counter() - start
        num_kills = 0
        while num_kills < count // len(RUNS) or run_dir.exists():
            pid = fork(partial(_train, plain, run_dir))
            if num_kills < count // len(RUNS):
                time.sleep(moments.uniform(0, window))
                os.kill(pid, signal.SIGKILL)
                num_kills += 1
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            found = faults_of_run(run_dir, plain)
            if status not in (0, -signal.SIGKILL):
                wrong += [f"{name}, kill {num_kills}: it could not go on", *found]
                break
            if _status(run_dir) == "finished":
                found += differences_of_runs(reference, run_dir)
                shutil.rmtree(run_dir)
                num_finished += 1
            wrong += [f"{name}, kill {num_kills}: {line}" for line in found]
    print(f"{num_kills * len(RUNS)} kills of {' and '.join(RUNS)}, {num_finished} runs finished")
    return wrong


RUNS = {
    "bc": (
        "data.path={}", "network=mlp", "network.hidden_sizes=[32]", "data.batch_size=64",
        "trainer.max_steps=1200", "trainer.eval_every=300", "checkpoint.save_every=50",
        "logger.tensorboard.enabled=false", "device=cpu",
    ),
    "ppo": (
        "algo=ppo", "eval.episodes=2", "trainer.max_steps=15000", "trainer.eval_every=4000",
        "checkpoint.save_every=600", "logger.backend_frequency=256",
        "logger.tensorboard.enabled=false", "device=cpu",
    ),
}  # fmt: skip


def _write_battles(path: Path) -> None:
    data = trajectories.read("sample:gen1randombattle")
    chosen = data.episode < 60
    columns = {f.name: getattr(data, f.name) for f in dataclasses.fields(data)}
    metadata = columns.pop("metadata")
    some = {name: column[chosen] for name, column in columns.items()}
    trajectories.write(path, trajectories.Trajectories(**some, metadata=metadata))


def _train(plain: dict, run_dir: Path) -> None:
    """Begin a run, or go on with what a kill left of it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    if (run_dir / "config.yaml").exists():
        outcome = runner.resume(plain, run_dir, None, overrides=[], command=[])
    else:
        run_dir.mkdir(exist_ok=True)
        outcome = runner.run(plain, run_dir, overrides=[], command=[])
    assert outcome.status == "finished", outcome


def _wait(pid: int) -> None:
    if os.waitpid(pid, 0)[1] != 0:
        raise RuntimeError("an undisturbed run failed")


def _status(run_dir: Path) -> str | None:
    path = run_dir / "run.json"
    return json.loads(path.read_text())["status"] if path.exists() else None


def faults_of_run(run_dir: Path, plain: dict) -> list[str]:
    """Return what is wrong in the checkpoints of a run once they were opened again."""
    directory = run_dir / "checkpoints"
    if not directory.exists():
        return []
    wrong = damaged(directory)
    options = {k: plain["checkpoint"][k] for k in ("max_to_keep", "monitor", "mode")}
    manager = CheckpointManager(directory, **options)
    if listed := manager.list_checkpoints():
        step = manager.load().metadata.step
        if step != listed[-1].step:
            wrong.append(f"step {listed[-1].step} is listed, {step} was loaded")
    return wrong + leaked(directory, len(listed), options["max_to_keep"])


def differences_of_runs(reference: Path, run_dir: Path) -> list[str]:
    """Return where the last checkpoints or the rows of metrics.csv differ."""
    last = []
    for directory in (reference, run_dir):
        manager = CheckpointManager(directory / "checkpoints", max_to_keep=None)
        checkpoint = manager.load()
        parts = {name: checkpoint.components[name] for name in ("algorithm", "source", "trainer")}
        last.append({**parts, "random_states": checkpoint.random_states})
    wrong = [f"differs from an undisturbed run at {d.where}" for d in differences(*last)]
    if _rows(reference) != _rows(run_dir):
        wrong.append("metrics.csv has other rows than that of an undisturbed run")
    return wrong


def _rows(run_dir: Path) -> list[dict[str, str]]:
    with open(run_dir / "metrics.csv", newline="") as file:
        rows = [
            {k: v for k, v in row.items() if v and k.split("/")[0] not in ("time", "system")}
            for row in csv.DictReader(file)
        ]
    return [row for row in rows if row.keys() - {"step"}]


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("kills", "training", "boundaries"))
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--megabytes", type=float, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)  # a child of a process with threads cannot start its own
    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "checkpoints"
        directory.mkdir()
        if options.what == "kills":
            num_bytes = int(options.megabytes * 1e6)
            wrong = random_kills(directory, options.count, num_bytes, options.seed)
        elif options.what == "training":
            wrong = training_kills(Path(scratch), options.count, options.seed)
        else:
            wrong = boundary_kills(directory, 40_000)
    print("\n".join(wrong) if wrong else "nothing lost, nothing damaged, nothing left over")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
