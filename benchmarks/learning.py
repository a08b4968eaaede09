"""Does it learn as well as published? Runs seeds of a task through the command line and writes what became of them.

    python benchmarks/learning.py cartpole --seeds 5

Of each seed: the mean return of the last 100 training episodes, the step at which that mean first reached the
threshold, and the deterministic evaluation at the end. Published figures are CleanRL's, over 3 seeds.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Task:
    """What is run, and what is expected of it."""

    overrides: tuple[str, ...]
    threshold: float
    published: str


TASKS = {
    "cartpole": Task(("algo=ppo", "env=cartpole"), 475, "490.04 +- 6.12"),
    "acrobot": Task(("algo=ppo", "env=acrobot"), -100, "-86.36 +- 1.32"),
    "halfcheetah": Task(("experiment=ppo_halfcheetah",), 1000, "1442.64 +- 46.03 (v4)"),
    "hopper": Task(("experiment=ppo_hopper",), 1500, "2382.86 +- 271.74 (v4)"),
    "walker2d": Task(("experiment=ppo_walker2d",), 1500, "2287.95 +- 571.78 (v4)"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("task", choices=sorted(TASKS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--parallel", type=int, default=1, help="runs at a time")
    parser.add_argument("--runs", type=Path, default=Path("outputs/learning"))
    parser.add_argument("overrides", nargs="*", help="key=value for every run")
    given = parser.parse_intermixed_args()
    task = TASKS[given.task]

    def run(seed: int) -> dict[str, object]:
        run_dir = given.runs / given.task / str(seed)
        command = [
            sys.executable,
            "-m",
            "poke.train",
            *task.overrides,
            f"seed={seed}",
            *given.overrides,
        ]
        subprocess.run(
            [*command, f"hydra.run.dir={run_dir}"], check=True, stdout=subprocess.DEVNULL
        )
        return {"task": given.task, "seed": seed, **read(run_dir / "metrics.csv", task.threshold)}

    with ThreadPoolExecutor(given.parallel) as pool:
        rows = list(pool.map(run, range(given.seeds)))
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"learning_{given.task}.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        file.write(f"# python benchmarks/learning.py {' '.join(sys.argv[1:])}\n")
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    report(rows, task)


def read(metrics: Path, threshold: float) -> dict[str, object]:
    """Return how a run ended, and when it first reached the threshold."""
    last: dict[str, float] = {}
    reached: int | None = None
    with open(metrics, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name in ("train/episode_return", "eval/return_mean"):
                if row[name]:
                    last[name] = float(row[name])
            if reached is None and last.get("train/episode_return", -float("inf")) >= threshold:
                reached = int(row["step"])
    return {
        "last100_mean": last["train/episode_return"],
        "eval_return_mean": last["eval/return_mean"],
        "threshold": threshold,
        "steps_to_threshold": reached,
    }


def report(rows: list[dict[str, object]], task: Task) -> None:
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    finals = [float(str(row["last100_mean"])) for row in rows]
    deviation = statistics.stdev(finals) if len(finals) > 1 else 0.0
    print(
        f"last-100 mean over {len(rows)} seeds: {statistics.mean(finals):.2f} +- {deviation:.2f}, "
        f"published {task.published}"
    )


if __name__ == "__main__":
    main()
