"""Hopper as PPO met it while it learned: what policies that one run left on its way do when they draw their actions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ID = "Hopper-v5"
STEPS = 400_000
EVERY = 40_000
EPISODES = 60  # of each policy


def record(folder: Path, seed: int) -> list[str]:
    """Train PPO, record what each of its checkpoints does, and return the files."""
    run = folder / f"hopper-ppo-{seed}"
    if not (run / "run.json").exists():
        poke(
            *("poke.train", "experiment=ppo_hopper", f"trainer.max_steps={STEPS}", f"seed={seed}"),
            *(f"checkpoint.save_every={EVERY}", f"checkpoint.keep_every={EVERY}"),
            *("logger.cli_frequency=0", f"hydra.run.dir={run}"),
        )
    files = []
    kept = sorted(
        run.glob("checkpoints/checkpoint_*.pt"), key=lambda p: int(p.stem.split("step")[1])
    )
    for checkpoint in kept[1:]:  # not of the beginning
        step = checkpoint.stem.split("step")[1]
        path = folder / f"hopper-{seed}-{step}-drawn.parquet"
        files.append(str(path))
        if not path.exists():
            poke(
                *("poke.record", "env=gym", f"env.id={ID}", "env.normalize_observation=true"),
                *(
                    f"policy={checkpoint}",
                    "explore=true",
                    f"episodes={EPISODES}",
                    f"seed={seed}",
                    f"out={path}",
                ),
            )
    return files


def poke(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", *arguments], check=True, stdout=subprocess.DEVNULL)
