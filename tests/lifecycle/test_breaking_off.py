"""Every way out: errors, signals, the clock, a full disk, a closed terminal. Each ends in a status and one line."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from .comparing import assert_same_run, rows
from .conftest import PPO, SMALL, account, checkpoints, wait_for


@pytest.fixture
def mine(poke):
    """A folder with the user's own parts, and whatever makes them fail."""
    shutil.copyfile(Path(__file__).with_name("mine.py"), poke.cwd / "mine.py")
    (poke.cwd / "cause").touch()
    return poke


def no_leftovers(run_dir) -> bool:
    return not [*Path(run_dir).rglob("*.tmp"), *Path(run_dir).rglob(".reserve")]


def test_metrics_of_every_kind_that_the_logger_takes_pass(mine):
    mine(*SMALL, "algo._target_=mine.Talkative", "hydra.run.dir=run")
    about = account(mine.cwd / "run")
    assert about["status"] == "finished"
    assert (about["final"]["train/nested/a"], about["final"]["train/nested/b"]) == (1.0, 2.0)
    assert "train/text" not in about["final"]
    assert rows(mine.cwd / "run")[-1]["train/nested/a"] == "1.0"


def test_the_users_own_code_that_git_does_not_know_is_kept(mine):
    mine(*SMALL, "algo._target_=mine.Talkative", "trainer.max_steps=2", "hydra.run.dir=run")
    (session,) = account(mine.cwd / "run")["sessions"]
    assert "mine.py" in session["code"]["untracked"]
    assert (mine.cwd / "run" / "code" / "mine.py").read_text() == (mine.cwd / "mine.py").read_text()


def test_a_step_that_raises_leaves_all_that_can_be_kept_and_a_run_that_can_go_on(mine):
    command = (*SMALL, "algo._target_=mine.Faulty")
    said = mine(*command, "hydra.run.dir=run", expect=1)
    line = "poke: failed after step 50: OSError: [Errno 5] the cause (traceback in run/train.log)"
    assert line in said.splitlines()
    assert "resume=run" in said
    about = account(mine.cwd / "run")
    assert (about["status"], about["step"], about["exit_reason"]) == ("failed", 50, "OSError")
    assert "Traceback" in (mine.cwd / "run" / "train.log").read_text()
    (emergency,) = (mine.cwd / "run").glob("checkpoints/emergency_*_step50.pt")
    assert torch.load(emergency, weights_only=True)["components"]["logger"]
    assert rows(mine.cwd / "run")[-1]["step"] == "50"
    assert no_leftovers(mine.cwd / "run")

    (mine.cwd / "cause").unlink()
    mine(*command, "hydra.run.dir=whole")
    shutil.copytree(mine.cwd / "run", mine.cwd / "again")
    mine("resume=run")
    assert_same_run(mine.cwd / "run", mine.cwd / "whole")
    # What the failing step left can be gone on with too, if one asks for it.
    mine(f"resume={mine.cwd / 'again' / 'checkpoints' / emergency.name}")
    assert account(mine.cwd / "again")["sessions"][-1]["from_step"] == 50


def test_an_error_in_the_handling_of_an_error_ends_in_a_status_too(mine):
    said = mine(*SMALL, "algo._target_=mine.Stubborn", "hydra.run.dir=run", expect=1)
    assert "failed after step 50: OSError: [Errno 5] the cause" in said
    about = account(mine.cwd / "run")
    assert (about["status"], about["error"]) == ("failed", "OSError: [Errno 5] the cause")
    assert no_leftovers(mine.cwd / "run")


def test_a_part_that_exits_the_interpreter_leaves_a_run_that_can_go_on(mine):
    said = mine(*SMALL, "algo._target_=mine.Leaving", "hydra.run.dir=run", expect=3)
    assert "SystemExit: 3; go on with: python -m poke.train resume=run" in said
    about = account(mine.cwd / "run")
    assert (about["status"], about["exit_reason"]) == ("interrupted", "SystemExit: 3")
    assert no_leftovers(mine.cwd / "run")


