"""Run directories as the runner writes them, for benchmarks of what reads them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

NUM_COLUMNS = 12
NUM_VARIANTS = 20
START = datetime(2026, 3, 1, tzinfo=UTC)


def generate(root: Path, num_runs: int, num_rows: int) -> None:
    """Write run directories; seeds vary fastest, then the learning rate."""
    generator = np.random.default_rng(0)
    names = [
        "step",
        "time",
        *(f"train/m{column}" for column in range(NUM_COLUMNS - 4)),
        "val/loss",
        "val/accuracy",
    ]
    texts = []
    for _ in range(min(NUM_VARIANTS, num_runs)):
        lines = [",".join(names)]
        for row, values in enumerate(generator.random((num_rows, NUM_COLUMNS - 2)).tolist()):
            stamp = (START + timedelta(seconds=1.3 * row, microseconds=row)).isoformat()
            lines.append(f"{100 * row},{stamp},{','.join(map(repr, values))}")
        texts.append("\n".join(lines) + "\n")
    for number in range(num_runs):
        seed, setting = number % 5, number // 5
        directory = root / "2026-03-01" / f"{number:06d}"
        directory.mkdir(parents=True)
        config = {
            "seed": seed,
            "algo": {"lr": 1e-5 * (setting + 1), **{f"option_{i}": i / 7 for i in range(15)}},
            "network": {"hidden": [256, 256], **{f"size_{i}": i for i in range(10)}},
            "trainer": {"max_steps": 100 * num_rows, **{f"every_{i}": 100 * i for i in range(10)}},
            "checkpoint": {"dir": f"{directory}/checkpoints", "monitor": "val/loss", "mode": "min"},
        }
        text = json.dumps(config)
        (directory / "config.json").write_text(text)
        (directory / "config.yaml").write_text(
            json.dumps(config, indent=2)
        )  # JSON is YAML, indented like a block
        (directory / "run.json").write_text(json.dumps(record(directory.name, seed)))
        (directory / "metrics.csv").write_text(texts[number % len(texts)])


def record(name: str, seed: int) -> dict:
    """Return what run.json holds for a finished run."""
    return {
        "schema_version": 1,
        "name": f"2026-03-01/{name}",
        "status": "finished",
        "started": START.isoformat(),
        "ended": (START + timedelta(minutes=22)).isoformat(),
        "command": ["python", "-m", "poke.train", "algo=bc", f"seed={seed}"],
        "overrides": ["algo=bc", f"seed={seed}"],
        "cwd": "/home/someone/poke",
        "host": "elsewhere",
        "pid": 4711,
        "python": "3.11.7",
        "packages": dict.fromkeys(
            ["torch", "numpy", "pandas", "hydra-core", "omegaconf", "wandb"], "1.2.3"
        ),
        "git": {"commit": "a" * 40, "branch": "main", "dirty": False},
        "seed": seed,
        "device": "cpu",
        "resumes": [],
        "final": {"val/loss": 0.5},
        "best": {"metric": "val/loss", "mode": "min", "value": 0.1, "step": 100},
        "error": None,
        "exit_reason": "reached max_steps",
    }
