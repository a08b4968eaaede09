"""Battles: is a clone from imported replays of a player as good as a clone from its recording?

As many battles of SimpleHeuristics against itself are recorded by `poke.record` and written as public logs, which
`poke.record replays=` imports. Clones of both by the same command play the same battles against max_base_power.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from battles.command import Command
from battles.replays import HARNESS, WORKER
from poke.envs.showdown import installation, layout

TEACHER, FOE = "simple_heuristics", "max_base_power"
CHUNK = 200  # battles a process
FIRST = 100_000  # battles of no other table


def write_logs(battle_format: str, folder: Path, first: int, end: int) -> None:
    settings = {
        "format": battle_format,
        "layout": layout.describe(int(battle_format[3])),
        "tables": layout.tables(),
        "battles": [first, end],
        "teacher": TEACHER,
        "keep": str(folder),
    }
    command = [installation.find_node(), str(HARNESS), str(installation.find_package())]
    done = subprocess.run(
        [*command, str(WORKER)], input=json.dumps(settings), capture_output=True, text=True
    )
    done.check_returncode()


def poke(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", *arguments], check=True)


def clone(name: str, data: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Train a clone and return what its last evaluation found."""
    run_dir = folder / name
    poke(
        *("poke.train", "experiment=bc_gen1", "data=file", f"data.path={data}", "eval=battles"),
        *(f"eval.battles={options.evaluation}", f"eval.opponents=[{FOE}]", f"seed={options.seed}"),
        *(f"eval.format={options.format}", f"trainer.max_steps={options.steps}"),
        *("trainer.eval_every=0", f"hydra.run.dir={run_dir}", "logger.tensorboard.enabled=false"),
    )
    final: dict[str, Any] = json.loads((run_dir / "run.json").read_text())["final"]
    return final


def run_cloning(options: argparse.Namespace) -> None:
    folder = Path(options.folder).absolute()
    logs, imported, recorded = folder / "logs", folder / "imported.parquet", folder / "own.parquet"
    logs.mkdir(parents=True, exist_ok=True)
    missing = FIRST + len(list(logs.iterdir())) // CHUNK * CHUNK
    chunks = range(missing, FIRST + options.battles, CHUNK)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        last = FIRST + options.battles
        jobs = [
            pool.submit(write_logs, options.format, logs, first, min(first + CHUNK, last))
            for first in chunks
        ]
        for job in jobs:
            job.result()
    battles = f"format={options.format}"
    if not imported.exists():
        poke("poke.record", f"replays={logs}", battles, f"out={imported}")
    poke(
        *("poke.record", "env=showdown", battles, f"battles={options.battles}", "seed=7"),
        *(f"expert={TEACHER}", f"opponents=[{TEACHER}]", f"out={recorded}"),
    )
    found = {
        name: clone(name, folder / f"{name}.parquet", folder, options)
        for name in ("imported", "own")
    }
    print(f"\n| clone of, {options.battles:,} battles | won against {FOE} | 95 % |\n|---|---|---|")
    for name, final in found.items():
        rate, low, high = (final[f"eval/{FOE}/win_rate{end}"] for end in ("", "_low", "_high"))
        print(f"| {name} | {rate:.1%} | {low:.1%} to {high:.1%} |")
    rates = [found[name][f"eval/{FOE}/win_rate"] for name in ("imported", "own")]
    print(f"| **ratio** (wanted: .9) | **{rates[0] / rates[1]:.2f}** | |")


cloning = Command(
    "a clone from imported replays beside a clone from the recording",
    run_cloning,
    folder="outputs/cloning",
    format="gen1randombattle",
    battles=3000,
    steps=1500,
    evaluation=1000,
    seed=0,
)
