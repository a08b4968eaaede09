"""The examples, run as their first lines say, by somebody in a folder of their own."""

import ast
import csv
import json
import os
import re
import shlex
import statistics
from pathlib import Path

import pytest

import poke

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted(EXAMPLES.glob("*.py"))
NOTEBOOK = EXAMPLES / "compare_runs.ipynb"
BATTLES = EXAMPLES.parent / "tests" / "e2e" / "battles.parquet"
SMALL = ("network=mlp", "network.hidden_sizes=[8]", f"data.path={BATTLES}", "device=cpu")
SHORT = ("hydra.run.dir=run", "device=cpu", "logger.tensorboard.enabled=false")
OFFLINE = ("trainer.max_steps=40", "trainer.eval_every=20")
ONLINE = ("trainer.max_steps=512", "trainer.eval_every=512", "eval.episodes=3")
LENGTHS = {
    "own_algorithm": OFFLINE,
    "own_source": OFFLINE,
    "own_sink": OFFLINE,
    "own_network": ONLINE,
    "own_environment": ONLINE,
    "masked_game": ONLINE,
}


@pytest.fixture
def run(zygote, tmp_path):
    """Runs python in a folder and returns what it printed."""

    def run(cwd, *arguments, expect=0):
        with open(tmp_path / "said.txt", "w+") as output:
            command = zygote.start(*arguments, cwd=cwd, env=os.environ, output=output)
            assert command.wait(timeout=300) == expect, said(output)
            assert "Traceback" not in said(output)
            return said(output)

    return run


def said(output):
    output.seek(0)
    return output.read()


def rows(run_dir):
    """A run's metrics but for what the clock decides."""
    with open(run_dir / "metrics.csv", newline="") as file:
        return [
            {k: v for k, v in row.items() if k != "time" and not k.startswith(("time/", "system/"))}
            for row in csv.DictReader(file)
        ]


@pytest.mark.parametrize("name", LENGTHS)
def test_an_example_trains(run, tmp_path, name):
    text = run(tmp_path, EXAMPLES / f"{name}.py", *SHORT, *LENGTHS[name])
    assert "finished at step" in text
    account = json.loads((tmp_path / "run" / "run.json").read_text())
    assert account["status"] == "finished"
    assert rows(tmp_path / "run")
    if name == "own_sink":
        lines = (tmp_path / "run" / "rows.jsonl").read_text().splitlines()
        assert {json.loads(line)["category"] for line in lines} >= {"train", "val"}


def test_every_example_is_run_here():
    others = {"load_and_play", "sweep_on_joblib", "showdown_bot"}
    assert {file.stem for file in FILES} == {*LENGTHS, *others}
    assert [file for file in EXAMPLES.glob("*.*") if file not in FILES] == [NOTEBOOK]


def test_a_policy_is_loaded_and_played(run, tmp_path):
    line = run(tmp_path, EXAMPLES / "load_and_play.py").splitlines()[-1]
    worth = float(line.removeprefix("an episode is worth "))
    assert 8 <= worth <= 500
    again = run(tmp_path, EXAMPLES / "load_and_play.py", "outputs/cartpole").splitlines()
    assert again == [line]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_is_short_and_says_how_it_is_run(file):
    text = file.read_text()
    tree = ast.parse(text)
    assert len(text.splitlines()) <= 60
    assert f"python examples/{file.name}" in ast.get_docstring(tree)
    parts = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert all(part.end_lineno - part.lineno < 40 for part in parts)


@pytest.mark.parametrize("name", ["own_algorithm", "own_source"])
@pytest.mark.slow
def test_a_run_of_ones_own_parts_goes_on_as_if_it_had_never_stopped(run, tmp_path, name):
    common = (*SHORT[1:], "trainer.eval_every=20", "logger.backend_frequency=5")
    if name == "own_source":  # there bc's learning rate goes by the length
        common = (*common, "algo.schedule_steps=40")
    example = EXAMPLES / f"{name}.py"
    run(tmp_path, example, *common, "hydra.run.dir=whole", "trainer.max_steps=40")
    run(tmp_path, example, *common, "hydra.run.dir=run", "trainer.max_steps=20")
    run(tmp_path, example, *common, "resume=run", "trainer.max_steps=40")
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")
    once, resumed = (
        poke.load(tmp_path / where, checkpoint="newest").get_state()["network"]
        for where in ("whole", "run")
    )
    assert all((resumed[name] == weights).all() for name, weights in once.items())