def test_an_error_while_closing_ends_in_a_status_too(mine):
    said = mine(*SMALL, "data._target_=mine.Unclosable", "hydra.run.dir=run", expect=1)
    assert "closing failed" in said
    about = account(mine.cwd / "run")
    assert (about["status"], about["step"]) == ("failed", 120)
    assert 120 in checkpoints(mine.cwd / "run")
    assert no_leftovers(mine.cwd / "run")


def test_a_signal_in_an_evaluation_saves_at_once_and_the_evaluation_is_made_up_for(mine):
    command = (*SMALL, "eval._target_=mine.Signalling")
    assert "go on with: python -m poke.train resume=run" in mine(
        *command, "hydra.run.dir=run", expect=143
    )
    about = account(mine.cwd / "run")
    assert (about["status"], about["step"], about["exit_reason"]) == (
        "interrupted",
        80,
        "received SIGTERM",
    )
    mine("resume=run")
    mine(*command, "hydra.run.dir=whole")
    assert_same_run(mine.cwd / "run", mine.cwd / "whole")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_whole_group_is_the_parents_to_heed(poke, number):
    """As of Ctrl-C or a closed terminal: the workers of env.vectorization=async go on until they are closed."""
    command = (*PPO, "env.vectorization=async", "trainer.max_steps=100000")
    process = poke.start(*command, "hydra.run.dir=run")
    wait_for(lambda: len(checkpoints(poke.cwd / "run")) > 2, process)
    os.killpg(process.pid, number)
    status, said = process.wait()
    assert status == 128 + number, said
    assert "Traceback" not in said
    about = account(poke.cwd / "run")
    assert (about["status"], about["exit_reason"]) == ("interrupted", f"received {number.name}")
    assert about["step"] in checkpoints(poke.cwd / "run")
    assert no_leftovers(poke.cwd / "run")


def test_sigusr1_saves_now_and_goes_on(poke):
    process = poke.start(*SMALL, "trainer.max_steps=100000", "checkpoint.save_every=0",
                         "trainer.eval_every=0", "hydra.run.dir=run")  # fmt: skip
    wait_for((poke.cwd / "run" / "metrics.csv").exists, process)
    before = set(checkpoints(poke.cwd / "run"))
    process.signal(signal.SIGUSR1)
    wait_for(lambda: set(checkpoints(poke.cwd / "run")) - before, process)
    assert account(poke.cwd / "run")["status"] == "running"
    process.signal(signal.SIGTERM)
    assert process.wait()[0] == 143


def test_out_of_time_a_process_saves_and_ends_and_says_why(poke):
    said = poke(*SMALL, "trainer.max_seconds=1e-3", "hydra.run.dir=run")
    assert "reached trainer.max_seconds; go on with" in said
    about = account(poke.cwd / "run")
    assert (about["status"], about["exit_reason"]) == ("interrupted", "reached trainer.max_seconds")
    assert about["step"] in checkpoints(poke.cwd / "run")
    poke("resume=run", "trainer.max_seconds=0")
    poke(*SMALL, "hydra.run.dir=whole")
    assert_same_run(poke.cwd / "run", poke.cwd / "whole")


