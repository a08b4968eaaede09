"""A rank that raises, is killed, hangs or is asked to stop: the run ends in time and says whose doing it was."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from ..e2e.conftest import CommandLine, account, assert_gone
from ..lifecycle.comparing import rows
from ..selecting import few

BATTLES = Path(__file__).parent.parent / "e2e" / "battles.parquet"
SETTINGS = (
    *("algo=bc", "data=file", f"data.path={BATTLES}", "network=mlp64", "data.batch_size=48"),
    *("device=cpu", "logger.tensorboard.enabled=false", "~eval", "checkpoint.monitor=train/loss"),
    *("trainer.eval_every=0", "logger.backend_frequency=1"),
)
# Long enough that nobody hangs who only waits for a busy machine.
IMPATIENT = "trainer.rank_timeout=20"
ENDLESS = 1_000_000
SECONDS = 240  # more than any of this takes anywhere


@pytest.fixture
def poke(tmp_path, zygote) -> CommandLine:
    return CommandLine(tmp_path, zygote)


def begin(poke, ranks, *more):
    """Start a run of so many ranks, and return its process and those of all ranks once it trains."""
    poke.env.pop("PYTHONWARNINGS", None)
    poke.prelude = ""  # what is killed must be a rank, not what stands for one that was forked
    process = poke.start(
        *("poke.train", *SETTINGS, f"trainer.devices={ranks}", "hydra.run.dir=run"),
        *(f"trainer.max_steps={ENDLESS}", *more),
    )
    metrics = poke.cwd / "run" / "metrics.csv"
    until = time.monotonic() + SECONDS
    while not metrics.exists() or len(metrics.read_text().splitlines()) < 3:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
    first = psutil.Process(account(poke.cwd / "run")["sessions"][-1]["pid"])
    processes = {0: first}
    for child in first.children():
        if "poke.run.following" in child.cmdline():
            processes[int(child.environ()["RANK"])] = child
    assert sorted(processes) == list(range(ranks))
    return process, processes


def end(process, processes):
    out, err = process.communicate(timeout=SECONDS)
    assert_gone([one.pid for one in processes.values()])
    return out + err


@pytest.mark.parametrize("rank", few([1, 2], 1))
def test_a_rank_that_is_killed_ends_the_run(poke, rank):
    process, processes = begin(poke, rank + 1)
    processes[rank].kill()
    said = end(process, processes)
    told = account(poke.cwd / "run")
    assert process.returncode == 1
    assert f"rank {rank}: its process was killed by SIGKILL" in said
    assert (told["status"], told["rank"], told["cause"]) == ("failed", rank, "outside")


@pytest.mark.slow
def test_a_rank_that_hangs_ends_the_run(poke):
    process, processes = begin(poke, 3, IMPATIENT)
    processes[1].suspend()
    said = end(process, processes)
    told = account(poke.cwd / "run")
    assert "rank 1: hangs: nothing was heard of it for 20 s (trainer.rank_timeout)" in said
    assert (process.returncode, told["status"], told["rank"]) == (1, "failed", 1)


@pytest.mark.slow
def test_a_first_rank_that_hangs_is_ended_by_another(poke):
    process, processes = begin(poke, 3, IMPATIENT)
    processes[0].suspend()
    end(process, processes)
    told = account(poke.cwd / "run")
    assert (process.returncode, told["status"], told["rank"]) == (-signal.SIGKILL, "failed", 0)
    assert "rank 0: hangs" in (poke.cwd / "run" / "train.log").read_text()


def test_no_rank_outlives_a_first_one_that_is_killed(poke):
    process, processes = begin(poke, 3)
    processes[0].kill()
    end(process, processes)
    assert account(poke.cwd / "run")["status"] == "running"  # as of every run that was killed


@pytest.mark.parametrize("rank", few([0, 1], 1))
def test_a_rank_that_is_asked_to_stop_saves_and_stops_all(poke, rank):
    process, processes = begin(poke, 2)
    processes[rank].terminate()
    said = end(process, processes)
    told = account(poke.cwd / "run")
    assert told["status"] == "interrupted"
    assert process.returncode == (143 if rank == 0 else 0)
    assert "go on with: python -m poke.train resume=run" in said
    steps = told["step"] + 3
    poke("poke.train", "resume=run", f"trainer.max_steps={steps}")
    poke(
        *("poke.train", *SETTINGS, "trainer.devices=2", "hydra.run.dir=whole"),
        f"trainer.max_steps={steps}",
    )
    assert rows(poke.cwd / "run") == rows(poke.cwd / "whole")


@pytest.mark.slow
def test_a_signal_to_all_of_them_saves_first(poke):
    process, processes = begin(poke, 2)
    for one in processes.values():
        os.kill(one.pid, signal.SIGTERM)
    end(process, processes)
    assert account(poke.cwd / "run")["status"] == "interrupted"


def found_in(folder):
    """Where modules are looked for, and in this folder."""
    return os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)


OWN = """
import math
import os
import time

import torch

from poke.algorithms.bc import BehaviourCloning

class Spoiled(BehaviourCloning):
    def update(self, batch):
        if self.num_updates == 5 and self._ranks.rank == 1:
            what = os.environ["SPOIL"]
            if what == "raise":
                raise OSError("the disk of rank 1")
            if what == "hang":
                time.sleep(10_000)
            with torch.no_grad():
                next(iter(self.network.parameters())).fill_(math.nan)
        return super().update(batch)
"""


@pytest.mark.parametrize(
    ("what", "told", "rank", "cause"),
    [
        ("raise", "rank 1: OSError: the disk of rank 1", 1, "outside"),
        pytest.param("hang", "rank 1: hangs", 1, "outside", marks=pytest.mark.slow),
        pytest.param("nan", "is nan", 0, "own", marks=pytest.mark.slow),
    ],
)
def test_what_goes_wrong_on_one_rank_is_told_by_the_run(poke, what, told, rank, cause):
    (poke.cwd / "own.py").write_text(OWN)
    poke.env |= {"PYTHONPATH": found_in(poke.cwd), "SPOIL": what}
    said = poke(
        *("poke.train", *SETTINGS, "trainer.devices=2", "hydra.run.dir=run"),
        *("algo._target_=own.Spoiled", "trainer.max_steps=20", "checkpoint.save_every=2"),
        *([IMPATIENT] if what == "hang" else []),
        expect=1,
    )
    assert told in said
    assert "Traceback" not in said
    account_ = account(poke.cwd / "run")
    assert (account_["status"], account_["rank"], account_["cause"]) == ("failed", rank, cause)
    log = (poke.cwd / "run" / "train.log").read_text()
    if what == "raise":
        assert 'raise OSError("the disk of rank 1")' in log, "the rank's own traceback"
    if what == "hang":
        assert "own.py" in log, "where it hangs"
    # Nothing of the failing update has reached the weights: from the last checkpoint it goes on.
    assert rows(poke.cwd / "run")[-1]["step"] == "5"
