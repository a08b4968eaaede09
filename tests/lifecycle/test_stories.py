"""Lives of runs drawn at random, each compared with an undisturbed run; see benchmarks/stories.py."""

import os
import subprocess
import sys
from pathlib import Path

FAULTS = Path(__file__).parents[2] / "benchmarks" / "faults.py"


def test_whatever_happens_to_a_run_it_ends_as_if_it_had_not():
    """In a process of its own, which forks: this one may have threads."""
    done = subprocess.run(
        [sys.executable, FAULTS, "stories", "--count", "30"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("nothing lost, nothing damaged, nothing left over\n")