def test_a_sink_of_ones_own_is_cut_where_a_resumed_run_goes_on(run, tmp_path):
    example, length = EXAMPLES / "own_sink.py", "trainer.max_steps=40"
    run(tmp_path, example, *SHORT, length, "checkpoint.save_every=20")
    first = sorted((tmp_path / "run" / "checkpoints").glob("*step20.pt"))[0]
    run(tmp_path, example, *SHORT[1:], f"resume={first}", length)
    lines = (tmp_path / "run" / "rows.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == sorted(steps)
    assert len(lines) == len(
        {(json.loads(line)["category"], json.loads(line)["step"]) for line in lines}
    )


def test_installed_commands_find_modules_in_the_working_directory(run, tmp_path):
    """As pip writes them, in a folder of their own, which python puts where `python -m` has the working directory."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "mine.py").write_text((EXAMPLES / "own_algorithm.py").read_text())
    for command in ("train", "record"):
        (tmp_path / "bin" / f"poke-{command}").write_text(
            f"import sys\nfrom poke.__main__ import {command}\nsys.exit({command}())\n"
        )
    own = ("algo._target_=mine.Cloning", *SHORT, *OFFLINE)
    assert "finished" in run(tmp_path / "here", tmp_path / "bin" / "poke-train", *own)
    other = ("env._target_=mine.Recorder", "out=x.parquet")
    line = run(tmp_path / "here", tmp_path / "bin" / "poke-record", *other, expect=2)
    assert line == "poke: env._target_=mine.Recorder: mine has no Recorder\n"


@pytest.mark.slow
def test_a_sweep_is_run_and_its_table_printed(run, tmp_path):
    pytest.importorskip("joblib", reason="needs joblib: pip install 'poke[sweep]'")
    example = (EXAMPLES / "sweep_on_joblib.py", *SMALL, "trainer.max_steps=4", "seed=0,1")
    lines = run(tmp_path, *example).splitlines()
    assert "4 of 4 jobs finished, 0 failed" in lines
    table = lines[lines.index("4 of 4 jobs finished, 0 failed") :]
    assert "4 runs in 2 groups" in table[1]
    assert {line.split()[0] for line in table if "±" in line.partition("mean")[0]} == {
        *("0.003", "0.0003")
    }
    grown = run(tmp_path, *example, "algo.lr=3e-4,1e-3,3e-3")
    assert "6 jobs (4 finished, 2 pending), 2 to do" in grown


def cells(kind):
    """What the cells of one kind hold, in order."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    found = [cell for cell in notebook["cells"] if cell["cell_type"] == kind]
    assert all(not cell.get("outputs") and not cell.get("execution_count") for cell in found)
    return ["".join(cell["source"]) for cell in found]


def test_the_notebook_compares_the_sweep_that_it_asks_for(run, tmp_path, monkeypatch):
    assert sum(len(cell.splitlines()) for cell in cells("code")) < 60
    command = re.search(r"python (-m poke\.train .*)", cells("markdown")[0])[1]
    length = ("trainer.max_steps=4", "trainer.eval_every=2")
    run(tmp_path, *shlex.split(command), *SMALL, *length)
    monkeypatch.chdir(tmp_path)
    names = {}
    for cell in cells("code"):
        exec(compile(cell, NOTEBOOK, "exec"), names)  # as a kernel would, one after the other
    losses = {}
    for run_dir in sorted((tmp_path / "multirun" / "lr").glob("*/run.json")):
        rate = float(re.search(r"algo\.lr_([\d.]+)", run_dir.parent.name)[1])
        loss = [row["val/loss"] for row in rows(run_dir.parent) if row["val/loss"]][-1]
        losses.setdefault(rate, []).append(float(loss))
    assert [len(of_seeds) for of_seeds in losses.values()] == [3, 3, 3]
    means = {rate: statistics.mean(of_seeds) for rate, of_seeds in losses.items()}
    summary = names["summary"]
    assert summary["algo.lr"].tolist() == sorted(means, key=means.get)
    assert summary["mean"].tolist() == pytest.approx(sorted(means.values()))
    at_the_end = names["curves"]["mean"].loc[4]
    assert at_the_end.to_dict() == pytest.approx(means)
    assert names["best"]["val/loss"][0] == pytest.approx(min(min(one) for one in losses.values()))
    assert str(names["policy"].action_space) == "one of 10"


@pytest.fixture
def server(installed):
    """A real server of Pokemon Showdown, on this machine."""
    pytest.importorskip("poke_env", reason="needs poke-env: pip install 'poke[showdown]'")
    from poke.envs.showdown.server import ShowdownServer

    with ShowdownServer() as running:
        yield running


def bot(zygote, cwd, name, *arguments):
    env = {**os.environ, "POKE_SHOWDOWN_USERNAME": name, "POKE_SHOWDOWN_PASSWORD": ""}
    return zygote.start(EXAMPLES / "showdown_bot.py", *arguments, cwd=cwd, env=env)


@pytest.mark.showdown
@pytest.mark.slow
def test_one_bot_challenges_another_on_a_server(run, zygote, server, tmp_path):
    length = ("trainer.max_steps=20", "hydra.run.dir=run")
    run(tmp_path, "-m", "poke.train", *SMALL, *length)
    ann = bot(zygote, tmp_path, "Ann", "run", server.websocket_url)
    assert ann.stdout.readline() == f"{server.websocket_url} has let Ann in\n"
    ben = bot(zygote, tmp_path, "Ben", "run", server.websocket_url, "Ann")
    said = {}
    for name, one in (("Ann", ann), ("Ben", ben)):
        out, err = one.communicate(timeout=300)
        assert (one.returncode, err) == (0, ""), out + err
        said[name] = out.splitlines()[-1]
    told = re.fullmatch(r"(won|lost|drawn) against Ann in (\d+) turns", said["Ben"])
    mirrored = {"won": "lost", "lost": "won", "drawn": "drawn"}[told[1]]
    assert said["Ann"] == f"{mirrored} against Ben in {told[2]} turns"


@pytest.mark.showdown
def test_a_bot_that_cannot_play_says_why_in_a_line(zygote, server, tmp_path):
    nowhere = bot(zygote, tmp_path, "Ann", "nowhere", server.websocket_url)
    out, err = nowhere.communicate(timeout=60)
    assert (nowhere.returncode, out) == (1, "")
    (line,) = err.splitlines()
    assert "nowhere" in line
