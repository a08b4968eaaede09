"""Does it learn as well as published? Runs seeds of a task through the command line and writes what became of them.

    python benchmarks/learning.py cartpole --seeds 5
    python benchmarks/learning.py gen1 --seeds 3
    python benchmarks/learning.py gen9 --seeds 1

Of each seed: the mean return of the last 100 training episodes (of battles the recent share won of those against
SimpleHeuristics), the step at which that first reached the threshold, the deterministic evaluation at the end, and the
minutes that all took, pauses of a resumed run left out. Every evaluation of battles is a row of
`learning_TASK_curve.csv`. Published figures are CleanRL's, over 3 seeds; those of battles are nickgreenquist's
pokemon-showdown-rl (gen1), Wang's MIT thesis of 2024 (gen4) and ps-ppo (gen9).
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rows import write


@dataclass(frozen=True)
class Task:
    """What is run, and what is expected of it."""

    overrides: tuple[str, ...]
    threshold: float
    published: str
    training: str = "train/episode_return"
    evaluation: str = "eval/return_mean"


def battles(published: str, *overrides: str) -> Task:
    return Task(
        ("experiment=ppo_gen1", *overrides),
        0.5,
        published,
        training="train/win_rate/simple_heuristics",
        evaluation="eval/simple_heuristics/win_rate",
    )


TASKS = {
    "cartpole": Task(("algo=ppo", "env=cartpole"), 475, "490.04 +- 6.12"),
    "acrobot": Task(("algo=ppo", "env=acrobot"), -100, "-86.36 +- 1.32"),
    "halfcheetah": Task(("experiment=ppo_halfcheetah",), 1000, "1442.64 +- 46.03 (v4)"),
    "hopper": Task(("experiment=ppo_hopper",), 1500, "2382.86 +- 271.74 (v4)"),
    "gen1": battles("0.718 after 12 M decisions, by a network alone"),
    "gen4": battles(
        "0.786, by a network alone",
        "env.format=gen4randombattle",
        "data.overlap=false",
        "algo.num_epochs=6",
        "trainer.max_steps=3_000_000",
    ),
    "gen9": battles(
        "more than 0.85 after two days on a GPU",
        "env.format=gen9randombattle",
        "data.overlap=false",
        "algo.num_epochs=6",
        "trainer.max_steps=2_000_000",
    ),
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
    parser.add_argument("--read", action="store_true", help="only read runs that are there")
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
        if not given.read:
            subprocess.run(
                [*command, f"hydra.run.dir={run_dir}"], check=True, stdout=subprocess.DEVNULL
            )
        return {"task": given.task, "seed": seed, **read(run_dir, task)}

    with ThreadPoolExecutor(given.parallel) as pool:
        rows = list(pool.map(run, range(given.seeds)))
    write(f"learning_{given.task}", rows)
    if task.evaluation.endswith("win_rate"):
        curves = [
            {"seed": seed, **row}
            for seed in range(given.seeds)
            for row in curve(given.runs / given.task / str(seed))
        ]
        write(f"learning_{given.task}_curve", curves)
    report(rows, task)


class Worked:
    """Minutes that processes had worked on a run at a given time; of one that was killed, until its last row."""

    def __init__(self, run_dir: Path, rows: list[dict[str, str]]) -> None:
        account = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))
        sessions = account["sessions"]
        begun = [datetime.fromisoformat(session["started"]) for session in sessions]
        times = [datetime.fromisoformat(row["time"]) for row in rows]
        self._sessions = []
        for session, started, after in zip(sessions, begun, [*begun[1:], None], strict=True):
            own = [t for t in times if t >= started and (after is None or t < after)]
            last = max(own, default=started)
            ended = session.get("ended")
            self._sessions.append((started, datetime.fromisoformat(ended) if ended else last))

    def minutes(self, time: str) -> float:
        now = datetime.fromisoformat(time)
        seconds = [
            (min(now, ended) - started).total_seconds()
            for started, ended in self._sessions
            if started < now
        ]
        return sum(seconds) / 60


def read(run_dir: Path, task: Task) -> dict[str, object]:
    """Return how a run ended, when it first reached the threshold, and how long it took."""
    last: dict[str, float] = {}
    reached: int | None = None
    with open(run_dir / "metrics.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for name in (task.training, task.evaluation):
            if row[name]:
                last[name] = float(row[name])
        if reached is None and last.get(task.training, -float("inf")) >= task.threshold:
            reached = int(row["step"])
    return {
        "last100_mean": last[task.training],
        "eval_return_mean": last[task.evaluation],
        "threshold": task.threshold,
        "steps_to_threshold": reached,
        "minutes": round(Worked(run_dir, rows).minutes(rows[-1]["time"]), 1),
    }


def curve(run_dir: Path) -> list[dict[str, object]]:
    """Return every evaluation of a run: its step, the minutes until then, and what it found."""
    with open(run_dir / "metrics.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    worked = Worked(run_dir, rows)
    found = [name for name in rows[0] if name.startswith("eval/")]
    return [
        {
            "step": int(row["step"]),
            "minutes": round(worked.minutes(row["time"]), 2),
            **{name.removeprefix("eval/"): row[name] for name in found},
        }
        for row in rows
        if any(row[name] for name in found)
    ]


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
