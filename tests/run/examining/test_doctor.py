"""`python -m poke.doctor`, as somebody types it, where all is right and where much is not."""

import json
import os
import subprocess
import sys
from itertools import pairwise

import pytest

# What poke imports somewhere; a doctor may not need any of it.
DEAR = ["torch", "numpy", "hydra", "omegaconf", "filelock", "rich", "packaging", "psutil"]


def doctor(cwd, *arguments, **environment):
    before = os.environ.get("PYTHONPATH", "")
    if "PYTHONPATH" in environment and before:
        environment["PYTHONPATH"] += os.pathsep + before
    return subprocess.run(
        [sys.executable, "-m", "poke.doctor", *arguments],
        cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True,
    )  # fmt: skip


def test_where_all_is_right(tmp_path):
    done = doctor(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "a run can begin"
    named = {line.split()[1] for line in lines if line.startswith(("  ok", "  missing"))}
    assert {"torch", "gpu", "cores", "fsync", "lock", "node", "browser", "sweep"} <= named
    assert not list(tmp_path.iterdir())


def test_programs_get_json_and_may_ask_of_another_folder(tmp_path):
    (tmp_path / "file").touch()
    done = doctor(tmp_path, "file", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["can_run"] is False
    wrong = [f["name"] for f in told["findings"] if f["needed"] and f["status"] != "ok"]
    assert wrong == ["outputs"]


@pytest.mark.parametrize("broken", [DEAR, ["filelock"], ["packaging"], ["torch"]], ids="-".join)
def test_it_does_not_break_on_what_is_broken(broken, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    for name in broken:
        (site / f"{name}.py").write_text("raise ImportError('torn')")
    done = doctor(tmp_path, PYTHONPATH=str(site))
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert any("ImportError: torn" in line for line in lines)
    for line, following in pairwise(lines):
        assert not line.startswith(("  broken", "  missing")) or following.lstrip().startswith(">")
