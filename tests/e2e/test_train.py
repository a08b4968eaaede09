import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from poke.run.directory import create_run_directory

from .conftest import SMALL, account, kill_at_step, rows

LENGTH = ("trainer.max_steps=900", "trainer.eval_every=200", "checkpoint.save_every=250")


def last_checkpoint(run_dir: Path) -> dict:
    files = sorted(
        run_dir.glob("checkpoints/checkpoint_*.pt"), key=lambda p: int(p.stem.rpartition("step")[2])
    )
    return torch.load(files[-1], weights_only=True)


def assert_equal(a, b, path=""):
    assert type(a) is type(b), path
    if isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            assert_equal(a[key], b[key], f"{path}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal(x, y, f"{path}/{i}")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), path
    else:
        assert a == b or (a != a and b != b), path


def assert_same_run(run_dir: Path, reference: Path) -> None:
    assert rows(run_dir) == rows(reference)
    ours, theirs = last_checkpoint(run_dir), last_checkpoint(reference)
    for part in ("algorithm", "source", "trainer"):
        assert_equal(ours["components"][part], theirs["components"][part], part)
    assert_equal(ours["random_states"], theirs["random_states"], "random_states")


@pytest.fixture(scope="module")
def reference(session_poke) -> Path:
    """An uninterrupted run."""
    run_dir = session_poke.cwd / "reference"
    session_poke.train(*LENGTH, run_dir=str(run_dir))
    return run_dir


def test_a_run_directory_explains_itself(reference):
    text = (reference / "config.yaml").read_text()
    assert "${" not in text
    config = yaml.safe_load(text)
    assert config["algo"]["schedule_steps"] == 900
    assert json.loads((reference / "config.json").read_text())["network"]["hidden_sizes"] == [8]
    assert (reference / ".hydra" / "overrides.yaml").is_file()

    about = account(reference)
    assert about["status"] == "finished"
    assert about["step"] == 900
    assert about["seed"] == 0
    assert about["device"] == "cpu"
    (session,) = about["sessions"]
    assert session["packages"]["torch"] == torch.__version__  # as it says itself, build and all
    assert session["command"][:3] == ["python", "-m", "poke.train"]
    assert (session["from_step"], session["to_step"]) == (0, 900)
    assert session["exit_reason"] == "reached trainer.max_steps"
    assert about["exit_reason"] == "reached trainer.max_steps"
    assert about["final"]["val/loss"] >= about["best"]["value"] > 0

    metrics = pd.read_csv(reference / "metrics.csv")
    for column in (
        "step",
        "time",
        "train/loss",
        "train/accuracy",
        "train/grad_norm",
        "val/loss",
        "val/accuracy",
    ):
        assert column in metrics.columns
    assert metrics["step"].is_monotonic_increasing
    assert metrics.loc[metrics["val/loss"].notna(), "step"].tolist() == [200, 400, 600, 800, 900]
    assert "finished at step 900" in (reference / "train.log").read_text()


def test_checkpoints_are_the_newest_and_the_best(reference):
    index = json.loads((reference / "checkpoints" / "checkpoints.json").read_text())
    assert index
    files = list((reference / "checkpoints").glob("checkpoint_epoch*_step*.pt"))
    assert len(files) <= 6
    best = torch.load(reference / "checkpoints" / "best.pt", weights_only=True)
    assert best["metadata"]["metrics"]["val/loss"] == account(reference)["best"]["value"]
    assert set(last_checkpoint(reference)) == {
        "components",
        "metadata",
        "random_states",
        "format_version",
    }


def test_the_console_changes_nothing_in_metrics(poke, reference):
    poke.train(*LENGTH, "logger.cli_frequency=300", run_dir="run")
    logged = (poke.cwd / "run" / "train.log").read_text().splitlines()
    printed = [line for line in logged if "train  loss" in line]
    assert len(printed) == 4  # steps 1, 300, 600, 900
    assert rows(poke.cwd / "run") == rows(reference)


@pytest.mark.parametrize(
    ("step", "how"),
    [(100, "poke"), pytest.param(300, "anew", marks=pytest.mark.slow), (700, "poke")],
)
def test_killed_and_resumed_it_is_as_if_it_had_never_stopped(request, reference, step, how):
    poke = request.getfixturevalue(how)
    run_dir = poke.cwd / "run"
    process = poke.start("poke.train", *SMALL, *LENGTH, f"hydra.run.dir={run_dir}")
    kill_at_step(process, run_dir, step)
    assert process.returncode == -signal.SIGKILL
    assert account(run_dir)["status"] == "running"
    poke("poke.train", f"resume={run_dir}")
    first, second = account(run_dir)["sessions"]
    assert (first["ended"], first["to_step"]) == (None, None)
    assert second["from_step"] <= step
    assert account(run_dir)["status"] == "finished"
    assert_same_run(run_dir, reference)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_run_in_good_order(poke, reference, number, status):
    run_dir = poke.cwd / "run"
    process = poke.start("poke.train", *SMALL, *LENGTH, f"hydra.run.dir={run_dir}")
    kill_at_step(process, run_dir, 300, number)
    assert process.returncode == status
    about = account(run_dir)
    assert about["status"] == "interrupted"
    assert last_checkpoint(run_dir)["metadata"]["step"] == about["step"] < 900
    poke("poke.train", f"resume={run_dir}")
    assert account(run_dir)["status"] == "finished"
    assert_same_run(run_dir, reference)


def test_a_finished_run_may_grow(poke):
    poke.train(
        "trainer.max_steps=100", "algo.schedule_steps=200", "trainer.eval_every=50", run_dir="grown"
    )
    poke("poke.train", "resume=grown", "trainer.max_steps=200")
    poke.train(
        "trainer.max_steps=200", "algo.schedule_steps=200", "trainer.eval_every=50", run_dir="whole"
    )
    assert_same_run(poke.cwd / "grown", poke.cwd / "whole")
    assert account(poke.cwd / "grown")["sessions"][1]["overrides"] == ["trainer.max_steps=200"]
    assert (
        yaml.safe_load((poke.cwd / "grown" / "config.yaml").read_text())["trainer"]["max_steps"]
        == 200
    )


def test_resuming_from_an_older_checkpoint_leaves_the_newer_ones_behind(poke):
    poke.train(
        "trainer.max_steps=120",
        "checkpoint.save_every=40",
        "algo.schedule_steps=120",
        run_dir="run",
    )
    file = next((poke.cwd / "run" / "checkpoints").glob("checkpoint_*_step40.pt"))
    before = rows(poke.cwd / "run")
    poke("poke.train", f"resume={file}")
    assert rows(poke.cwd / "run") == before
    assert account(poke.cwd / "run")["sessions"][1]["from_step"] == 40


def test_a_run_killed_before_its_first_step_begins_again(poke, reference):
    run_dir = poke.cwd / "run"
    shutil.copytree(reference, run_dir)
    for name in (
        "checkpoints",
        "train.log",
    ):  # what it had written to metrics.csv must not be there twice
        path = run_dir / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    out = poke("poke.train", f"resume={run_dir}")
    assert "beginning again" in out
    assert_same_run(run_dir, reference)


def test_two_runs_with_one_csv_file_never_touch_each_others_rows(poke):
    shared = poke.cwd / "shared.csv"
    options = (
        f"logger.csv.location={shared}",
        "logger.backend_frequency=5",
        "trainer.max_steps=20",
    )
    poke.train(*options, run_dir="first")
    whole = shared.read_bytes()
    out = poke.train(*options, "algo.lr=1e-4", run_dir="second", expect=2)
    assert out.splitlines()[-1] == (
        f"poke: failed: {shared} holds the rows of another run (traceback in second/train.log)"
    )
    assert shared.read_bytes() == whole
    poke("poke.train", "resume=first", "trainer.max_steps=40")
    with open(shared, newline="") as file:
        steps = [int(row["step"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert steps == [1, *range(5, 41, 5)]


def test_hydra_may_be_verbose_and_keeps_the_overrides_as_they_were_typed(poke):
    typed = ["trainer.max_steps=2", "hydra.verbose=true"]
    poke.train(*typed, run_dir="run")
    kept = poke.cwd / "run" / ".hydra"
    assert yaml.safe_load((kept / "overrides.yaml").read_text()) == [*SMALL, typed[0]]
    hydra = yaml.safe_load((kept / "hydra.yaml").read_text())["hydra"]
    assert hydra["overrides"]["hydra"] == [typed[1], "hydra.run.dir='run'"]
    assert hydra["run"]["dir"] == "run"


def test_the_terminal_shows_what_the_config_asks_for_and_train_log_all_of_it(poke):
    out = poke.train(
        "logger.cli_frequency=5",
        "trainer.max_steps=20",
        "trainer.eval_every=10",
        "logger.console.metrics=[train/lr,val/acc*]",
        run_dir="run",
    )
    lines = out.splitlines()
    header = next(line for line in lines if line.startswith("step "))
    assert header.split() == ["step", "epoch", "val/loss", "loss", "steps/s", "ETA", "lr"]
    assert [line.split()[-1] for line in lines if line.endswith("accuracy")] == ["accuracy"]
    evaluated = [line for line in lines if "*" in line]
    assert len(evaluated) == 2
    assert max(map(len, lines)) <= 80
    logged = (poke.cwd / "run" / "train.log").read_text().splitlines()
    assert sum("train  loss" in line and "grad_norm" in line for line in logged) == 5


def test_a_replay_between_two_checkpoints_is_bit_equal(poke, reference):
    out = poke("poke.verify", str(reference))
    assert out.endswith("bit-equal: every tensor and number of every component\n")


def test_a_replay_that_differs_names_the_first_difference(poke, reference):
    run_dir = poke.cwd / "run"
    shutil.copytree(reference, run_dir)
    config = (run_dir / "config.yaml").read_text()
    (run_dir / "config.yaml").write_text(config.replace("lr: 0.001", "lr: 0.002"))
    out = poke("poke.verify", str(run_dir), expect=1)
    assert "differs first at policy.network.layers.0.weight[" in out


def test_a_warm_start_takes_the_best_weights_of_another_run(poke, reference):
    out = poke.train(f"init_from={reference}", "trainer.max_steps=1", run_dir="run")
    assert "starting from 4 weights of" in out
    first = next((poke.cwd / "run" / "checkpoints").glob("*_step0.pt"))
    ours = torch.load(first, weights_only=True)["components"]["policy"]["network"]
    best = torch.load(reference / "checkpoints" / "best.pt", weights_only=True)
    assert_equal(ours, best["components"]["policy"]["network"])
    parent = account(poke.cwd / "run")["parent"]
    assert (parent["run"], parent["how"]) == (str(reference), "init_from")


def test_a_warm_start_that_does_not_fit_is_refused_or_said(poke, reference):
    change = (f"init_from={reference}", "network.hidden_sizes=[9]", "trainer.max_steps=1")
    out = poke.train(*change, run_dir="refused", expect=1)
    assert "layers.0.bias and 2 more has shape (8,) there and (9,) here" in out
    out = poke.train(*change, "init_from.strict=false", run_dir="said")
    assert "of another shape, left as initialised: layers.0.bias, layers.0.weight" in out


def test_what_cannot_be_resumed_is_said_in_one_line(poke):
    (poke.cwd / "empty").mkdir()
    for where, line in [
        ("nowhere", "poke: resume=nowhere: nowhere does not exist"),
        ("empty", "poke: resume=empty: empty is no run directory: it holds no config.yaml"),
    ]:
        assert poke("poke.train", f"resume={where}", expect=2).strip() == line


def test_a_run_directory_belongs_to_one_process(poke):
    run_dir = poke.cwd / "run"
    process = poke.start(
        "poke.train", *SMALL, "trainer.max_steps=100000", f"hydra.run.dir={run_dir}"
    )
    try:
        while not (run_dir / "metrics.csv").exists():
            assert process.poll() is None
        out = poke("poke.train", f"resume={run_dir}", expect=2)
        assert (
            out.strip()
            .splitlines()[-1]
            .startswith(f"poke: {run_dir} is in use by process {process.pid} on ")
        )
    finally:
        process.kill()
        process.communicate()


def test_divergence_stops_the_run_and_says_where(poke):
    out = poke.train(
        "algo.lr=1e30", "algo.warmup_steps=0", "trainer.max_steps=50", run_dir="run", expect=1
    )
    about = account(poke.cwd / "run")
    assert about["status"] == "failed"
    assert about["error"].startswith("NonFiniteError: loss is")
    line = next(line for line in out.splitlines() if line.startswith("poke: failed"))
    assert f"after step {about['step']}" in line
    emergency = next((poke.cwd / "run" / "checkpoints").glob("emergency_*.pt"))
    assert emergency.name in out
    weights = torch.load(emergency, weights_only=True)["components"]["policy"]["network"]
    assert all(torch.isfinite(w).all() for w in weights.values())
    log = (poke.cwd / "run" / "train.log").read_text()
    assert "Traceback" in log
    assert "Traceback" not in out


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.path=nowhere.parquet", "nowhere.parquet"),
        (
            "data.path=sample:nothing",
            "no sample nothing is shipped with poke (there are: gen1randombattle)",
        ),
        ("checkpoint.monitor=val/los", "did you mean val/loss"),
        ("device=cuda", "no CUDA device"),
    ],
)
def test_what_only_shows_at_run_time_is_said_in_one_line_too(poke, override, words):
    if override == "device=cuda" and torch.cuda.is_available():
        pytest.skip("a CUDA device is there")
    out = poke.train(
        "trainer.max_steps=5", "trainer.eval_every=5", override, run_dir="run", expect=None
    )
    assert words in out
    assert "Traceback" not in out
    assert not (poke.cwd / "run").exists()


def test_a_sweep_gives_each_job_a_directory(poke):
    poke(
        "poke.train",
        *SMALL,
        "-m",
        "algo.lr=1e-4,3e-4",
        "seed=0,1",
        "trainer.max_steps=3",
        "sweep=grid",
    )
    accounts = [
        json.loads(p.read_text()) for p in (poke.cwd / "multirun" / "grid").glob("*/run.json")
    ]
    assert len(accounts) == 4
    assert {a["status"] for a in accounts} == {"finished"}
    assert {(a["seed"], a["final"]["train/lr"] > 0) for a in accounts} == {(0, True), (1, True)}


def test_a_mistake_in_a_sweep_is_found_before_any_job_runs(poke):
    out = poke("poke.train", "-m", "algo.lr=1e-4,abc", expect=2)
    assert out.strip() == "poke: algo.lr must be a number, not 'abc'"
    assert not (poke.cwd / "multirun").exists()


def test_wandb_offline_needs_no_network_and_no_account(poke):
    poke.train("logger.wandb.mode=offline", "trainer.max_steps=3", run_dir="run")
    assert list((poke.cwd / "run").glob("wandb/offline-run-*/*.wandb"))


def test_a_sink_is_added_by_config_alone(poke):
    copy = "{_target_: poke.training.writers.CsvWriter, enabled: true, location: copy.csv}"
    poke.train(f"+logger.copy={copy}", "trainer.max_steps=3", run_dir="run")
    frames = [pd.read_csv(poke.cwd / "run" / name) for name in ("metrics.csv", "copy.csv")]
    pd.testing.assert_frame_equal(*[frame.drop(columns="time") for frame in frames])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["algo.lrr=1"],
        ["algo=bcc"],
        ["resume=nowhere"],
        ["algo=ppo", "env.id=CartPol-v1"],
    ],
)
def test_help_and_mistakes_are_answered_without_torch(arguments, tmp_path):
    code = f"import sys; from poke.train import main; main({arguments!r}); sys.exit('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("algo", [SMALL, ("algo=ppo", "eval.episodes=1", "data.num_steps=32")])
