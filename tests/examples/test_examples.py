"""The examples, run as their first lines say, by somebody in a folder of their own."""

import ast
import csv
import json
import os
from pathlib import Path

import pytest

import poke

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted(EXAMPLES.glob("*.py"))
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
    assert {file.stem for file in FILES} == {*LENGTHS, "load_and_play"}


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
