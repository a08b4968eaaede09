import json
import os
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..processes.commands import Command, Zygote

HERE = Path(__file__).parent
BATTLES = HERE.parent / "e2e" / "battles.parquet"
# A schedule that does not depend on the length, so that a run may be begun short and grown.
SMALL = (
    "data=file",
    f"data.path={BATTLES}",
    "network=mlp",
    "network.hidden_sizes=[8]",
    "data.batch_size=64",
    "algo.lr_schedule=constant",
    "logger.tensorboard.enabled=false",
    "device=cpu",
    "trainer.max_steps=120",
    "trainer.eval_every=40",
    "checkpoint.save_every=30",
    "logger.backend_frequency=10",
)
PPO = (
    "algo=ppo",
    "env.num_envs=2",
    "data.num_steps=32",
    "algo.minibatch_size=32",
    "algo.lr_schedule=constant",
    "eval.episodes=1",
    "logger.tensorboard.enabled=false",
    "device=cpu",
    "trainer.max_steps=640",
    "trainer.eval_every=320",
    "checkpoint.save_every=128",
    "logger.backend_frequency=64",
)


# Before a signal can come there are handlers, and there is a group of processes that it may be sent to.
PRELUDE = """
import os, resource
from poke.run.signals import guard_the_door
from poke.training.checkpointing import writer
guard_the_door(of_runs=True)
os.setpgid(0, 0)
writer.RETRY_SECONDS = writer.LAST_RETRY_SECONDS = (0.0,)
if {file_limit}:
    resource.setrlimit(resource.RLIMIT_FSIZE, ({file_limit}, {file_limit}))
"""


@dataclass
class Process:
    """A command under way."""

    command: Command
    output: Path

    @property
    def pid(self) -> int:
        return self.command.pid

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> tuple[int, str]:
        """Return the exit status and what was printed."""
        return self.command.wait(), self.output.read_text(errors="replace")


class Poke:
    """Runs `python -m poke.train`."""

    def __init__(self, cwd: Path, zygote: Zygote) -> None:
        self.cwd = cwd
        cwd.mkdir(exist_ok=True)
        self._said = cwd.with_name(f"{cwd.name}-said")
        self._said.mkdir()
        self._zygote = zygote
        self._count = 0

    def start(self, *arguments, cwd=None, file_limit=0, stdout=None) -> Process:
        self._count += 1
        output = self._said / f"{self._count}.txt"
        with open(output, "w") as file, open(stdout or os.devnull, "w") as other:
            command = self._zygote.start(
                *("-m", "poke.train", *arguments),
                cwd=cwd or self.cwd,
                env={**os.environ, "PYTHONWARNINGS": "default"},
                output=file,
                stdout=other if stdout else None,
                prelude=PRELUDE.format(file_limit=file_limit),
            )
        return Process(command, output)

    def __call__(self, *arguments, expect=0, **options) -> str:
        """Run a command to its end and return what it printed; it must exit with `expect`."""
        status, said = self.start(*arguments, **options).wait()
        assert status == expect, f"{arguments} ended with {status}\n{said}"
        assert "Traceback" not in said, said
        return said

    def refuse(self, run_dir, *arguments, **options) -> str:
        """Run a command that must be refused in one line with exit status 2, leaving a directory as it was."""
        before = snapshot(run_dir)
        said = self(*arguments, expect=2, **options)
        assert snapshot(run_dir) == before
        (line,) = said.splitlines()
        assert line.startswith("poke: ")
        return line


@pytest.fixture
def poke(tmp_path, zygote):
    return Poke(tmp_path, zygote)


@pytest.fixture(scope="session")
def copied(tmp_path_factory, zygote):
    """Put a finished run of these arguments into a folder, as `run`; the first who asks for it has it trained."""
    kept = {}

    def put(folder, *arguments):
        if arguments not in kept:
            there = Poke(tmp_path_factory.mktemp("kept") / "here", zygote)
            there(*arguments, "hydra.run.dir=run")
            kept[arguments] = there.cwd / "run"
        return Path(shutil.copytree(kept[arguments], folder / "run"))

    return put


def snapshot(folder) -> dict[str, bytes]:
    """Every file's contents by name; the lock is no content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def account(run_dir) -> dict:
    return json.loads((Path(run_dir) / "run.json").read_text())


def checkpoints(run_dir) -> dict[int, Path]:
    """The run's checkpoint files by step."""
    files = Path(run_dir).glob("checkpoints/checkpoint_*.pt")
    return dict(sorted((int(path.stem.rpartition("step")[2]), path) for path in files))


def wait_for(condition, process: Process, seconds: float = 60.0) -> None:
    """Return once something has happened that only a running process can bring about."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            os.kill(process.pid, signal.SIGKILL)
            raise AssertionError(f"it never happened:\n{process.wait()[1]}")
        time.sleep(0.002)
