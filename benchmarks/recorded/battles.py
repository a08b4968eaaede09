"""Battles of generation 1: a fifth of the recording is SimpleHeuristics', the rest max_base_power's, who never switches
and never plans. What learns from it plays 1,000 battles against SimpleHeuristics."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

from poke.data import trajectories

FOE = "simple_heuristics"
EXPERTS = "[{player: simple_heuristics, share: .2}, {player: max_base_power, share: .8}]"
BATTLES = 4_000  # about 100,000 decisions
UPDATES = 8_000
ALGORITHMS = {
    "bc": ("algo=bc", "data=file", "network=battle"),
    "bc winners": ("algo=bc", "data=file", "network=battle", "data.filter=winners"),
    "crr": ("algo=crr", "algo.filter=binary"),
    "iql": ("algo=iql",),
    "cql": ("algo=cql",),
    "awr": ("algo=awr",),
}
COMMON = ("algo.gamma=1.0",)


def measure(arguments: Namespace) -> list[dict]:
    rows = [
        {"task": "battles", "algorithm": "the strong player", "seed": 0}
        | strong(arguments.runs / "data")
    ]
    updates = arguments.updates or UPDATES
    for seed in range(arguments.seeds):
        file = record(arguments.runs / "data", seed)
        for name, overrides in ALGORITHMS.items():
            if arguments.only and name not in arguments.only:
                continue
            run = arguments.runs / f"battles-{name.replace(' ', '_')}-{seed}"
            common = () if overrides[0] == "algo=bc" else COMMON
            found = train(run, file, updates, seed, [*overrides, *common, *arguments.more])
            rows.append({"task": "battles", "algorithm": f"poke {name}", "seed": seed, **found})
            print(rows[-1], flush=True)
    return rows


def strong(folder: Path) -> dict:
    """What SimpleHeuristics wins of 1,000 battles against itself: half of those that are no ties."""
    path = folder / "itself.parquet"
    if not path.exists():
        poke("poke.record", f"out={path}", "battles=1000", f"expert={FOE}", f"opponents=[{FOE}]")
    played = trajectories.read(path)
    won = played.outcome[played.timestep == 0] == 1
    return {"updates": 0, "score": float(won.mean())}


def record(folder: Path, seed: int) -> Path:
    path = folder / f"battles-{seed}.parquet"
    if not path.exists():
        poke(
            *("poke.record", f"out={path}", f"battles={BATTLES}", f"experts={EXPERTS}"),
            *("opponents=[simple_heuristics,max_base_power]", f"seed={seed}"),
        )
    return path


def train(run: Path, file: Path, updates: int, seed: int, overrides: list[str]) -> dict:
    if not (run / "run.json").exists():
        poke(
            *("poke.train", *overrides, f"data.path={file}", f"trainer.max_steps={updates}"),
            *("eval=battles", "eval.battles=1000", f"eval.opponents=[{FOE}]"),
            *("trainer.eval_every=0", f"seed={seed}", "logger.cli_frequency=0"),
            f"hydra.run.dir={run}",
        )
    final = json.loads((run / "run.json").read_text())["final"]
    return {
        "updates": updates,
        "score": final[f"eval/{FOE}/win_rate"],
        "low": final[f"eval/{FOE}/win_rate_low"],
        "high": final[f"eval/{FOE}/win_rate_high"],
    }


def poke(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", *arguments], check=True, stdout=subprocess.DEVNULL)
