"""Life stories of runs: begun, killed, stopped, copied, moved, damaged, changed, forked at random, and compared.

A story is drawn from a seed. Every chapter is one process that works on the run by the command line's own `main`, or
something that happens to its files in between. Whatever happened, in the end the run is as one that was never
disturbed, bit for bit, or a chapter ended in the status that is promised for it and left the files as they were.
"""

from __future__ import annotations

import csv
import json
import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from poke.data import trajectories
from poke.run.afterwards.replay import differences
from poke.training.checkpointing import CheckpointManager

SIGNALS = {"SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM, "SIGHUP": signal.SIGHUP}
BATTLES = Path("data", "battles.parquet")
MAX_CHAPTERS = 6
QUIET = ("logger.tensorboard.enabled=false", "logger.cli_frequency=200", "device=cpu")
# A schedule that does not depend on the length, so that a run may be begun short and grown.
RUNS: dict[str, tuple[str, ...]] = {
    "bc": (
        "algo=bc", "data=file", f"data.path={BATTLES}", "network=mlp", "network.hidden_sizes=[16]",
        "data.batch_size=64", "algo.lr_schedule=constant", "trainer.max_steps=300",
        "trainer.eval_every=75", "checkpoint.save_every=20", "logger.backend_frequency=25", *QUIET,
    ),
    "ppo": (
        "algo=ppo", "env.num_envs=2", "data.num_steps=64", "algo.lr_schedule=constant", "eval.episodes=2",
        "trainer.max_steps=3200", "trainer.eval_every=800", "checkpoint.save_every=200",
        "logger.backend_frequency=256", *QUIET,
    ),
}  # fmt: skip
HALF = {"bc": "trainer.max_steps=150", "ppo": "trainer.max_steps=1600"}
# Values that change no result, however often they change on the way.
HARMLESS = (
    "checkpoint.save_every=35", "checkpoint.max_to_keep=2", "logger.cli_frequency=0",
    "checkpoint.keep_every=150", "checkpoint.async_save=false",
)  # fmt: skip


class Stage:
    """A folder with data and undisturbed runs, on which stories are played.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "data").mkdir(parents=True)
        _in_child(partial(_write_battles, folder / BATTLES, 0, 40))
        _in_child(partial(_write_battles, folder / "data" / "grown.parquet", 0, 44))
        self.seconds: dict[str, float] = {}
        self.references: dict[str, Path] = {}
        for kind, overrides in RUNS.items():
            self.references[kind] = folder / f"reference-{kind}"
            began = time.perf_counter()
            place = f"hydra.run.dir={self.references[kind]}"
            status = self.process([*overrides, place])()
            self.seconds[kind] = time.perf_counter() - began
            if status != 0:
                raise RuntimeError(
                    f"the undisturbed run of {kind} ended with {status}: {self.said()}"
                )

    def said(self) -> str:
        """Return what the last process printed."""
        return (self.folder / "said.txt").read_text(errors="replace")

    def process(
        self, arguments: Sequence[str], *, cwd: Path | None = None, limit: int = 0
    ) -> Child:
        """Start a process that runs the command line."""
        return Child(partial(self._command, list(arguments), cwd or self.folder, limit))

    def _command(self, arguments: list[str], cwd: Path, limit: int) -> int:
        from poke.run.signals import guard_the_door
        from poke.train import main
        from poke.training.checkpointing import writer

        guard_the_door(of_runs=True)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        writer.RETRY_SECONDS = writer.LAST_RETRY_SECONDS = (0.0,)
        output = os.open(self.folder / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(cwd)
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        return main(arguments)


class Child:
    """A forked process; call it to wait for its exit status, negative after an unhandled signal."""

    def __init__(self, run: Callable[[], int]) -> None:
        # A signal must find the child's own handlers, however soon it comes.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [*SIGNALS.values(), signal.SIGUSR1])
        self.pid = os.fork()
        if self.pid != 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        else:
            status = 99
            try:
                status = run()
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                os._exit(status)

    def __call__(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class Story:
    """One run's life.

    Args:
        stage: where it is played.
        seed: everything that is drawn comes from it.
    """

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage = stage
        self.random = random.Random(seed)
        self.kind = self.random.choice(sorted(RUNS))
        self.folder = stage.folder / f"story-{seed}"
        self.folder.mkdir()
        self.run = self.folder / "run"
        self.told: list[str] = [self.kind]
        self.wrong: list[str] = []
        self.fork_step = 0
        self.grown = self.random.random() < 0.7

    def tell(self) -> list[str]:
        """Play the story to its end and return what is wrong, nothing if all is well."""
        self._begin()
        for _ in range(self.random.randrange(1, MAX_CHAPTERS)):
            if self.wrong:
                break
            chapter = self.random.choice(self._possible())
            chapter()
        if not self.wrong:
            self._finish()
        if not self.wrong:
            self._compare()
            shutil.rmtree(self.folder)
        return [f"{line} [{', '.join(self.told)}]" for line in self.wrong]

    def _possible(self) -> list[Callable[[], None]]:
        chapters = [
            self._kill, self._kill, self._signal, self._signal, self._harmless_change, self._copy, self._move,
            self._refused, self._save_now, self._out_of_time, self._full_disk, self._fork,
        ]  # fmt: skip
        if self.kind == "bc":
            chapters += [self._changed_data, self._elsewhere]
        if len(self._checkpoints()) > 1:
            chapters.append(self._damage)
        return chapters

    # What processes do.

    def _begin(self) -> None:
        arguments = [*RUNS[self.kind], f"hydra.run.dir={self.run}"]
        arguments += [HALF[self.kind]] if not self.grown else []
        how = self.random.choice(["killed", "signalled", "left alone"])
        self.told.append(f"begun and {how}")
        child = self.stage.process(arguments)
        if how == "left alone":
            self._expect(child(), {0})
            return
        self._pause()
        number = signal.SIGKILL if how == "killed" else signal.SIGTERM
        os.kill(child.pid, number)
        self._expect(child(), {-9, 0} if how == "killed" else {143, 0})
        if not (self.run / "config.yaml").exists() or not (self.run / "run.json").exists():
            self.told.append("which was before it began")
            shutil.rmtree(self.run, ignore_errors=True)
            self._expect(self.stage.process(arguments)(), {0})

    def _kill(self) -> None:
        self.told.append("killed")
        child = self.stage.process(self._resumed())
        self._pause()
        os.kill(child.pid, signal.SIGKILL)
        self._expect(child(), {-9, 0})

    def _signal(self) -> None:
        name = self.random.choice(sorted(SIGNALS))
        self.told.append(name)
        child = self.stage.process(self._resumed())
        self._pause()
        os.kill(child.pid, SIGNALS[name])
        status = child()
        self._expect(status, {128 + SIGNALS[name], 0})
        # One that came before the process took the run over leaves the run as it was.
        allowed = {"finished", "interrupted"} if status == 0 else {"interrupted", *self._statuses}
        self._expect_status(allowed)

    def _save_now(self) -> None:
        self.told.append("SIGUSR1")
        child = self.stage.process(self._resumed())
        self._pause()
        os.kill(child.pid, signal.SIGUSR1)
        self._expect(child(), {0})

    def _harmless_change(self) -> None:
        change = self.random.choice(HARMLESS)
        self.told.append(change)
        self._expect(self.stage.process([*self._resumed(), change])(), {0})

    def _out_of_time(self) -> None:
        self.told.append("out of time")
        limit = f"trainer.max_seconds={self.random.uniform(0.05, self.stage.seconds[self.kind])}"
        self._expect(self.stage.process([*self._resumed(), limit])(), {0})
        self._expect_status({"finished", "interrupted"})
        self._expect(self.stage.process([*self._resumed(), "trainer.max_seconds=0"])(), {0})

    def _full_disk(self) -> None:
        self.told.append("full disk")
        before, found = self._weights_of_newest(), self._temporary()
        child = self.stage.process(
            self._resumed(), limit=self.random.choice([10_000, 60_000, 200_000])
        )
        status = child()
        self._expect(status, {0, 1, 2})
        if status == 1:
            self._expect_status({"failed"})
        if left := self._temporary() - found:  # what a kill left is the next good start's to sweep
            self.wrong.append(f"a full disk left {left}")
        if before and not self._weights_of_newest():
            self.wrong.append("a full disk cost the last good checkpoint")

    def _refused(self) -> None:
        mistake = self.random.choice(
            [
                "algo.lrr=1",
                "algo.lr=abc",
                "seed=5",
                "algo=bc",
                "network=battle",
                "+algo=1",
                "trainer=2",
            ]
        )
        if mistake == "algo=bc" and self.kind == "bc":
            return
        self._refuse([*self._resumed(), mistake], mistake)
        self._refuse([*RUNS[self.kind], f"hydra.run.dir={self.run}"], "begun again")

    def _changed_data(self) -> None:
        path = self.stage.folder / BATTLES
        kept = path.with_suffix(".kept")
        os.rename(path, kept)
        shutil.copyfile(path.with_name("grown.parquet"), path)
        try:
            if self._knows_its_data():
                self._refuse(self._resumed(), "changed data")
        finally:
            os.replace(kept, path)

    def _elsewhere(self) -> None:
        self.told.append("from another folder")
        self._expect(self.stage.process(self._resumed(), cwd=self.folder)(), {0})

    def _fork(self) -> None:
        if not self._checkpoints():
            return
        self.told.append("forked")
        before = snapshot(self.run)
        new = self.folder / f"fork-{len(self.told)}"
        arguments = [f"fork={self.run}", f"hydra.run.dir={new}", *self._full_length()]
        child = self.stage.process(arguments)
        status = child()
        self._expect(status, {0})
        if snapshot(self.run) != before:
            self.wrong.append("a fork changed its parent")
        if status == 0:
            parent = json.loads((new / "run.json").read_text())["parent"]
            self.fork_step = parent["step"]
            self.run = new

    # What happens to the files.

    def _copy(self) -> None:
        self.told.append("copied")
        new = self.folder / f"copy-{len(self.told)}"
        shutil.copytree(self.run, new)
        for path in new.rglob("*"):  # cp -r makes all files as old as each other, in some order
            os.utime(path, (self.random.uniform(1e9, 2e9),) * 2)
        self.run = new

    def _move(self) -> None:
        self.told.append("moved")
        new = self.folder / f"moved-{len(self.told)}"
        os.rename(self.run, new)
        self.run = new

    def _damage(self) -> None:
        self.told.append("newest damaged")
        newest = max(self._checkpoints(), key=_step)
        content = bytearray(newest.read_bytes())
        content[self.random.randrange(len(content))] ^= 1 << self.random.randrange(8)
        newest.unlink()  # best.pt may be the same file
        newest.write_bytes(content)

    # How it ends.

    def _finish(self) -> None:
        self.told.append("finished")
        for _ in range(2):  # the second one has nothing to do, and must leave all as it is
            self._expect(self.stage.process([*self._resumed(), *self._full_length()])(), {0})
            account = json.loads((self.run / "run.json").read_text())
            self._expect_status({"finished"})
            if not account["final"] or not account["best"]:
                self.wrong.append(f"final is {account['final']}, best is {account['best']}")
        if any(s["exit_reason"] is None for s in account["sessions"][-2:]):
            self.wrong.append("the last sessions do not say how they ended")

    def _compare(self) -> None:
        reference = self.stage.references[self.kind]
        last = []
        for directory in (reference, self.run):
            manager = CheckpointManager(directory / "checkpoints", max_to_keep=None, open_now=False)
            checkpoint = manager.load()
            parts = {
                name: checkpoint.components[name] for name in ("algorithm", "source", "trainer")
            }
            last.append({**parts, "random_states": checkpoint.random_states})
        self.wrong += [f"differs from an undisturbed run at {d.where}" for d in differences(*last)]
        ours, theirs = rows(self.run), rows(reference)
        if self.fork_step:  # a window that was open then is written by both
            both = [[r for r in some if int(r["step"]) > self.fork_step] for some in (ours, theirs)]
            same = both[0] == both[1] and all(row in theirs for row in ours)
        else:
            same = ours == theirs
        if not same:
            self.wrong.append("metrics.csv has other rows than that of an undisturbed run")
        if left := self._temporary():
            self.wrong.append(f"left over: {left}")

    # Helpers.

    def _resumed(self) -> list[str]:
        self._statuses = {json.loads((self.run / "run.json").read_text())["status"]}
        return [f"resume={self.run}"]

    def _full_length(self) -> list[str]:
        return [
            override for override in RUNS[self.kind] if override.startswith("trainer.max_steps=")
        ]

    def _pause(self) -> None:
        time.sleep(self.random.uniform(0, self.stage.seconds[self.kind]))

    def _expect(self, status: int, allowed: set[int]) -> None:
        if status not in allowed:
            said = " / ".join(self.stage.said().splitlines()[-3:])
            self.wrong.append(f"ended with {status}, not {sorted(allowed)}: {said}")

    def _expect_status(self, allowed: set[str]) -> None:
        status = json.loads((self.run / "run.json").read_text())["status"]
        if status not in allowed:
            self.wrong.append(f"its status is {status}, not one of {sorted(allowed)}")

    def _refuse(self, arguments: list[str], what: str) -> None:
        self.told.append(f"refused: {what}")
        before = snapshot(self.run)
        self._expect(self.stage.process(arguments)(), {2})
        lines = self.stage.said().splitlines()
        if not lines or not lines[-1].startswith("poke: ") or "Traceback" in self.stage.said():
            self.wrong.append(f"{what} was not answered in one line: {lines}")
        if snapshot(self.run) != before:
            self.wrong.append(f"{what} changed the directory")

    def _checkpoints(self) -> list[Path]:
        return list(self.run.glob("checkpoints/checkpoint_*.pt"))

    def _knows_its_data(self) -> bool:
        return bool(self._checkpoints())

    def _weights_of_newest(self) -> bool:
        if not self._checkpoints():
            return False
        return CheckpointManager(self.run / "checkpoints", open_now=False).load() is not None

    def _temporary(self) -> set[str]:
        return {path.name for path in self.run.rglob("*.tmp")}


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return every file's contents by name; the lock is no content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def rows(run_dir: Path) -> list[dict[str, str]]:
    """Return the rows of metrics.csv without what depends on the clock or the machine."""
    with open(run_dir / "metrics.csv", newline="", encoding="utf-8") as file:
        kept = [
            {k: v for k, v in row.items() if v and k.split("/")[0] not in ("time", "system")}
            for row in csv.DictReader(file)
        ]
    return [row for row in kept if row.keys() - {"step"}]


def tell_stories(folder: Path, seeds: Sequence[int]) -> list[str]:
    """Play a story for every seed and return what is wrong."""
    stage = Stage(folder)
    wrong: list[str] = []
    for seed in seeds:
        wrong += [f"story {seed}: {line}" for line in Story(stage, seed).tell()]
    return wrong


def _step(path: Path) -> int:
    return int(path.stem.rpartition("step")[2])


def _in_child(run: Callable[[], object]) -> None:
    if Child(lambda: int(run() is not None))() != 0:
        raise RuntimeError("the stage could not be set")


def _write_battles(path: Path, first: int, end: int) -> None:
    data = trajectories.read("sample:gen1randombattle")
    chosen = (data.episode >= first) & (data.episode < end)
    trajectories.write(path, data.select(chosen))
