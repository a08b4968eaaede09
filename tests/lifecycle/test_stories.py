"""Lives of runs drawn at random, each compared with an undisturbed run; see benchmarks/stories.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = Path(__file__).parents[2] / "benchmarks" / "faults.py"


@pytest.mark.parametrize("count", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_whatever_happens_to_a_run_it_ends_as_if_it_had_not(count):
    """In a process of its own, which forks: this one may have threads."""
    done = subprocess.run(
        [sys.executable, FAULTS, "stories", "--count", str(count)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("nothing lost, nothing damaged, nothing left over\n")
