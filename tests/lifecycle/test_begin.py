"""A run begins where nothing is, or not at all."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import SMALL, account, checkpoints, snapshot, wait_for

SHORT = (*SMALL, "trainer.max_steps=20", "trainer.eval_every=20")


def test_a_directory_that_holds_a_run_is_refused_before_a_byte_is_written(poke):
    poke(*SHORT, "hydra.run.dir=run")
    line = poke.refuse(poke.cwd / "run", *SHORT, "algo.lr=1e-4", "hydra.run.dir=run")
    assert line == "poke: run holds a run already: resume=run goes on with it"


@pytest.mark.parametrize("sign", ["run.json", "metrics.csv", "checkpoints"])
def test_so_is_one_with_a_part_of_a_run(poke, sign):
    (poke.cwd / "run" / sign / "x").mkdir(parents=True)
    (poke.cwd / "run" / "kept").write_text("")
    assert "holds a run already" in poke.refuse(poke.cwd / "run", *SHORT, "hydra.run.dir=run")


@pytest.mark.parametrize("where", ["preset", "primary"])
def test_a_directory_named_by_a_preset_or_ones_own_primary_config_is_honoured(poke, where):
    conf = poke.cwd / "own"
    (conf / "experiment").mkdir(parents=True)
    named = "hydra:\n  run:\n    dir: named\n"
    if where == "preset":
        (conf / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{named}")
        how = ("--config-dir", "own", "experiment=mine")
    else:
        (conf / "mine.yaml").write_text(f"defaults: [train, _self_]\nseed: 7\n{named}")
        how = ("--config-dir", "own", "--config-name", "mine")
    poke(*how, *SHORT)
    about = account(poke.cwd / "named")
    assert about["status"] == "finished"
    assert about["seed"] == (7 if where == "primary" else 0)
    assert not (poke.cwd / "outputs").exists()
    line = poke.refuse(poke.cwd / "named", *how, *SHORT)
    assert line == "poke: named holds a run already: resume=named goes on with it"
    assert "finished at step 20" in poke(*how, *SHORT, "resume=auto")


def test_without_a_name_every_run_has_a_directory_of_its_own(poke):
    for _ in range(2):
        poke(*SHORT)
    assert len(list(poke.cwd.glob("outputs/*/*/run.json"))) == 2


def test_resume_auto_is_the_same_command_again_and_again(poke):
    command = (*SMALL, "resume=auto", "hydra.run.dir=run", "algo=bc", "hydra.job.name=mine")
    process = poke.start(*command, "trainer.max_steps=100000")
    wait_for(lambda: len(checkpoints(poke.cwd / "run")) > 2, process)
    process.signal(signal.SIGKILL)
    process.wait()
    said = poke(*command)
    assert "resuming from" in said
    first, second = account(poke.cwd / "run")["sessions"]
    assert first["to_step"] is None
    assert second["changed"]["trainer.max_steps"] == [100000, 120]
    assert "finished at step" in poke(*command)
    assert account(poke.cwd / "run")["status"] == "finished"


def test_resume_auto_needs_a_directory_to_look_in(poke):
    line = "poke: resume=auto goes on in a directory that is named: add hydra.run.dir=DIR"
    assert poke(*SHORT, "resume=auto", expect=2).strip() == line


def test_two_that_begin_at_once_in_one_place_leave_one_run(poke):
    both = [poke.start(*SHORT, f"seed={seed}", "hydra.run.dir=run") for seed in (1, 2)]
    ends = [process.wait() for process in both]
    assert sorted(status for status, _ in ends) == [0, 2]
    winner = next(seed for seed, (status, _) in enumerate(ends, 1) if status == 0)
    loser = next(said for status, said in ends if status == 2)
    assert "holds a run already" in loser or "is in use by process" in loser
    assert account(poke.cwd / "run")["seed"] == winner
    assert len(account(poke.cwd / "run")["sessions"]) == 1


def test_places_that_cannot_be_used_are_answered_in_one_line(poke):
    (poke.cwd / "file").write_text("")
    (poke.cwd / "locked" / ".lock").mkdir(parents=True)
    for where, words in [("file/run", "cannot be made"), ("locked", "lock cannot be used")]:
        assert words in poke.refuse(poke.cwd, *SHORT, f"hydra.run.dir={where}")


@pytest.mark.unmeasured
def test_a_disk_that_is_full_from_the_start_is_answered_in_one_line(poke):
    said = poke(*SHORT, "hydra.run.dir=run", expect=2, file_limit=300)
    assert len(said.splitlines()) == 1
    assert said.startswith("poke: ")


def test_an_output_folder_that_is_a_file_is_answered_in_one_line(poke):
    (poke.cwd / "outputs").write_text("")
    assert "cannot be made" in poke(*SHORT, expect=2)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["algo=ppo", "network=cnn"], "network=cnn needs pictures"),
        (["data=file", "data.path=nothing.npz"], "nothing.npz: no such file"),
        (
            ["env=cartpole", "eval=episodes", "checkpoint.monitor=eval/return_mean"],
            "data has observations of int8 [2859], but in env.id=CartPole-v1 they are float32 [4]",
        ),
        (["algo.loss=mse"], "algo.loss=mse is for continuous actions, and these are one of 10"),
    ],
)
def test_what_poke_cannot_make_sense_of_is_refused_without_a_directory(poke, given, said):
    (line,) = poke(*given, expect=2).splitlines()
    assert line.startswith(f"poke: {said}")
    assert not list(poke.cwd.rglob("run.json"))
    (line,) = poke(*given, "hydra.run.dir=named/run", expect=2).splitlines()
    assert line.startswith(f"poke: {said}")
    assert os.listdir(poke.cwd) in ([], ["outputs"])


def test_a_network_of_ones_own_that_does_not_fit_is_refused_without_a_directory(poke):
    (poke.cwd / "narrow.py").write_text(
        "import torch\n"
        "class Narrow(torch.nn.Module):\n"
        "    def __init__(self, observation_shape):\n"
        "        super().__init__()\n"
        "        self.layer = torch.nn.Linear(observation_shape[0], 3)\n"
        "    def forward(self, observation):\n"
        "        return self.layer(observation.float())\n"
    )
    said = poke("algo=ppo", "network._target_=narrow.Narrow", "hydra.run.dir=run", expect=2)
    assert said == "poke: Narrow puts out [batch, 3], not [batch, 2]\n"
    assert not (poke.cwd / "run").exists()


def test_a_directory_that_was_there_before_a_refused_run_stays(poke):
    (poke.cwd / "run").mkdir()
    (poke.cwd / "run" / "notes.txt").write_text("mine")
    poke("algo=ppo", "network=cnn", "hydra.run.dir=run", expect=2)
    assert (poke.cwd / "run" / "notes.txt").read_text() == "mine"


def test_the_account_says_what_the_run_is_from_its_first_moment(poke):
    poke(*SHORT, "hydra.run.dir=run", "algo.warmup_steps=0")
    about = account(poke.cwd / "run")
    assert about["status"] == "finished"
    assert about["parent"] is None
    assert "algo.warmup_steps=0" in about["overrides"]
    assert about["data"]["rows"] > 0
    assert not list(poke.cwd.rglob("*.tmp"))
    assert not list(poke.cwd.rglob(".reserve"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_middle_of_the_first_imports_ends_in_one_line(number, tmp_path):
    command = [sys.executable, "-X", "importtime", "-m", "poke.train", *SHORT]
    said = []
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            said.append(line)
            if " omegaconf" in line:
                process.send_signal(number)
                break
        said += process.stderr.readlines()
    assert process.returncode == 128 + number
    assert [line for line in said if not line.startswith("import time:")] == [
        f"poke: stopped by {number.name} before a run began\n"
    ]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_first_second_leaves_a_run_that_can_go_on(poke, number):
    """While Hydra composes, torch is imported and parts are built: the directory exists, nothing is trained."""
    process = poke.start(*SHORT, "hydra.run.dir=run")
    wait_for(lambda: (poke.cwd / "run").exists(), process)
    process.signal(number)
    status, said = process.wait()
    assert status in (128 + number, 0)  # 0 where it was quicker than we
    assert "Traceback" not in said
    if status:
        assert account(poke.cwd / "run")["status"] == "interrupted"
        assert account(poke.cwd / "run")["exit_reason"] == f"received {number.name}"
    poke("resume=run")
    assert account(poke.cwd / "run")["status"] == "finished"


def test_a_directory_in_use_is_refused_and_not_touched(poke):
    process = poke.start(*SMALL, "trainer.max_steps=100000", "hydra.run.dir=run")
    wait_for(lambda: len(checkpoints(poke.cwd / "run")) > 1, process)
    config = snapshot(poke.cwd / "run")["config.yaml"]
    for command in (["resume=run", "algo.lr=1"], ["resume=auto", "hydra.run.dir=run", *SMALL]):
        said = poke(*command, expect=2)
        assert f"run is in use by process {process.pid} on " in said
    assert "holds a run already" in poke(*SHORT, "hydra.run.dir=run", expect=2)
    assert snapshot(poke.cwd / "run")["config.yaml"] == config
    process.signal(signal.SIGKILL)
    process.wait()


def test_run_json_says_what_is_bookkeeping_and_gives_a_sign_of_life_with_every_row(poke):
    shutil.copyfile(Path(__file__).with_name("mine.py"), poke.cwd / "mine.py")
    poke(*SMALL, "device=auto", "algo._target_=mine.Aging", "hydra.run.dir=run")
    about = account(poke.cwd / "run")
    assert {"logger", "checkpoint.save_every", "trainer.max_seconds"} <= {*about["bookkeeping"]}
    assert about["defaults"]["trainer.early_stopping.patience"] == 0
    about["bookkeeping"] = None  # as an older poke left it
    (poke.cwd / "run" / "run.json").write_text(json.dumps(about))
    poke("resume=run", "trainer.max_steps=140")
    assert "logger" in account(poke.cwd / "run")["bookkeeping"]


@pytest.mark.parametrize(
    ("given", "lacking"), [("~eval", "eval"), ("trainer.eval_every=0", "trainer.eval_every")]
)
def test_early_stopping_without_evaluations_is_refused(poke, given, lacking):
    said = poke(*SMALL, "trainer.early_stopping.patience=1", given, expect=2)
    assert said.strip() == (
        f"poke: trainer.early_stopping.patience counts evaluations, but {lacking} is off"
    )
