"""What sinks are told of a run's end, and what a run suffers from a sink that hangs: nothing."""

import shutil
from pathlib import Path

import pytest

from .comparing import assert_same_run, rows
from .conftest import SMALL, account, wait_for

TELLING = "+logger.mine._target_=mine.Telling"
HANGING = ("+logger.mine._target_=mine.Hanging", "logger.close_seconds=0.2")


@pytest.fixture
def mine(poke):
    """A folder with the user's own parts, and whatever makes them fail."""
    shutil.copyfile(Path(__file__).with_name("mine.py"), poke.cwd / "mine.py")
    (poke.cwd / "cause").touch()
    return poke


@pytest.mark.parametrize(
    ("part", "exit_status", "status"),
    [
        ("algo._target_=mine.Talkative", 0, "finished"),
        ("algo._target_=mine.Faulty", 1, "failed"),
        ("algo._target_=mine.Stubborn", 1, "failed"),
        ("algo._target_=mine.Leaving", 3, "interrupted"),
        ("eval._target_=mine.Signalling", 143, "interrupted"),
        ("data._target_=mine.Unclosable", 1, "failed"),
    ],
)
def test_sinks_are_told_how_the_run_ended(mine, part, exit_status, status):
    mine(*SMALL, part, TELLING, "hydra.run.dir=run", expect=exit_status)
    assert (mine.cwd / "run" / "told.txt").read_text().split() == [status]
    assert account(mine.cwd / "run")["status"] == status


def test_a_run_that_goes_on_ends_anew(mine):
    mine(*SMALL, "algo._target_=mine.Faulty", TELLING, "hydra.run.dir=run", expect=1)
    (mine.cwd / "cause").unlink()
    mine("resume=run")
    assert (mine.cwd / "run" / "told.txt").read_text().split() == ["failed", "finished"]


def test_a_sink_that_hangs_costs_the_run_nothing(mine):
    said = mine(*SMALL, *HANGING, "hydra.run.dir=run")
    assert said.count("Hanging lacks") == said.count("Hanging") == 1
    mine(*SMALL, "hydra.run.dir=without")
    assert_same_run(mine.cwd / "run", mine.cwd / "without")


def test_a_signal_ends_a_run_whose_sink_hangs(mine):
    process = mine.start(*SMALL, *HANGING, "trainer.max_steps=1000000", "hydra.run.dir=run")
    wait_for(lambda: (mine.cwd / "hangs").exists(), process)
    process.signal(15)
    status, said = process.wait()
    assert status == 143, said
    assert account(mine.cwd / "run")["status"] == "interrupted"
    assert rows(mine.cwd / "run")
