"""Does a recording that is much larger than memory train?

    python benchmarks/larger_than_memory.py --gigabytes 20 --limit 2      # root, Linux's memory control groups

Makes a recording of so many gigabytes of observations, a part at a time, and lets `algo=iql data.in_memory=false` learn
from it in a process that the kernel holds to the limit, files that it has mapped included: one that needs more is
killed. Then once more, now that it is decoded; and beside it, without a limit, from a part of the recording that is
held in memory. Of each: seconds, updates a second, and the most memory that was its own (not a file's).
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from poke.data import trajectories
from poke.data.files.assembling import assemble

GIGABYTE = 1_000_000_000
WIDTH = 4096  # bytes of an observation
PART = 60_000  # decisions
EPISODE = 100
GROUPS = Path("/sys/fs/cgroup")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=20)
    parser.add_argument("--limit", type=float, default=2, help="gigabytes of memory")
    parser.add_argument("--updates", type=int, default=2_000)
    parser.add_argument("--folder", type=Path, default=Path("outputs/larger"))
    arguments = parser.parse_args()
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    path, part = record(folder, round(arguments.gigabytes * GIGABYTE / WIDTH / PART))
    rows = trajectories.count_rows(path)
    print(f"{rows:,} decisions, {rows * WIDTH / GIGABYTE:.1f} GB of observations", flush=True)
    mapped = ["data.in_memory=false", f"data.cache={folder / 'cache'}"]
    shutil.rmtree(folder / "cache", ignore_errors=True)
    for name, file, options, limit in (
        ("decoded and learned", path, mapped, arguments.limit),
        ("learned again", path, mapped, arguments.limit),
        ("a part, in memory", part, [], None),
    ):
        seconds, rate, own = train(folder / "run", file, options, limit, arguments.updates)
        print(
            f"{name:20s} {seconds:6.0f} s {rate:8.1f} updates/s {own:6.2f} GB its own", flush=True
        )
    shutil.rmtree(folder / "cache")


def record(folder: Path, parts: int) -> tuple[Path, Path]:
    """Make the recording, and return it and one of its parts."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 256, (512, WIDTH), np.uint8)
    files = []
    for number in range(parts):
        files.append(folder / f"part-{number}.parquet")
        if files[-1].exists():
            continue
        chosen = rng.integers(len(patterns), size=PART)
        observation = patterns[chosen]
        observation[:, :8] = rng.integers(0, 256, (PART, 8), np.uint8)  # no two are the same
        arrays = {
            "observation": observation,
            "action": chosen % 4,
            "reward": (chosen % 3 == 0).astype(np.float32),
            "terminated": np.arange(PART) % EPISODE == EPISODE - 1,
        }
        trajectories.write(files[-1], assemble(arrays), compression_level=1)
    whole = folder / f"whole-{parts}.parquet"
    if not whole.exists():
        about = trajectories.read_metadata(files[0])
        trajectories.join(whole, files, about, compression_level=1)
    return whole, files[0]


def train(
    run: Path, file: Path, options: list[str], limit: float | None, updates: int
) -> tuple[float, float, float]:
    """Train in a process of its own, held to a limit, and return what it took."""
    shutil.rmtree(run, ignore_errors=True)
    command = [sys.executable, "-m", "poke.train", "algo=iql", f"data.path={file}", *options]
    command += ["network=mlp", "network.hidden_sizes=[64]", f"trainer.max_steps={updates}", "~eval"]
    command += ["trainer.eval_every=0", "checkpoint.save_every=0", "checkpoint.monitor=train/value"]
    command += [f"logger.backend_frequency={updates // 4}", f"hydra.run.dir={run}"]
    group = None if limit is None else Group(round(limit * GIGABYTE))
    began = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, preexec_fn=group.enter if group else None
    )
    own = 0
    while process.poll() is None:
        own = max(own, anonymous(process.pid))
        time.sleep(0.2)
    seconds = time.monotonic() - began
    if group:
        group.remove()
    if process.returncode:
        raise SystemExit(f"it ended with {process.returncode}")
    with open(run / "metrics.csv", newline="", encoding="utf-8") as rows:
        rates = [r["time/steps_per_second"] for r in csv.DictReader(rows)]
    return seconds, float([r for r in rates if r][-1]), own / GIGABYTE


class Group:
    """A control group of the kernel's, version 1, that holds its processes to so many bytes, cached files included."""

    def __init__(self, num_bytes: int) -> None:
        self._path = GROUPS / "memory" / f"poke-{os.getpid()}"
        self._path.mkdir(exist_ok=True)
        (self._path / "memory.limit_in_bytes").write_text(str(num_bytes))

    def enter(self) -> None:
        (self._path / "cgroup.procs").write_text(str(os.getpid()))

    def remove(self) -> None:
        self._path.rmdir()


def anonymous(pid: int) -> int:
    """Return how many bytes of a process's memory are no file's."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    main()
