"""Sweeps from the command line: run once, gone on with after whatever ended them, whichever launcher runs them."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ..selecting import few
from .conftest import SMALL, account, assert_gone

JOB = (*SMALL, "trainer.eval_every=0", "logger.cli_frequency=0", "device=cpu")
LAUNCHERS = {
    "basic": ("hydra/launcher=basic",),
    "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    "submitit_local": (
        "hydra/launcher=submitit_local",
        "hydra.launcher.timeout_min=5",
        "hydra.sweeper.max_batch_size=3",
    ),
    "ray": ("hydra/launcher=ray", "hydra.launcher.init.num_cpus=2"),
}


# Each of joblib's workers begins anew, with seconds of imports.
EITHER = few(["basic", "joblib"], "basic")

MINE = Path(__file__).parents[1] / "lifecycle" / "mine.py"


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def needs_joblib() -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs poke[sweep]")


class Sweep:
    """One sweep, started again and again."""

    def __init__(self, poke, *arguments: str) -> None:
        if "hydra/launcher=joblib" in arguments:
            needs_joblib()
        self.poke = poke
        self.arguments = ("poke.train", "-m", *JOB, "sweep=grid", *arguments)
        self.directory = poke.cwd / "multirun" / "grid"

    def run(self, *more: str, expect: int = 0) -> str:
        return self.poke(*self.arguments, *more, expect=expect)

    def start(self, *more: str) -> subprocess.Popen:
        return self.poke.start(*self.arguments, *more)

    def accounts(self) -> dict[str, dict]:
        return {p.parent.name: account(p.parent) for p in self.directory.glob("*/run.json")}

    def table(self) -> dict[str, dict[str, str]]:
        with open(self.directory / "sweep.csv", newline="", encoding="utf-8") as file:
            return {row["job"]: row for row in csv.DictReader(file)}

    def wait_for(self, condition, process: subprocess.Popen) -> None:
        deadline = time.monotonic() + 120
        while not condition(self.accounts()):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)


def num_with(status: str, at_least: int):
    return lambda accounts: sum(a["status"] == status for a in accounts.values()) >= at_least


def children_of(process: subprocess.Popen) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def test_a_sweep_run_again_runs_nothing_twice_and_grows(poke):
    sweep = Sweep(poke, "trainer.max_steps=3")
    sweep.run("algo.lr=1e-4,3e-4", "seed=0,1")
    before = sweep.accounts()
    assert len(before) == 4
    assert sorted(before)[0].startswith("algo.lr_0.0001+seed_0-")

    # Spelled otherwise, and with another value of what changes no result.
    out = sweep.run("seed=0,1,2", "algo.lr=0.0001,0.0003", "logger.cli_frequency=50")
    assert "6 jobs (4 finished, 2 pending), 2 to do" in out
    after = sweep.accounts()
    assert len(after) == 6
    assert {name: after[name] for name in before} == before

    rows = sweep.table()
    assert {(row["algo.lr"], row["seed"]) for row in rows.values()} == {
        (lr, seed) for lr in ("0.0001", "0.0003") for seed in ("0", "1", "2")
    }
    for name, row in rows.items():
        assert row["status"] == "finished"
        assert float(row["best"]) == after[name]["best"]["value"]
        assert float(row["final/train/loss"]) == after[name]["final"]["train/loss"]


def test_a_constant_that_becomes_an_axis_finds_its_jobs_again(poke):
    sweep = Sweep(poke, "trainer.max_steps=2")
    sweep.run("algo.lr=1e-4,3e-4", "seed=0")
    assert "4 jobs (2 finished, 2 pending)" in sweep.run("algo.lr=1e-4,3e-4", "seed=0,1")


@pytest.mark.parametrize("launcher", EITHER)
def test_killed_at_any_moment_it_finishes_without_running_a_finished_job_again(poke, launcher):
    kill_and_go_on(poke, launcher)


def kill_and_go_on(poke, launcher: str) -> None:
    """Kill a sweep of eight jobs once two are finished, and give its command again."""
    sweep = Sweep(poke, "trainer.max_steps=200", "seed=range(0,8)", *LAUNCHERS[launcher])
    process = sweep.start()
    sweep.wait_for(num_with("finished", 2), process)
    # Ray's own agents outlive their cluster by a minute.
    family = [p for p in children_of(process) if not p.name().endswith("Agent")]
    process.kill()
    process.communicate()
    assert_gone([p.pid for p in family], within_seconds=120)
    before = {n: a for n, a in sweep.accounts().items() if a["status"] == "finished"}
    assert 2 <= len(before) < 8
    sweep.run()
    after = sweep.accounts()
    assert len(after) == 8
    assert {a["status"] for a in after.values()} == {"finished"}
    assert {name: after[name] for name in before} == before
    assert not (sweep.directory / ".aside").exists()


@pytest.mark.parametrize("launcher", EITHER)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_the_sweep_reaches_every_job(poke, launcher, number, status):
    sweep = Sweep(poke, "trainer.max_steps=30000", "seed=range(0,4)", *LAUNCHERS[launcher])
    process = sweep.start()
    parallel = 1 if launcher == "basic" else 2
    sweep.wait_for(num_with("running", parallel), process)
    family = children_of(process)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == status
    assert_gone([p.pid for p in family], within_seconds=120)
    accounts = sweep.accounts()
    assert len(accounts) == parallel
    for name, about in accounts.items():
        assert about["status"] == "interrupted"
        assert list((sweep.directory / name / "checkpoints").glob("*.pt")) or about["step"] == 0
    assert [r["status"] for r in sweep.table().values()].count("pending") == 4 - parallel


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_reaches_sweep_and_workers_at_once_and_is_no_second_signal(poke):
    sweep = Sweep(poke, "trainer.max_steps=30000", "seed=range(0,4)", *LAUNCHERS["joblib"])
    process = subprocess.Popen(
        [sys.executable, "-m", *sweep.arguments],
        cwd=poke.cwd, env=poke.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    sweep.wait_for(num_with("running", 2), process)
    family = children_of(process)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert_gone([p.pid for p in family], within_seconds=120)
    assert [a["status"] for a in sweep.accounts().values()] == ["interrupted"] * 2


@pytest.mark.slow
def test_workers_notice_that_the_sweep_was_killed_save_and_end(poke):
    sweep = Sweep(poke, "trainer.max_steps=30000", "seed=range(0,4)", *LAUNCHERS["joblib"])
    process = sweep.start()
    sweep.wait_for(num_with("running", 2), process)
    family = children_of(process)
    process.kill()
    process.communicate()
    assert_gone([p.pid for p in family], within_seconds=120)
    accounts = sweep.accounts()
    assert [a["status"] for a in accounts.values()] == ["interrupted"] * 2
    assert {a["exit_reason"] for a in accounts.values()} == {"the sweep's process is gone"}


def test_one_failed_job_stops_no_other_and_is_told_of(poke):
    sweep = Sweep(poke, "algo.warmup_steps=0", "trainer.max_steps=20")
    out = sweep.run("algo.lr=1e-4,1e30,2e-4", expect=1)
    accounts = sweep.accounts()
    assert sorted(a["status"] for a in accounts.values()) == ["failed", "finished", "finished"]
    (name,) = (n for n, a in accounts.items() if a["status"] == "failed")
    table = out[out.index("job  ") :].splitlines()
    assert table[0].split() == ["job", "overrides", "error", "log"]
    assert table[1].startswith(name)
    for part in ("algo.lr=1e+30", accounts[name]["error"], f"multirun/grid/{name}/train.log"):
        assert part in table[1]
    assert "2 of 3 jobs finished, 1 failed" in out
    assert "Traceback" not in out
    assert "Traceback" in (sweep.directory / name / "train.log").read_text()
    assert sweep.table()[name]["error"] == accounts[name]["error"]

    out = sweep.run("algo.lr=1e-4,1e30", expect=1)
    assert "2 jobs (1 failed, 1 finished), 1 to do" in out
    (kept,) = (sweep.directory / ".aside").iterdir()
    assert account(kept)["started"] == accounts[name]["started"]
    assert account(sweep.directory / name)["started"] > accounts[name]["started"]


def test_a_job_that_the_disk_failed_goes_on_and_one_that_failed_itself_begins_again(poke):
    shutil.copy(MINE, poke.cwd)
    poke.env["PYTHONPATH"] = os.pathsep.join([str(poke.cwd), poke.env.get("PYTHONPATH", "")])
    faulty = "++algo._target_=mine.Faulty"  # raises OSError after step 50 while there is a file
    sweep = Sweep(poke, faulty, "trainer.max_steps=60", "checkpoint.save_every=20", "seed=0,1")
    (poke.cwd / "cause").touch()
    sweep.run("sweep.max_parallel=1", expect=1)
    before = sweep.accounts()
    assert [(a["status"], a["cause"]) for a in before.values()] == [("failed", "outside")] * 2
    assert [row["status"] for row in sweep.table().values()] == ["failed"] * 2

    (poke.cwd / "cause").unlink()
    (again, goes_on) = sorted(before)
    path = sweep.directory / again / "run.json"
    path.write_text(json.dumps({**before[again], "cause": "own"}))
    sweep.run()
    after = sweep.accounts()
    assert {a["status"] for a in after.values()} == {"finished"}
    assert [s["from_step"] for s in after[goes_on]["sessions"]] == [0, 40]
    assert [s["from_step"] for s in after[again]["sessions"]] == [0]
    assert [p.name for p in (sweep.directory / ".aside").iterdir()] == [f"{again}.1"]


@pytest.mark.slow
def test_a_users_own_primary_config_and_presets_hold_for_all_jobs(poke):
    """Folders relative to where the command was given, read again by the launcher's own processes."""
    needs_joblib()
    conf = poke.cwd / "conf"
    (conf / "experiment").mkdir(parents=True)
    (conf / "mine.yaml").write_text(
        "defaults: [train, _self_]\ntrainer: {max_steps: 2, eval_every: 0}\nsweep: {name: own}\n"
    )
    (conf / "experiment" / "wide.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /hydra/launcher: joblib\n"
        "hydra: {launcher: {n_jobs: 2}, sweep: {dir: 'all/${sweep.name}'}, sweeper: {params: {seed: '0,1'}}}\n"
        "algo: {weight_decay: 0.5}\n"
    )
    for primary in (("--config-dir", "conf"), ("--config-path", "conf")):
        sweep = (*primary, "--config-name", "mine", "experiment=wide", *JOB, "network=glob(mlp*)")
        poke("poke.train", "-m", *sweep)
        accounts = [account(p.parent) for p in (poke.cwd / "all" / "own").glob("*/run.json")]
        assert len(accounts) == 4
        assert {(a["status"], a["step"], len(a["sessions"])) for a in accounts} == {
            ("finished", 2, 1)
        }
        configs = [read(p) for p in (poke.cwd / "all" / "own").glob("*/config.json")]
        assert {c["algo"]["weight_decay"] for c in configs} == {0.5}
        assert {c["seed"] for c in configs} == {0, 1}


