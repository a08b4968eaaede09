"""Data has an identity: a resume, a replay and a sweep notice when it is another one."""

import json
import shutil
import subprocess
import sys

import pytest

from poke.data import trajectories

from .conftest import BATTLES, SMALL, account, checkpoints

GROWN = 100  # episodes, of which the first 90 are those of the test data


@pytest.fixture
def run(poke):
    """A run on data of its own, which may change."""
    shutil.copyfile(BATTLES, poke.cwd / "b.parquet")
    poke(*SMALL, "data.path=b.parquet", "trainer.max_steps=60", "hydra.run.dir=run")
    return poke.cwd / "run"


def grow(path) -> None:
    """Append episodes to a recording."""
    data = trajectories.read("sample:gen1randombattle")
    trajectories.write(path, data.select(data.episode < GROWN))


def test_what_was_trained_on_is_in_the_account_and_in_every_checkpoint(run):
    import torch

    data = account(run)["data"]
    assert data["source"] == "b.parquet"
    for path in checkpoints(run).values():
        assert torch.load(path, weights_only=True)["metadata"]["data"] == data


def test_a_resume_notices_and_goes_on_only_if_told_to(poke, run):
    then = account(run)["data"]
    grow(poke.cwd / "b.parquet")
    line = poke.refuse(run, "resume=run", "trainer.max_steps=120")
    assert "b.parquet has changed since the run began" in line
    assert then["content"][:8] in line
    assert "data.on_change=accept goes on with it" in line
    assert "b.parquet has changed" in poke.refuse(run, "fork=run", "hydra.run.dir=run2")
    said = poke("resume=run", "trainer.max_steps=120", "data.on_change=accept")
    assert "data.on_change=accept: b.parquet has changed" in said
    about = account(run)
    assert about["data"]["rows"] > then["rows"]
    assert about["sessions"][1]["accepted_data"] == about["data"]
    poke("resume=run", "data.on_change=error")  # it is the run's own data by now


def test_the_same_rows_under_another_name_are_the_same_data(poke, run):
    (poke.cwd / "b.parquet").rename(poke.cwd / "c.parquet")
    assert "no such file" in poke.refuse(run, "resume=run")
    poke("resume=run", "trainer.max_steps=90", "data.path=c.parquet")


def test_a_replay_notices(poke, run):
    grow(poke.cwd / "b.parquet")
    done = subprocess.run(
        [sys.executable, "-m", "poke.verify", "run"], cwd=poke.cwd, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("poke: b.parquet has changed since the run began")


@pytest.mark.slow
def test_a_sweep_notices_before_it_leaves_a_finished_job_out(poke):
    shutil.copyfile(BATTLES, poke.cwd / "b.parquet")
    command = (*SMALL, "data.path=b.parquet", "trainer.max_steps=3", "-m", "sweep=s", "seed=0,1")
    poke(*command)
    assert "2 jobs (2 finished), 0 to do" in poke(*command)
    grow(poke.cwd / "b.parquet")
    said = poke(*command, expect=2)
    assert "b.parquet has changed since the run began" in said
    assert "sweep.on_change=rerun" in said
    poke(*command, "sweep.on_change=ignore")
    assert "2 to do" in poke(*command, "sweep.on_change=rerun")
    jobs = [json.loads(p.read_text()) for p in poke.cwd.glob("multirun/s/*/run.json")]
    assert {job["data"]["episodes"] for job in jobs} == {GROWN}
