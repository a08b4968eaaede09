"""The first 50 rows of metrics.csv of every algorithm at a fixed seed, so that a refactor that moves a number is seen.

Bit for bit where libraries and the kind of processor are those that recorded them, to 1e-4 elsewhere. Recorded anew by
`python tests/golden/test_golden.py`, which a change that is meant to move numbers runs, and says why in CHANGELOG.md.
"""

import csv
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

HERE = Path(__file__).parent
RECORDED_WITH = HERE / "recorded_with.json"
NUM_ROWS = 50
RUNS = {
    # Low rates: where rounding differs, it grows too little to be seen in a norm, or to turn over a decision that is
    # counted or an action that is sampled (for that, short blocks too).
    "bc": ("algo=bc", "algo.lr=1e-4", "trainer.max_steps=50", "logger.backend_frequency=1"),
    "ppo": (
        "algo=ppo",
        "algo.lr=1e-4",
        "algo.minibatch_size=32",
        "data.num_steps=32",
        "trainer.max_steps=6400",
        "trainer.eval_every=3200",
        "logger.backend_frequency=128",
        "eval.episodes=2",
    ),
}
# Shares of decisions: elsewhere one that stands on the edge may turn over.
STEPPED = ("accuracy", "clip_fraction")
QUIET = ("device=cpu", "logger.cli_frequency=0", "logger.tensorboard.enabled=false")


def this_machine() -> dict[str, str]:
    """What a floating-point result depends on: libraries, and the kinds of kernels that they choose here."""
    blas = [lib["architecture"] for lib in threadpool_info() if lib["internal_api"] == "openblas"]
    processor = Path("/proc/cpuinfo")
    lines = processor.read_text().splitlines() if processor.exists() else []
    return {
        "torch": torch.__version__.partition("+")[0],
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "numpy": np.__version__,
        "numpy_blas": ", ".join(blas),
        # MKL, torch's own, chooses by it too.
        "vendor": next((x.split()[-1] for x in lines if x.startswith("vendor_id")), "unknown"),
    }


def train(overrides: tuple[str, ...], folder: Path) -> list[dict[str, str]]:
    """Run and return the first rows of metrics.csv, without what depends on the clock or the machine."""
    run_dir = folder / "run"
    command = [sys.executable, "-m", "poke.train", *overrides, *QUIET, f"hydra.run.dir={run_dir}"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
    return read(run_dir / "metrics.csv")


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        kept = [
            {
                name: value
                for name, value in row.items()
                if value and name != "time" and name.split("/")[0] not in ("time", "system")
            }
            for row in csv.DictReader(file)
        ]
    return [row for row in kept if row.keys() - {"step"}][:NUM_ROWS]


@pytest.mark.parametrize("name", RUNS)
def test_numbers_are_the_recorded_ones(name, tmp_path):
    recorded, now = read(HERE / f"{name}.csv"), train(RUNS[name], tmp_path)
    assert len(recorded) == NUM_ROWS
    if this_machine() == json.loads(RECORDED_WITH.read_text()):
        assert now == recorded
        return
    assert [row.keys() for row in now] == [row.keys() for row in recorded]
    for a, b in zip(now, recorded, strict=True):
        for metric in a:
            bound = 1e-2 if metric.endswith(STEPPED) else 1e-4
            assert math.isclose(float(a[metric]), float(b[metric]), rel_tol=bound, abs_tol=bound), (
                f"{metric} at step {a['step']}: {a[metric]}, recorded {b[metric]}"
            )


def record() -> None:
    for name, overrides in RUNS.items():
        with tempfile.TemporaryDirectory() as folder:
            rows = train(overrides, Path(folder))
        columns = list(dict.fromkeys(column for row in rows for column in row))
        with open(HERE / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    RECORDED_WITH.write_text(json.dumps(this_machine(), indent=1) + "\n")


if __name__ == "__main__":
    record()
