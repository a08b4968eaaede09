"""How much faster do two ranks learn than one, what does a launcher cost, and what does `data.overlap` gain?

    python benchmarks/ranks.py                  # two idle cores, poke[mujoco] for Hopper, poke[showdown] for battles
    python benchmarks/ranks.py --rounds 5 --only clone

One thread a rank, by gloo, on one machine; a round is every contestant once, in turns. Whole runs with their logging:
counted is wall clock by metrics.csv, from a quarter of the run to its end. Rows go to `results/ranks.csv`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from rows import write

CLONE = (
    *("algo=bc", "data.batch_size=1024", "network=mlp", "network.activation=relu"),
    *("network.hidden_sizes=[1024,1024,1024]", "~eval", "checkpoint.monitor=train/loss"),
)
HOPPER = (
    *("experiment=ppo_hopper", "env.num_envs=16", "data.num_steps=512"),
    *("~eval", "checkpoint.monitor=train/loss"),
)
# Of every minibatch ranks exchange gradients, which takes as long for a small one as for a large one.
LARGE, SMALL = ((*HOPPER, f"algo.minibatch_size={size}") for size in (4096, 512))
BATTLES = (
    *("experiment=ppo_gen1", "algo.num_epochs=3", "algo.schedule_steps=3_000_000"),
    *("~eval", "checkpoint.monitor=train/loss"),
)
# What is compared: overrides, steps, and what runs it.
CASES: dict[str, tuple[tuple[str, ...], int, tuple[str, ...]]] = {
    "clone, 1 rank": (CLONE, 80, ("-m", "poke.train")),
    "clone, 2 ranks": ((*CLONE, "trainer.devices=2"), 80, ("-m", "poke.train")),
    "clone, 2 ranks that share weights": (
        (*CLONE, "trainer.devices=2", "trainer.strategy=fsdp"),
        80,
        ("-m", "poke.train"),
    ),
    "clone, 1 rank under torchrun": (CLONE, 80, ("LAUNCHER", "-m", "poke.train")),
    "hopper, 1 rank": (LARGE, 98_304, ("-m", "poke.train")),
    "hopper, 2 ranks": ((*LARGE, "trainer.devices=2"), 98_304, ("-m", "poke.train")),
    "hopper, 1 rank under torchrun": (LARGE, 98_304, ("LAUNCHER", "-m", "poke.train")),
    "hopper in small minibatches, 1 rank": (SMALL, 98_304, ("-m", "poke.train")),
    "hopper in small minibatches, 2 ranks": (
        (*SMALL, "trainer.devices=2"),
        98_304,
        ("-m", "poke.train"),
    ),
    "battles, 1 rank": ((*BATTLES, "data.overlap=false"), 150_000, ("-m", "poke.train")),
    "battles, overlapping": (BATTLES, 150_000, ("-m", "poke.train")),
}
LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1")
BESIDE = {name: f"{name.split(',')[0]}, 1 rank" for name in CASES}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["clone", "hopper", "battles"])
    arguments = parser.parse_args()
    names = [name for name in CASES if name.startswith(arguments.only or "")]
    found: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.rounds):
            for name in names:
                found[name].append(
                    steps_a_second(name, Path(folder) / str(sum(map(len, found.values()))))
                )
                print(f"{name:38s} {found[name][-1]:10.1f} steps/s", flush=True)
    rows = []
    for name, rates in found.items():
        beside = found[BESIDE[name]]
        ratio = statistics.median(a / b for a, b in zip(rates, beside, strict=True))
        rate = statistics.median(rates)
        rows.append({"case": name, "steps_a_second": round(rate, 1), "ratio": round(ratio, 3)})
        print(f"{name:38s} {rate:10.1f} steps/s, {ratio:.3f} of one rank's")
    write("ranks", rows)


def steps_a_second(name: str, run: Path) -> float:
    """Run a case and return its steps a second by the wall clock, without its first quarter."""
    overrides, steps, how = CASES[name]
    command = [sys.executable]
    for part in how:
        command += LAUNCHER if part == "LAUNCHER" else (part,)
    command += [*overrides, f"trainer.max_steps={steps}", "trainer.eval_every=0", "device=cpu"]
    command += ["logger.cli_frequency=0", "logger.backend_frequency=1", f"hydra.run.dir={run}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    rows = pd.read_csv(run / "metrics.csv", parse_dates=["time"]).groupby("step")["time"].min()
    rows = rows[rows.index >= steps // 4]
    seconds = (rows.iloc[-1] - rows.iloc[0]).total_seconds()
    return float(rows.index[-1] - rows.index[0]) / seconds


if __name__ == "__main__":
    main()