def test_fail_fast_stops_the_others(poke):
    sweep = Sweep(poke, "algo.warmup_steps=0", "trainer.max_steps=20", "sweep.fail_fast=true")
    sweep.run("algo.lr=1e-4,1e30,2e-4,3e-4", expect=1)
    assert sorted(a["status"] for a in sweep.accounts().values()) == ["failed", "finished"]


@pytest.mark.slow
def test_a_worker_that_dies_costs_nothing_but_its_last_steps(poke):
    sweep = Sweep(poke, "trainer.max_steps=2000", "seed=range(0,3)", *LAUNCHERS["joblib"])
    process = sweep.start()
    sweep.wait_for(num_with("running", 2), process)
    victim = next(iter(sweep.accounts().values()))["sessions"][-1]["pid"]
    assert victim != process.pid
    os.kill(victim, signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    assert "the launcher broke down" in out
    assert [a["status"] for a in sweep.accounts().values()] == ["finished"] * 3


def test_a_changed_config_is_noticed(poke):
    """The default of a key that no override names changes between two starts."""
    conf = poke.cwd / "conf" / "trainer"
    conf.mkdir(parents=True)
    (conf / "short.yaml").write_text("max_steps: 3\neval_every: 0\n")
    sweep = Sweep(poke, "--config-dir", "conf", "trainer=short", "seed=0,1")
    sweep.run()
    before = sweep.accounts()

    (conf / "short.yaml").write_text("max_steps: 4\neval_every: 0\n")
    line = sweep.run(expect=2).strip().splitlines()[-1]
    assert line.startswith("poke: seed_0-")
    assert "was run with another config: " in line
    assert "trainer.max_steps: 3 -> 4 (sweep.on_change=rerun runs it again" in line
    assert sweep.accounts() == before

    sweep.run("sweep.on_change=ignore")
    assert sweep.accounts() == before
    sweep.run(expect=2)

    sweep.run("sweep.on_change=rerun")
    assert [a["step"] for a in sweep.accounts().values()] == [4, 4]
    assert len(list((sweep.directory / ".aside").iterdir())) == 2
    assert "2 jobs (2 finished), 0 to do" in sweep.run()


def test_a_job_that_was_resumed_with_another_value_contradicts_its_overrides(poke):
    sweep = Sweep(poke, "trainer.max_steps=3", "seed=0,1")
    sweep.run()
    job = sorted(sweep.accounts())[1]
    poke("poke.train", f"resume=multirun/grid/{job}", "trainer.max_steps=5")
    line = sweep.run(expect=2).strip().splitlines()[-1]
    changes = "algo.schedule_steps: 5 -> 3, trainer.max_steps: 5 -> 3"
    assert line.startswith(f"poke: {job} was run with another config: {changes}")


def test_two_processes_never_run_one_sweep(poke):
    sweep = Sweep(poke, "trainer.max_steps=1500", "seed=0,1")
    first = sweep.start()
    sweep.wait_for(num_with("running", 1), first)
    line = sweep.run("sweep.on_busy=error", expect=2).strip()
    assert line.startswith(f"poke: multirun/grid is being run by process {first.pid} on ")
    out = sweep.run()
    assert first.wait(timeout=60) == 0
    first.communicate()
    assert f"waiting for process {first.pid} on " in out
    assert "2 jobs (2 finished), 0 to do" in out


def test_finished_jobs_are_skipped_without_torch(poke, tmp_path):
    sweep = Sweep(poke, "trainer.max_steps=2", "seed=0,1")
    sweep.run()
    arguments = list(sweep.arguments[1:])
    code = (
        "import sys; from poke.train import main; "
        f"status = main({arguments!r}); sys.exit(status or 9 * ('torch' in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=poke.cwd, capture_output=True, text=True, env=poke.env
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_a_name_each_sweep_has_its_own_directory(poke):
    for _ in range(2):
        poke("poke.train", "-m", *JOB, "trainer.max_steps=1", "seed=0,1")
    assert len(list(poke.cwd.glob("multirun/*/*/sweep.csv"))) == 2
    assert len(list(poke.cwd.glob("multirun/*/*/*/run.json"))) == 4


def test_hydras_own_sweeper_gets_the_objective_and_runs_nothing_twice(poke):
    sweep = Sweep(poke, "trainer.max_steps=2", "seed=0,1", "hydra/sweeper=basic")
    sweep.run()
    before = sweep.accounts()
    assert len(before) == 2
    sweep.run()
    assert sweep.accounts() == before
    assert Path(sweep.directory / "sweep.csv").exists()