@pytest.mark.unmeasured
def test_a_full_disk_is_said_once_and_at_the_end_and_costs_no_checkpoint(poke):
    poke(*SMALL, "trainer.max_steps=80", "hydra.run.dir=run")
    size = max(checkpoints(poke.cwd / "run").items())[1].stat().st_size
    said = poke("resume=run", "trainer.max_steps=120", expect=1, file_limit=size // 2)
    on_the_way, at_the_end = [line for line in said.splitlines() if "not written" in line]
    assert "the checkpoints before it stand" in on_the_way
    assert at_the_end.startswith("poke: failed after step 120")
    about = account(poke.cwd / "run")
    assert about["status"] == "failed"
    assert max(checkpoints(poke.cwd / "run")) == 80
    assert no_leftovers(poke.cwd / "run")
    poke("resume=run")
    poke(*SMALL, "hydra.run.dir=whole")
    assert_same_run(poke.cwd / "run", poke.cwd / "whole")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_terminal_that_takes_nothing_ends_no_run(poke):
    poke(*SMALL, "logger.cli_frequency=10", "hydra.run.dir=run", stdout="/dev/full")
    assert account(poke.cwd / "run")["status"] == "finished"
    log = (poke.cwd / "run" / "train.log").read_text()
    assert sum("train  loss" in line for line in log.splitlines()) == 13
    assert "finished at step 120" in log


def test_a_pipe_that_is_closed_ends_no_run_and_makes_no_noise(tmp_path):
    arguments = [*SMALL, "logger.cli_frequency=1", "hydra.run.dir=run"]
    with subprocess.Popen(
        [sys.executable, "-m", "poke.train", *arguments],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "run directory run\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
    assert account(tmp_path / "run")["status"] == "finished"
    assert "finished at step 120" in (tmp_path / "run" / "train.log").read_text()


def test_a_mistyped_monitor_is_answered_at_the_start(poke):
    said = poke(*SMALL, "checkpoint.monitor=val/los", "hydra.run.dir=run", expect=2)
    assert (
        "checkpoint.monitor=val/los is no metric of the evaluation (did you mean val/loss?)" in said
    )
    assert not (poke.cwd / "run").exists()


@pytest.mark.parametrize("monitor", ["val/fitted_value", "val/td_error", "val/q_gap"])
def test_what_is_told_without_playing_can_be_monitored(poke, monitor):
    values = ("data=transitions", "eval=values", "eval.fitted_updates=5")
    poke(*SMALL, "algo=cql", *values, f"checkpoint.monitor={monitor}", "hydra.run.dir=run")
    assert account(poke.cwd / "run")["best"]["metric"] == monitor
    # A clone has no critics.
    known = monitor == "val/fitted_value"
    command = (*SMALL, "algo=bc", *values, f"checkpoint.monitor={monitor}", "hydra.run.dir=clone")
    said = poke(*command, expect=0 if known else 2)
    assert known or f"checkpoint.monitor={monitor} is no metric of the evaluation" in said


@pytest.mark.parametrize(
    "cadence",
    [
        ("trainer.eval_every=80", "trainer.max_steps=200"),
        ("trainer.eval_every=0", "checkpoint.save_every=50", "trainer.max_steps=100"),
    ],
)
def test_the_last_evaluation_is_in_the_last_checkpoint_and_counts_for_the_best(poke, cadence):
    poke(*SMALL, *cadence, "hydra.run.dir=run")
    about = account(poke.cwd / "run")
    newest = torch.load(max(checkpoints(poke.cwd / "run").items())[1], weights_only=True)
    assert newest["metadata"]["metrics"]["val/loss"] == about["final"]["val/loss"]
    found = [float(row["val/loss"]) for row in rows(poke.cwd / "run") if "val/loss" in row]
    assert about["best"]["value"] == min(found)


ALERT = "logger.alert.command='echo $POKE_STATUS,$POKE_STEP,$POKE_REASON,$POKE_ERROR >> $POKE_RUN_DIR/told'"


def told(poke, run="run"):
    return (poke.cwd / run / "told").read_text().splitlines()


def test_an_alert_is_given_when_a_run_ends_and_when_it_meets_a_nan(mine):
    mine(*SMALL, "algo._target_=mine.Unsure", "hydra.run.dir=run", ALERT)
    assert sorted(told(mine)) == [
        "finished,120,reached trainer.max_steps,",
        "running,11,,train/margin is NaN or infinite",
    ]


def test_an_alert_is_given_when_a_run_fails_and_when_it_is_interrupted(mine):
    mine(*SMALL, "algo._target_=mine.Faulty", "hydra.run.dir=run", ALERT, expect=1)
    assert told(mine) == ["failed,50,OSError,OSError: [Errno 5] the cause"]
    process = mine.start(*SMALL, "eval._target_=mine.Signalling", "hydra.run.dir=again", ALERT)
    assert process.wait()[0] == 128 + signal.SIGTERM
    assert told(mine, "again") == ["interrupted,80,received SIGTERM,"]
