import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ..processes.commands import Command, Zygote

# The first 90 battles of the shipped sample, and a network that trains on them in about a second.
SMALL = (
    f"data.path={Path(__file__).with_name('battles.parquet')}",
    "network=mlp",
    "network.hidden_sizes=[8]",
    "data.batch_size=64",
    "eval.batch_size=8192",
    "logger.tensorboard.enabled=false",
)


class CommandLine:
    """Runs poke's commands as a user would, in processes of their own, from a folder of the test's own.

    Args:
        cwd: the folder.
        zygote: what they are forked from, None: each is started anew.
        prelude: source that each that is forked runs first.
    """

    def __init__(self, cwd: Path, zygote: Zygote | None = None, prelude: str = "") -> None:
        self.cwd = cwd
        self.env = {**os.environ, "PYTHONWARNINGS": "default", "WANDB_SILENT": "true"}
        self.zygote = zygote
        self.prelude = prelude

    def start(self, *arguments: str) -> Command | subprocess.Popen:
        if self.zygote is not None:
            return self.zygote.start(
                "-m", *arguments, cwd=self.cwd, env=self.env, prelude=self.prelude
            )
        return subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=self.cwd,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, expect: int | None = 0) -> str:
        """Run a command and return what it printed; it must exit with `expect`, or with any error for None."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        right = process.returncode != 0 if expect is None else process.returncode == expect
        assert right, f"{arguments} exited with {process.returncode}\n{out}\n{err}"
        return out + err

    def train(self, *overrides: str, run_dir: str | None = None, expect: int | None = 0) -> str:
        place = (f"hydra.run.dir={run_dir}",) if run_dir else ()
        return self("poke.train", *SMALL, *overrides, *place, expect=expect)

    def runs(self) -> list[Path]:
        return sorted(p.parent for p in self.cwd.glob("outputs/*/*/run.json"))


@pytest.fixture
def poke(tmp_path, zygote) -> CommandLine:
    return CommandLine(tmp_path, zygote)


@pytest.fixture
def anew(tmp_path) -> CommandLine:
    """As `poke`, for what a fork cannot show: each command is a new interpreter."""
    return CommandLine(tmp_path)


@pytest.fixture(scope="session")
def session_poke(tmp_path_factory, zygote) -> CommandLine:
    return CommandLine(tmp_path_factory.mktemp("runs"), zygote)


def assert_gone(pids, within_seconds: float = 30.0) -> None:
    """No process of these is left within that time; what only waits to be reaped is gone."""
    processes = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            processes.append(psutil.Process(pid))
    _, left = psutil.wait_procs(processes, timeout=within_seconds)
    alive = []
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process)
    assert not alive


def account(run_dir: Path) -> dict:
    return json.loads((run_dir / "run.json").read_text())


def rows(run_dir: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv without what depends on the clock or the machine."""
    kept = []
    with open(run_dir / "metrics.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            values = {
                name: value
                for name, value in row.items()
                if value and name.split("/")[0] not in ("time", "system")
            }
            if values.keys() - {"step"}:
                kept.append(values)
    return kept


def kill_at_step(
    process: Command | subprocess.Popen, run_dir: Path, step: int, number: int = signal.SIGKILL
) -> None:
    """Send a signal once metrics.csv shows a step."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(
                f"ended by itself:\n{process.stdout.read()}\n{process.stderr.read()}"
            )
        path = run_dir / "metrics.csv"
        if path.exists():
            steps = [
                int(line.split(",")[0])
                for line in path.read_text().splitlines()[1:-1]
                if line[:1].isdigit()
            ]
            if steps and max(steps) >= step:
                process.send_signal(number)
                process.communicate(timeout=120)
                return
        time.sleep(0.005)
    raise AssertionError(f"step {step} never came")


@pytest.fixture
def installed(installed):
    """Skip also where poke-env is missing, by which servers are spoken to."""
    pytest.importorskip("poke_env", reason="needs poke-env: pip install 'poke[showdown]'")
