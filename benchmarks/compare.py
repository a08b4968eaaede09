"""How fast and how small comparison is, each figure against a peer or a limit measured in the same run.

`python benchmarks/compare.py [--runs 1000] [--rows 1000] [--growth] [--mlflow-python PYTHON]`

It generates real run directories (run.json, config.json, config.yaml, metrics.csv) of ROWS rows x 12 columns in a
temporary folder. Peers and ours take turns, and the median of the turns counts.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from live_report import follow
from run_directories import NUM_COLUMNS, generate

SETTLE_SECONDS = 2.2

NAIVE_TABLE = """
import glob, sys, pandas as pd
from omegaconf import OmegaConf
rows = []
for path in sorted(glob.glob(sys.argv[1] + '/**/metrics.csv', recursive=True)):
    config = OmegaConf.load(path.replace('metrics.csv', 'config.yaml'))
    frame = pd.read_csv(path)
    loss = frame['val/loss']
    rows.append({'run': path, 'lr': config.algo.lr, 'last': loss.iloc[-1], 'best': loss.min()})
print(pd.DataFrame(rows).groupby('lr')[['last', 'best']].agg(['mean', 'std']))
"""
NAIVE_HISTORY = """
import glob, sys, time, pandas as pd
start = time.perf_counter()
frames = []
for path in sorted(glob.glob(sys.argv[1] + '/**/metrics.csv', recursive=True)):
    frame = pd.read_csv(path)
    frame['run'] = path
    frames.append(frame)
everything = pd.concat(frames)
print(time.perf_counter() - start)
"""
OUR_HISTORY = """
import sys, time, pandas
from poke.comparison import load_history
start = time.perf_counter()
load_history(sys.argv[1])
print(time.perf_counter() - start)
"""
OUR_SEARCH = """
import sys, time
from poke.comparison.reading.collection import read_runs
read_runs([sys.argv[1]])
times = []
for _ in range(7):
    start = time.perf_counter()
    runs = read_runs([sys.argv[1]])
    times.append(time.perf_counter() - start)
print(sorted(times)[3] / len(runs))
"""
MLFLOW_SEARCH = """
import sys, time, tempfile, mlflow
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient
num_runs = int(sys.argv[1])
with tempfile.TemporaryDirectory() as folder:
    mlflow.set_tracking_uri(f'sqlite:///{folder}/mlflow.db')
    client = MlflowClient()
    experiment = client.create_experiment('runs')
    for number in range(num_runs):
        run = client.create_run(experiment).info.run_id
        client.log_batch(
            run,
            metrics=[Metric(f'm{i}', number + i, 0, 0) for i in range(10)],
            params=[Param(f'p{i}', str(i)) for i in range(40)],
        )
        client.set_terminated(run)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        frame = mlflow.search_runs([experiment], max_results=50000)
        times.append(time.perf_counter() - start)
    assert len(frame) == num_runs
    print(sorted(times[1:])[1] / num_runs)
"""
PEAK = """
import resource, sys, poke.compare
poke.compare.main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
"""


def main() -> None:
    """Generate the runs, take the figures and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument(
        "--growth", action="store_true", help="also ten times the runs (2.3 GB, a minute)"
    )
    parser.add_argument(
        "--mlflow-python", help="an interpreter that has mlflow, if this one has not"
    )
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="poke-compare-"))
    try:
        generate(folder / "runs", options.runs, options.rows)
        measure(folder / "runs", options)
        report_size(folder / "curves")
        long_files(folder / "long")
        follow(folder / "runs")
        if options.growth:
            growth(folder / "many", folder / "runs", options)
    finally:
        shutil.rmtree(folder)


