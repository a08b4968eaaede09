"""Submitit, SLURM's part of it, Ray and Optuna: the same sweeps through other people's programs."""

import itertools
import os
import re
import signal
import stat
import sys
import time
from pathlib import Path

import pytest

from .conftest import account, assert_gone
from .test_sweeps import (
    LAUNCHERS,
    Sweep,
    children_of,
    kill_and_go_on,
    num_with,
)

pytestmark = pytest.mark.slow

# Stands in for a cluster: keeps the batch file, and runs its tasks here as SLURM would start them.
SBATCH = """#!{python}
import os, pathlib, re, shutil, subprocess, sys
script = pathlib.Path(sys.argv[-1])
kept = pathlib.Path({kept!r})
shutil.copy(script, kept / "batch.sh")
text = script.read_text()
command = re.search(r"\\S*python\\S* -u -m submitit.core._submit \\S+", text).group(0).split()
last = int(re.search(r"--array=0-(\\d+)", text).group(1))
for task in range(last + 1):
    slurm = dict(JOB_ID=700 + task, ARRAY_JOB_ID=77, ARRAY_TASK_ID=task, NTASKS=1, JOB_NUM_NODES=1,
        NODEID=0, PROCID=0, LOCALID=0, JOB_NODELIST="here")
    env = dict(os.environ, SUBMITIT_EXECUTOR="slurm", **{{f"SLURM_{{k}}": str(v) for k, v in slurm.items()}})
    with open(kept / f"task{{task}}.log", "w") as log:
        subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
print("Submitted batch job 77")
"""
SACCT = """#!/bin/sh
echo 'JobID|State|NodeList'
echo '77_0|RUNNING|here'
echo '77_1|RUNNING|here'
"""


@pytest.fixture
def cluster(poke, tmp_path):
    """Put sbatch and sacct on the path of the commands."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (
        ("sbatch", SBATCH.format(python=sys.executable, kept=str(folder))),
        ("sacct", SACCT),
        ("srun", "#!/bin/sh\n"),
    ):
        path = folder / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    poke.env["PATH"] = f"{folder}{os.pathsep}{poke.env['PATH']}"
    return folder


@pytest.fixture(autouse=True)
def own_cluster(poke):
    """Whatever cluster this machine has, or has had: Ray would join it."""
    poke.env["RAY_ADDRESS"] = "local"


@pytest.mark.parametrize("launcher", ["submitit_local", "ray"])
def test_killed_at_any_moment_it_finishes_without_running_a_finished_job_again(poke, launcher):
    pytest.importorskip(launcher.partition("_")[0])
    kill_and_go_on(poke, launcher)


@pytest.mark.parametrize("launcher", ["submitit_local", "ray"])
def test_jobs_save_and_end_on_a_signal_to_the_sweep_and_go_on(poke, launcher):
    pytest.importorskip(launcher.partition("_")[0])
    sweep = Sweep(poke, "trainer.max_steps=3000", "seed=0,1", *LAUNCHERS[launcher])
    process = sweep.start()
    sweep.wait_for(num_with("running", 2), process)
    family = children_of(process)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert_gone([p.pid for p in family], within_seconds=120)
    assert [a["status"] for a in sweep.accounts().values()] == ["interrupted"] * 2
    sweep.run()
    assert [a["status"] for a in sweep.accounts().values()] == ["finished"] * 2


def test_a_preempted_job_is_queued_again_and_goes_on_from_its_checkpoint(poke):
    """Submitit's own handler of the signal that SLURM sends before it takes the machine away."""
    pytest.importorskip("submitit")
    sweep = Sweep(
        poke,
        "trainer.max_steps=6000",
        "checkpoint.save_every=100",
        "logger.backend_frequency=50",
        "seed=0",
        *LAUNCHERS["submitit_local"],
    )
    process = sweep.start()
    sweep.wait_for(num_with("running", 1), process)
    (name,) = sweep.accounts()
    run_dir = sweep.directory / name
    deadline = time.monotonic() + 60
    while not list(run_dir.glob("checkpoints/*step[1-9]*.pt")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(account(run_dir)["sessions"][-1]["pid"], signal.SIGUSR2)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    about = account(run_dir)
    assert about["status"] == "finished"
    _, resume = about["sessions"]
    assert resume["from_step"] >= 100


def test_the_batch_file_for_slurm_and_its_tasks(poke, cluster):
    pytest.importorskip("submitit")
    sweep = Sweep(
        poke,
        "trainer.max_steps=3",
        "seed=0,1",
        "hydra/launcher=submitit_slurm",
        "hydra.launcher.partition=gpu",
        "hydra.launcher.timeout_min=90",
        "hydra.launcher.gpus_per_node=1",
        "hydra.launcher.max_num_timeout=3",
    )
    sweep.run()
    assert [a["status"] for a in sweep.accounts().values()] == ["finished"] * 2
    batch = (cluster / "batch.sh").read_text()
    for line in ("--array=0-1", "--partition=gpu", "--time=90", "--gpus-per-node=1", "--signal="):
        assert f"#SBATCH {line}" in batch
    assert re.search(r"^srun .*submitit\.core\._submit", batch, flags=re.MULTILINE)
    sweep.run()
    assert not (sweep.directory / ".aside").exists()


def test_slurm_jobs_outlive_the_process_that_asked_for_them(poke, cluster):
    pytest.importorskip("submitit")
    sweep = Sweep(poke, "trainer.max_steps=4000", "seed=0,1", "hydra/launcher=submitit_slurm")
    process = sweep.start()
    sweep.wait_for(num_with("running", 2), process)
    process.kill()
    process.communicate()
    assert_gone({a["sessions"][-1]["pid"] for a in sweep.accounts().values()}, within_seconds=60)
    assert [a["status"] for a in sweep.accounts().values()] == ["finished"] * 2


def test_ray_starts_a_cluster_runs_stops_it_and_runs_nothing_twice(poke):
    pytest.importorskip("ray")
    sweep = Sweep(
        poke,
        "trainer.max_steps=3",
        "hydra/launcher=ray",
        "hydra.launcher.init.num_cpus=2",
        "algo.warmup_steps=0",
        "sweep.max_parallel=1",
    )
    out = sweep.run("algo.lr=1e-4,1e30,2e-4", expect=1)
    accounts = sweep.accounts()
    lives = sorted((a["started"], a["ended"]) for a in accounts.values())
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(lives))
    assert sorted(a["status"] for a in accounts.values()) == ["failed", "finished", "finished"]
    assert "2 of 3 jobs finished, 1 failed" in out
    pids = {a["sessions"][-1]["pid"] for a in accounts.values()}
    assert_gone(pids)
    assert "2 jobs (2 finished), 0 to do" in sweep.run("algo.lr=1e-4,2e-4")