def test_a_run_and_its_resume_import_nothing_dear_that_they_do_not_use(algo, tmp_path):
    """Each of these takes a good part of a second, of every start."""
    first = [*algo, "trainer.max_steps=3", "logger.tensorboard.enabled=false", "hydra.run.dir=run"]
    code = (
        f"import sys; from poke.train import main; assert main({first!r}) == 0; "
        "assert main(['resume=run', 'trainer.max_steps=6']) == 0; "
        "sys.exit(', '.join({'torch._dynamo', 'pandas', 'wandb'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_help_names_groups_knobs_and_examples(poke):
    text = poke("poke.train", "--help")
    for words in (
        "algo=",
        "network=",
        "checkpoint.monitor=",
        "logger.cli_frequency=",
        "Examples",
        "seed=",
    ):
        assert words in text


DOORS = sorted(
    path.stem
    for path in (Path(__file__).parents[2] / "src" / "poke").glob("*.py")
    if not path.stem.startswith("_") and '__name__ == "__main__"' in path.read_text()
)


def test_every_command_is_listed_in_a_line(poke):
    lines = poke("poke").splitlines()
    listed = [line.split()[2] for line in lines if line.startswith("  python -m poke.")]
    assert sorted(listed) == [f"poke.{door}" for door in DOORS]
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 24


def test_it_is_said_where_runs_are(poke):
    assert poke("poke").endswith("\nRuns here: none in outputs/, none in multirun/\n")
    for place in ("outputs/day/b", "outputs/day/a", "outputs/mine", "multirun/lr/job"):
        (poke.cwd / place).mkdir(parents=True)
        (poke.cwd / place / "run.json").write_text("{}")
    os.utime(poke.cwd / "outputs/day/a/run.json", ns=(0, 1 << 61))
    told = "\nRuns here: 3 in outputs/, 1 in multirun/\nNewest:    outputs/day/a\n"
    assert poke("poke").endswith(told)


def test_runs_started_at_once_never_share_a_directory(tmp_path):
    made = [create_run_directory(tmp_path / "outputs") for _ in range(200)]
    assert len(set(made)) == 200


@pytest.mark.slow
def test_it_works_from_an_installed_wheel_in_an_empty_folder(anew, tmp_path):
    root = Path(__file__).parents[2]
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
    ]
    subprocess.run([*build, str(tmp_path / "dist"), str(root)], check=True)
    wheel = next((tmp_path / "dist").glob("*.whl"))
    site = tmp_path / "site"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(site),
    ]
    subprocess.run([*install, str(wheel)], check=True)
    anew.cwd = tmp_path / "empty"
    anew.cwd.mkdir()
    anew.env["PYTHONPATH"] = str(site)
    where = subprocess.run(
        [sys.executable, "-c", "import poke; print(poke.__file__)"],
        cwd=anew.cwd, env=anew.env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.startswith(str(site))
    anew("poke.train", "algo=bc", "trainer.max_steps=2", "network=mlp")
    (run_dir,) = anew.runs()
    assert account(run_dir)["status"] == "finished"