def measure(root: Path, options: argparse.Namespace) -> None:
    """Take the figures of one folder of runs."""
    index = root / ".poke-index.sqlite"
    time.sleep(SETTLE_SECONDS)
    look = [sys.executable, "-m", "poke.compare", str(root)]

    def first_look() -> float:
        index.unlink(missing_ok=True)
        return wall(look)

    turns = min(3, options.turns)
    first, naive = take_turns(
        turns, first_look, lambda: wall([sys.executable, "-c", NAIVE_TABLE, str(root)])
    )
    show("first look / naive notebook", first, naive, "<= 0.125")
    wall(look)
    second, pandas = take_turns(
        options.turns, lambda: wall(look), lambda: wall([sys.executable, "-c", "import pandas"])
    )
    show("second look / import pandas", second, pandas, "<= 1.0")
    runs = sorted((root / "2026-03-01").iterdir())

    def one_percent() -> float:
        for directory in runs[:: max(1, len(runs) // max(1, len(runs) // 100))]:
            with open(directory / "metrics.csv", "a") as file:
                file.write("999999,2026-03-02T00:00:00+00:00" + ",0.5" * (NUM_COLUMNS - 2) + "\n")
        return wall(look)

    def unchanged() -> float:
        time.sleep(SETTLE_SECONDS)
        wall(look)
        return wall(look)

    changed, same = take_turns(turns, one_percent, unchanged)
    show("1 % changed / unchanged", changed, same, "<= 2.5")

    def first_history() -> float:
        index.unlink(missing_ok=True)
        wall(look)
        return told([sys.executable, "-c", OUR_HISTORY, str(root)])

    naive_history = [sys.executable, "-c", NAIVE_HISTORY, str(root)]
    first, naive = take_turns(turns, first_history, lambda: told(naive_history))
    show("load_history, first / pandas loop", first, naive, "<= 0.5")
    again, naive = take_turns(
        turns,
        lambda: told([sys.executable, "-c", OUR_HISTORY, str(root)]),
        lambda: told(naive_history),
    )
    show("load_history, again / pandas loop", again, naive, "<= 0.1")
    python = options.mlflow_python or sys.executable
    if subprocess.run([python, "-c", "import mlflow"], capture_output=True).returncode:
        print("per run / mlflow.search_runs: skipped, mlflow is not installed (--mlflow-python)")
        return
    ours = told([sys.executable, "-c", OUR_SEARCH, str(root)])
    theirs = told([python, "-W", "ignore", "-c", MLFLOW_SEARCH, str(options.runs)])
    show("a run's share / mlflow.search_runs", ours, theirs, "<= 0.02")


def report_size(root: Path) -> None:
    """Measure the report of 20 curves of 200 points."""
    generate(root, 20, 200)
    page = root / "report.html"
    command = [
        sys.executable,
        "-m",
        "poke.compare",
        "report",
        str(root),
        "--by",
        "run",
        "-o",
        str(page),
    ]
    subprocess.run(command, check=True, capture_output=True)
    print(
        f"{'report of 20 curves x 200 points':36s} {os.path.getsize(page) / 1000:8.1f} kB    target <= 200 kB"
    )


def long_files(root: Path) -> None:
    """Measure the memory that a table at a step needs of two files of 22 MB."""
    generate(root, 2, 95_000)
    answer = subprocess.run(
        [sys.executable, "-c", PEAK, str(root), "--at", "50000", "--by", "run"],
        capture_output=True,
        text=True,
        check=True,
    )
    size = sum(path.stat().st_size for path in root.rglob("metrics.csv")) / 2e6
    peak = float(answer.stdout.splitlines()[-1])
    print(f"{f'--at of two files of {size:.0f} MB':36s} {peak:8.0f} MB    target <= 200 MB")


def growth(many: Path, few: Path, options: argparse.Namespace) -> None:
    """Compare a second look at ten times the runs with one at the runs."""
    generate(many, 10 * options.runs, options.rows)
    time.sleep(SETTLE_SECONDS)
    for root in (few, many):
        wall([sys.executable, "-m", "poke.compare", str(root)])
    one, ten = take_turns(
        options.turns,
        lambda: wall([sys.executable, "-m", "poke.compare", str(few)]),
        lambda: wall([sys.executable, "-m", "poke.compare", str(many)]),
    )
    show("second look, 10 x the runs / the runs", ten, one, "<= 10")
    answer = subprocess.run(
        [sys.executable, "-c", PEAK, str(many)], capture_output=True, text=True, check=True
    )
    memory = float(answer.stdout.splitlines()[-1]) / 1e3
    print(f"{'memory at 10 x the runs':36s} {memory:8.2f} GB    target <= 1 GB")


def wall(command: list[str]) -> float:
    """Return how long a process takes, in seconds."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def told(command: list[str]) -> float:
    """Return the seconds that a process prints."""
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(answer.stdout.splitlines()[-1])


def take_turns(
    turns: int, ours: Callable[[], float], theirs: Callable[[], float]
) -> tuple[float, float]:
    """Return both medians, measured alternately."""
    pairs = [(ours(), theirs()) for _ in range(turns)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(
        pair[1] for pair in pairs
    )


def show(name: str, ours: float, theirs: float, target: str) -> None:
    """Print a ratio and what it is made of."""
    print(
        f"{name:36s} {ours / theirs:8.3f}    target {target}   "
        f"({1e3 * ours:.2f} ms / {1e3 * theirs:.2f} ms)",
        flush=True,
    )


if __name__ == "__main__":
    main()
