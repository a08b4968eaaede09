"""What a run says at its end about what to type next, and that it can be typed."""

import shlex
import signal
import subprocess

import pytest

from .conftest import SMALL, account, kill_at_step

SHORT = ("trainer.max_steps=3", "trainer.eval_every=3", "logger.backend_frequency=1")


def told(text):
    """The commands that a run ends by saying."""
    lines = text.partition("\nnext  ")[2].splitlines()
    return [line.strip() for line in lines]


def typed(poke, command):
    """Run a command of python's as it was told."""
    program, module, *arguments = shlex.split(command)
    assert (program, module) == ("python", "-m")
    return poke(*arguments)


def test_a_first_run_says_what_to_type_and_it_can_be_typed(poke):
    show, resume, curves = told(poke.train(*SHORT, "logger.tensorboard.enabled=true"))
    (run_dir,) = poke.runs()
    place = run_dir.relative_to(poke.cwd)
    assert curves == f"python -m tensorboard.main --logdir {place}/tensorboard"
    assert list((run_dir / "tensorboard").glob("events.*"))
    assert "finished" in typed(poke, show)
    assert resume.endswith("trainer.max_steps=6")
    said = typed(poke, resume)
    assert "finished at step 6" in said
    assert not told(said)  # who has resumed it knows how


def test_a_sink_that_is_off_is_not_offered(poke):
    show, resume = told(poke.train(*SHORT))
    assert "poke.compare show" in show
    assert "resume=" in resume


@pytest.mark.parametrize("run_dir", ["outputs/second", "elsewhere", "multirun/one/job"])
def test_later_runs_and_those_elsewhere_say_nothing(run_dir, poke):
    if run_dir == "outputs/second":
        assert told(poke.train(*SHORT, run_dir="outputs/first"))
    assert not told(poke.train(*SHORT, run_dir=run_dir))


def test_a_run_that_more_steps_would_not_let_go_on_offers_no_resume(poke):
    early = ("trainer.early_stopping.patience=1", "algo.lr=1e-9", "algo.warmup_steps=0")
    said = poke.train(*early, "trainer.max_steps=90", "trainer.eval_every=1")
    assert "no better val/loss" in said
    assert not any("resume=" in command for command in told(said))


def test_a_place_that_the_shell_or_hydra_would_misread_is_quoted(poke):
    place = "outputs/it's a=b, (c)"
    quoted = "'" + place.replace("'", "\\'") + "'"
    said = poke("poke.train", *SHORT, *SMALL, f"hydra.run.dir={quoted}")
    show, resume = told(said)
    assert "finished" in typed(poke, show)
    assert "finished at step 6" in typed(poke, resume)


def test_an_interrupted_run_says_how_to_go_on_with_the_python_that_was_typed(anew):
    process = anew.start(
        *("poke.train", *SMALL, "trainer.max_steps=4000", "logger.backend_frequency=1"),
        "hydra.run.dir=outputs/a b",
    )
    kill_at_step(process, anew.cwd / "outputs" / "a b", 3, signal.SIGTERM)
    run_dir = anew.cwd / "outputs" / "a b"
    log = (run_dir / "train.log").read_text().splitlines()
    command = next(line for line in log if "go on with: " in line).partition("go on with: ")[2]
    further = account(run_dir)["step"] + 3
    done = subprocess.run(
        f"{command} trainer.max_steps={further}",
        shell=True, cwd=anew.cwd, env=anew.env, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"finished at step {further}" in done.stdout
    assert not told(done.stdout)
