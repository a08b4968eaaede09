"""Decisions a second of `poke.record`, beside the recorder of 0.1.0, which plays on a local server through poke-env.

Both are run as a person runs them, whole commands from the first line to the file on the disk, in turn. The
older one comes out of this repository's history, with what is installed here.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

from battles.command import Command

ROOT = Path(__file__).resolve().parents[2]
RELEASE = "21c835d"  # 0.1.0
OURS, THEIRS = "poke.record", "poke.record of 0.1.0"


def decisions_a_second(source: Path, out: Path, battles: int, options: argparse.Namespace) -> float:
    command = [sys.executable, "-m", "poke.record", "env=showdown", f"out={out}"]
    command += [f"format={options.format}", f"battles={battles}"]
    environment = {**os.environ, "PYTHONPATH": str(source / "src")}
    start = time.perf_counter()
    subprocess.run(command, cwd=out.parent, env=environment, check=True, capture_output=True)
    seconds = time.perf_counter() - start
    rows: int = pq.read_metadata(out).num_rows
    out.unlink()
    return rows / seconds


def run_recording(options: argparse.Namespace) -> None:
    speeds: dict[str, list[float]] = {OURS: [], THEIRS: []}
    with tempfile.TemporaryDirectory() as folder:
        release = Path(folder, "release")
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--detach", str(release), RELEASE], check=True)
        try:
            for _ in range(options.rounds):
                for name, source, battles in (
                    (OURS, ROOT, options.battles),
                    (THEIRS, release, options.theirs),
                ):
                    out = Path(folder, "out.parquet")
                    speed = decisions_a_second(source, out, battles, options)
                    speeds[name].append(speed)
                    print(f"{name}: {speed:,.0f} decisions/s", flush=True)
        finally:
            subprocess.run([*git, "remove", "--force", str(release)], check=True)
    print(f"\n| {options.format}, {options.rounds} rounds | decisions/s |\n|---|---|")
    for name, values in speeds.items():
        middle, least, most = statistics.median(values), min(values), max(values)
        print(f"| {name} | {middle:,.0f} [{least:,.0f}, {most:,.0f}] |")
    ratio = statistics.median(a / b for a, b in zip(speeds[OURS], speeds[THEIRS], strict=True))
    print(f"| **ratio** (wanted: 8) | **{ratio:.1f}** |")


recording = Command(
    "poke.record beside that of 0.1.0; needs poke[showdown]",
    run_recording,
    format="gen1randombattle",
    battles=3000,
    theirs=200,
    rounds=3,
)