class TestOptuna:
    @pytest.fixture
    def sweep(self, poke):
        pytest.importorskip("optuna")
        return Sweep(
            poke,
            "hydra/sweeper=optuna",
            "algo.lr=tag(log,interval(1e-5,1e-1))",
            "network.activation=relu,tanh",
            "trainer.max_steps=20",
            "trainer.eval_every=10",
        )

    def study(self, sweep):
        from poke.sweep.study import open_study

        return open_study(sweep.directory).trials

    def test_n_trials_counts_all_starts(self, sweep):
        sweep.run("hydra.sweeper.n_trials=2")
        before = sweep.accounts()
        sweep.run("hydra.sweeper.n_trials=4", "hydra.sweeper.n_jobs=2")
        after = sweep.accounts()
        assert {name: after[name] for name in before} == before
        trials = self.study(sweep)
        assert [t.state.name for t in trials] == ["COMPLETE"] * 4
        assert len({tuple(t.params.items()) for t in trials}) == 4 == len(after)
        assert {t.value for t in trials} == {a["best"]["value"] for a in after.values()}
        assert all(1e-5 <= t.params["algo.lr"] <= 1e-1 for t in trials)
        out = sweep.run("hydra.sweeper.n_trials=5", "network.activation=relu,tanh,gelu")
        grown = "network.activation: relu,tanh -> relu,tanh,gelu"
        assert f"the search has changed ({grown}); it goes on with 4 of its 4 trials" in out
        assert [t.state.name for t in self.study(sweep)] == ["COMPLETE"] * 5
        assert {name: sweep.accounts()[name] for name in after} == after

    def test_a_trial_that_was_running_when_the_sweep_was_killed_is_gone_on_with(self, sweep):
        more = ("hydra.sweeper.n_trials=1", "trainer.max_steps=4000", "checkpoint.save_every=100")
        process = sweep.start(*more)
        sweep.wait_for(num_with("running", 1), process)
        process.kill()
        process.communicate()
        sweep.run(*more)
        (about,) = sweep.accounts().values()
        assert about["status"] == "finished"
        assert len(about["sessions"]) == 2
        assert [t.state.name for t in self.study(sweep)] == ["COMPLETE"]

    def test_a_pruned_trial_ends_early_and_is_not_run_again(self, sweep):
        more = (
            "hydra.sweeper.n_trials=1",
            "hydra.sweeper.pruner._target_=optuna.pruners.ThresholdPruner",
            "+hydra.sweeper.pruner.upper=0.01",
        )
        sweep.run(*more)
        (about,) = sweep.accounts().values()
        assert (about["status"], about["step"]) == ("finished", 10)
        assert about["exit_reason"] == "pruned by the search"
        (trial,) = self.study(sweep)
        assert trial.state.name == "PRUNED"
        assert set(trial.intermediate_values) == {10}
        sweep.run(*more)
        assert list(sweep.accounts().values()) == [about]


def test_an_interval_needs_a_search(poke):
    sweep = Sweep(poke)
    line = sweep.run("algo.lr=interval(1e-5,1e-1)", expect=2).strip()
    assert (
        line
        == "poke: algo.lr=interval(1e-5,1e-1) is an interval to search: add hydra/sweeper=optuna"
    )
    assert not Path(sweep.directory / "sweep.csv").exists()
