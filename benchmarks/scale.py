"""What a sweep itself costs: jobs replaced by a stub that only writes what a finished run leaves.

    python benchmarks/scale.py [NUM_JOBS]

Runs NUM_RUN stub jobs of a sweep of NUM_JOBS, writes what the others would have left, and starts the sweep again.
Reports, beside `import torch` in the same run: the cost a job, Hydra's own composition told apart; the parent's
memory; the time to see that all jobs are finished.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time

NUM_RUN = 100

STUB = """
import os, resource, sys, time
from pathlib import Path
from poke import train
from poke.sweep import job, naming
from poke.run import life
from poke.run.files import read_json, write_json

def leave(run_dir, plain, overrides):
    write_json(run_dir / "config.json", plain)
    best = {"metric": "val/loss", "mode": "min", "value": 1.0, "step": 1}
    packages = {f"package-{i}": "1.0" for i in range(140)}
    account = {"status": "finished", "step": 1, "overrides": overrides, "resumes": [], "packages": packages}
    write_json(run_dir / "run.json", account | {"final": {"val/loss": 1.0}, "best": best, "error": None})

def begin(self, plain, run_dir, overrides):
    leave(run_dir, plain, overrides)
    return life.Outcome("finished", 0, 1.0, None)

num_known = int(sys.argv.pop(1))
if num_known:
    folder = Path("multirun/scale")
    plain = read_json(next(folder.glob("seed_0-*")) / "config.json")
    for seed in range(num_known):
        overrides = [f"seed={seed}"]
        run_dir = folder / naming.job_name(overrides)
        if not run_dir.exists():
            run_dir.mkdir()
            leave(run_dir, plain | {"seed": seed}, overrides)
job.SweepJob._begin = begin
begun = time.perf_counter()
status = train.main(sys.argv[1:])
print(f"SECONDS {time.perf_counter() - begun} PEAK {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}")
sys.exit(status)
"""
COMPOSE = """
import time
from hydra import compose, initialize_config_dir
from poke.config import composing
with initialize_config_dir(str(composing.config_dir()), version_base="1.3"):
    compose("train", ["seed=0"])
    begun = time.perf_counter()
    for seed in range(20):
        compose("train", [f"seed={seed}"], return_hydra_config=True)
    print(f"SECONDS {(time.perf_counter() - begun) / 20}")
"""


def seconds_of(code: str, *arguments: str, cwd: str) -> tuple[float, float]:
    """Run code in a fresh process; return the seconds and peak MB that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    words = done.stdout.split()
    peak = float(words[words.index("PEAK") + 1]) / 1024 if "PEAK" in words else math.nan
    return float(words[words.index("SECONDS") + 1]), peak


def import_torch() -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - begun


def main() -> None:
    num_jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as cwd:
        torch_seconds = min(import_torch() for _ in range(3))
        compose_seconds, _ = seconds_of(COMPOSE, cwd=cwd)
        few = ("0", "-m", "sweep=scale", f"seed=range({NUM_RUN})")
        run_seconds, run_peak = seconds_of(STUB, *few, cwd=cwd)
        all_jobs = (str(num_jobs), "-m", "sweep=scale", f"seed=range({num_jobs})")
        skip_seconds, skip_peak = seconds_of(STUB, *all_jobs, cwd=cwd)
        torch_again = min(import_torch() for _ in range(3))
    torch_seconds = min(torch_seconds, torch_again)
    run_ms, compose_ms = 1000 * run_seconds / NUM_RUN, 1000 * compose_seconds
    print(f"import torch                      {torch_seconds:.2f} s")
    print(f"Hydra composes one config         {compose_ms:.0f} ms")
    print(
        f"a stub job, of {NUM_RUN}                {run_ms:.0f} ms, of which composing {compose_ms:.0f}"
    )
    print(f"to see that {num_jobs} are finished   {skip_seconds:.2f} s")
    print(f"  / import torch                  {skip_seconds / torch_seconds:.2f}")
    print(f"  a job                           {1000 * skip_seconds / num_jobs:.2f} ms")
    print(f"parent's peak memory, run / skip  {run_peak:.0f} / {skip_peak:.0f} MB")


if __name__ == "__main__":
    main()
