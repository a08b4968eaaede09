"""The command line of comparison, as a user meets it: in processes, over run directories."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

SAMPLE = {"schema_version": 1, "status": "finished", "started": "2026-03-01T12:00:00+00:00"}
HEAVY = ("torch", "hydra", "omegaconf", "scipy", "pandas", "rich")


@pytest.fixture
def folder(tmp_path):
    for lr in (1e-3, 1e-4):
        for seed in range(3):
            directory = tmp_path / f"outputs/{lr}-{seed}"
            directory.mkdir(parents=True)
            (directory / "config.json").write_text(json.dumps({"seed": seed, "algo": {"lr": lr}}))
            (directory / "run.json").write_text(json.dumps(SAMPLE | {"seed": seed}))
            loss = 1 / lr**0.1 + seed / 100
            (directory / "metrics.csv").write_text(f"step,val/loss\n1,{loss + 1}\n2,{loss}\n")
    return tmp_path


def compare(cwd, *arguments, expect=0, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "poke.compare", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == expect, done.stderr
    return done.stdout if expect == 0 else done.stderr


def test_without_arguments_it_compares_outputs_and_multirun(folder):
    shutil.copytree(folder / "outputs/0.001-0", folder / "multirun/sweep/0")

    text = compare(folder)

    assert text.startswith("val/loss: less is better (min, from its name); 6 runs in 2 groups\n")
    twins = "outputs/0.001-0, multirun/sweep/0"
    assert f"! bit-identical but for the time, counted once: {twins}\n" in text


def test_it_imports_nothing_heavy(folder):
    code = (
        "import sys, poke.compare\n"
        "for arguments in ([], ['--baseline', 'lr=1e-3'], ['--at', '1'], ['show', '0.001-0'],\n"
        "                  ['diff', '0.001-0', '0.001-1'], ['report'], ['watch'],\n"
        "                  ['lineage', '0.001-0']):\n"
        "    assert poke.compare.main(arguments) == 0, arguments\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "[]"


def test_with_and_without_the_cache_the_output_is_equal_byte_for_byte(folder):
    compare(folder, "--no-cache")
    assert not (folder / "outputs/.poke-index.sqlite").exists()
    for form in ("table", "csv", "json"):
        first, second = (compare(folder, "--format", form) for _ in range(2))
        assert first == second == compare(folder, "--format", form, "--no-cache")
    assert (folder / "outputs/.poke-index.sqlite").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "poke: no such directory: nowhere\n"),
        (["--metric", "val/los"], "poke: no run has a metric val/los (did you mean val/loss?)\n"),
        (["--where", "algo.lr"], "poke: --where 'algo.lr' is not KEY OP VALUE"),
        (["--where", "seed=7"], "poke: no run is left after --where and --last\n"),
        (
            ["--baseline", "lr=5"],
            "poke: --baseline 'lr=5' names no group (choose from algo.lr=0.001; ",
        ),
        (["show", "xyz"], "poke: no run is named xyz\n"),
        (["show", "0.001"], "poke: 0.001 names 3 runs: "),
        (["report", "-o", "no/such/folder/r.html"], "poke: [Errno 2]"),
        (["report", "--live", "--metric", "x"], "poke: no run has a metric x"),
        (["lineage", "xyz"], "poke: no run is named xyz\n"),
        (["watch", "nowhere"], "poke: no such directory: nowhere\n"),
    ],
)
def test_what_cannot_be_answered_costs_one_line_and_status_two(folder, arguments, message):
    error = compare(folder, *arguments, expect=2)

    assert error.startswith(message)
    assert error.count("\n") == 1


def test_no_runs_at_all(tmp_path):
    assert compare(tmp_path, expect=2) == "poke: no runs under outputs or multirun\n"


def test_help_has_three_examples():
    text = compare(None, "--help")

    assert text.partition("examples:")[2].count("\n  poke-compare") == 3


def test_a_reader_that_has_seen_enough_is_no_error(folder):
    command = f"{sys.executable} -m poke.compare --format json | head -1"
    done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("{\n", "")


def test_an_output_without_the_letters_is_no_error(folder):
    text = compare(folder, PYTHONIOENCODING="ascii")
    tree = compare(folder, "lineage", "0.001-0", PYTHONIOENCODING="ascii")

    assert "mean ? standard deviation" in text
    assert tree.isascii()


def test_a_narrow_terminal_is_respected(folder):
    text = compare(folder, COLUMNS="72")

    assert max(map(len, text.splitlines())) <= 90
    assert "equal in all" not in text


def test_a_run_may_be_named_by_its_path_from_anywhere(folder):
    path = str(folder / "outputs/0.001-0")

    assert compare(folder.parent, "show", path).startswith(f"{path}: finished")
    assert "seed" in compare(folder, "diff", "outputs/0.001-0", "0.001-1")
    assert "seed" in compare(folder.parent, "diff", "--in", str(folder), "0.001-0", "0.001-1")


def test_a_report_is_written_where_it_is_asked_for(folder):
    text = compare(folder, "report", "-o", "page.html", "--by", "run")

    assert text.startswith("wrote page.html (")
    assert "<!doctype html>" in (folder / "page.html").read_text()


def test_a_folder_without_permission_to_write(folder):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    first = compare(folder, "--no-cache")
    (folder / "outputs").chmod(0o555)
    try:
        assert compare(folder) == first
        assert not (folder / "outputs/.poke-index.sqlite").exists()
    finally:
        (folder / "outputs").chmod(0o755)


@pytest.mark.slow
def test_runs_of_this_project(poke):
    poke(
        *("poke.train", "-m", "network=mlp", "network.hidden_sizes=[8]", "data.batch_size=64"),
        *("trainer.max_steps=4", "trainer.eval_every=2", "algo.warmup_steps=0", "seed=0,1"),
        "logger.tensorboard.enabled=false",
    )

    table = poke("poke.compare", "--format", "json")
    row = json.loads(table)["groups"][0]
    assert sorted(row["seeds"]) == [0, 1]
    assert json.loads(table)["metric"] == "val/loss"

    (sweep,) = Path(poke.cwd, "multirun").glob("*/*")
    first, second = sorted(path for path in sweep.iterdir() if (path / "run.json").exists())
    shown = poke("poke.compare", "show", str(first))
    assert "repeat: cd " in shown
    assert "best.pt" not in shown
    assert "val/loss" in shown
    assert "seed" in poke("poke.compare", "diff", str(first), str(second))
    watched = poke("poke.compare", "watch")
    assert watched.startswith(f"sweep {sweep.relative_to(poke.cwd)}: 2 finished\n")
    assert "0 running, 0 stale, 2 ended" in watched
    assert "finished, step 4, job of sweep" in poke("poke.compare", "lineage", str(first))


def test_a_live_report_is_served_until_it_is_interrupted(folder):
    command = [sys.executable, "-m", "poke.compare", "report", "--live"]
    with subprocess.Popen(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            url = process.stdout.readline().split()[0]
            with urllib.request.urlopen(url, timeout=60) as answer:
                assert "val/loss" in answer.read().decode()
        finally:
            process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)

    assert (process.returncode, rest, errors) == (130, "", "")
    port = url.rstrip("/").rpartition(":")[2]
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", int(port)))
        again.listen()
        taken = compare(folder, "report", "--live", "--port", port, expect=2)
    assert taken == f"poke: --port {port}: Address already in use\n"
    assert not (folder / "report.html").exists()
