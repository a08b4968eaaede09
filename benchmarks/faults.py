"""Kill processes that save and train, again and again, and look at what they leave.

    python benchmarks/faults.py kills --count 200 --megabytes 200
    python benchmarks/faults.py boundaries
    python benchmarks/faults.py stories --count 300

``kills`` sends SIGKILL at random moments of a save loop; ``boundaries`` ends a process at every single call to the file
system that saves, a rewind, a return to a superseded file and a deletion make. After each death the next start must
find a newest checkpoint that loads, no damaged file under a final name, no leftover bytes, exactly what an undisturbed
process has at that step, and, whole, the files that somebody put into the directory.
``stories`` plays lives of real runs, drawn at random (see stories.py), which must end as undisturbed ones do. The exit
status is 0 if all of that held.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path

import torch
from stories import tell_stories

from poke.training.checkpointing import CheckpointManager, CheckpointMetadata
from poke.training.checkpointing.contents import read_checkpoint, segments_needed_by
from poke.training.checkpointing.directory import CheckpointDirectory
from poke.training.checkpointing.files import read_seal
from poke.training.checkpointing.retention import Monitor, Retention

MAX_TO_KEEP = 3
FILE_CALLS = (
    "open", "write", "pwrite", "fsync", "replace", "rename", "link", "unlink", "close", "mkdir",
    "rmdir",
)  # fmt: skip


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
    max_to_keep: int | None = MAX_TO_KEEP,
) -> None:
    """Resume where there is something to resume from, call ``ready``, then step and save."""
    walk = Walk(num_bytes)
    manager = CheckpointManager(directory, max_to_keep=max_to_keep, async_save=async_save)
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


def begin(directory: Path, num_bytes: int) -> dict[str, str | None]:
    """Save four steps and put foreign files beside them; return the digest of each by its name.

    They are steps 5 and 6, superseded by a rewind and copied back, and a file of another kind.
    """
    save_loop(directory, num_bytes, 6, async_save=False, max_to_keep=None)
    with CheckpointManager(directory, max_to_keep=MAX_TO_KEEP) as manager:
        manager.rewind(manager.load(directory / "checkpoint_epoch0_step4.pt"))
    _delete(directory, Retention(MAX_TO_KEEP, keep_best=True, keep_every=None))
    foreign = directory.with_name("foreign")
    shutil.copytree(directory / "superseded" / "1", foreign)
    torch.save({"weights": torch.ones(3)}, foreign / "mine.pt")
    shutil.copytree(foreign, directory, dirs_exist_ok=True)
    digests = {path.name: read_seal(path) for path in foreign.glob("*.pt")}
    shutil.rmtree(foreign)
    return digests


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


def faults_after(
    directory: Path, num_bytes: int, foreign: Mapping[str, str | None]
) -> tuple[list[str], int]:
    """Start anew on what a death left; return what is wrong and the step resumed from.

    Args:
        directory: the checkpoints.
        num_bytes: size of a walk.
        foreign: digests, by name, of the files that are not the manager's.
    """
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
    names = {metadata.file_name for metadata in listed}
    wrong += leaked(directory, names, foreign=foreign) + lost(directory, foreign)
    return wrong, checkpoint.metadata.step


def damaged(directory: Path) -> list[str]:
    """Return which files under a final name cannot be read."""
    wrong = []
    for path in {*directory.glob("*.pt")} - {directory / "mine.pt"}:
        try:
            read_checkpoint(path)
        except Exception as error:
            wrong.append(f"bad file under a final name: {error}")
    return wrong


def leaked(
    directory: Path,
    listed: Collection[str],
    max_to_keep: int = MAX_TO_KEEP,
    foreign: Iterable[str] = (),
) -> list[str]:
    """Return what stands in the directory and has no business there."""
    named = {"best.pt", "checkpoints.json", "segments", "superseded"}
    others = {path.name for path in directory.iterdir()} - named - {*listed} - {*foreign}
    wrong = [f"leftover {name}" for name in sorted(others)]
    wrong += [f"leftover {path.name}" for path in directory.glob("s*/**/.*")]
    for path in directory.glob("superseded/*/*.pt"):
        if (directory / path.name).exists() and path.samefile(directory / path.name):
            wrong.append(f"{path.name} is superseded and still in use")
    for folder in directory.glob("superseded/*"):
        if not any(folder.glob("*.pt")):
            wrong.append(f"leftover {folder.parent.name}/{folder.name}")
    needed = {name for path in directory.glob("*.pt") for name in segments_needed_by(path)}
    rows = {path.name for path in directory.glob("segments/*")}
    wrong += [f"leftover {name}" for name in sorted(rows - needed)]
    if len(listed) > max_to_keep + 1:
        wrong.append(f"{len(listed)} checkpoints are listed")
    return wrong


def lost(directory: Path, foreign: Mapping[str, str | None]) -> list[str]:
    """Return which foreign files are gone, from the directory and from where they make way to."""
    original = directory / "superseded" / "1"
    wrong = []
    for name, digest in foreign.items():
        places = [directory / name, *directory.glob(f"superseded/*/{name}")]
        found = [path for path in places if path.parent != original and path.is_file()]
        if digest is not None:
            found = [path for path in found if read_seal(path) == digest]
            for path in found:
                read_checkpoint(path)
        if not found:
            wrong.append(f"{name}, which is not the manager's, is gone")
    return wrong


def random_kills(directory: Path, count: int, num_bytes: int, seed: int) -> list[str]:
    """Kill a save loop ``count`` times, resuming each time from what the kill before left."""
    moments = random.Random(seed)
    wrong: list[str] = []
    foreign = begin(directory, num_bytes)
    start = time.perf_counter()
    save_loop(directory, num_bytes, 3, async_save=True)
    window = time.perf_counter() - start
    step = 7
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
        found, reached = faults_after(directory, num_bytes, foreign)
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
    foreign = begin(before, num_bytes)
    for what, work, steps in (
        ("two saves", _save_again, {4, 5}),
        ("a rewind", _rewind, {2, 4}),
        ("a return to a superseded file", _return, {4, 6}),
        ("a deletion", _prune, {4}),
    ):
        number, status = 0, 1
        while status != 0:
            number += 1
            shutil.rmtree(directory)
            shutil.copytree(before, directory)
            pid = fork(partial(_die_at_call, number, partial(work, directory, num_bytes)))
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            found, step = faults_after(directory, num_bytes, foreign)
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


def _return(directory: Path, num_bytes: int) -> None:
    """Go on from a file that was copied back from superseded/."""
    manager = CheckpointManager(directory, max_to_keep=MAX_TO_KEEP)
    manager.rewind(manager.load(directory / "checkpoint_epoch0_step6.pt"))


def _prune(directory: Path, num_bytes: int) -> None:
    """Delete all but the newest, the best and what passed a multiple of three steps."""
    _delete(directory, Retention(1, keep_best=True, keep_every=3))


def _delete(directory: Path, retention: Retention) -> None:
    CheckpointDirectory(directory, Monitor("val/loss", "min"), retention).prune()


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


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("kills", "boundaries", "stories"))
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
        elif options.what == "stories":
            seeds = range(options.seed, options.seed + options.count)
            wrong = tell_stories(Path(scratch, "stories"), seeds)
        else:
            wrong = boundary_kills(directory, 40_000)
    print("\n".join(wrong) if wrong else "nothing lost, nothing damaged, nothing left over")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
