"""Battles: what is observed against the simulator's state, over many battles of every generation.

`truth` plays N battles a generation, half of them of random and half of fuzzed teams (random legal and
illegal-in-standard species, moves, items and abilities). It compares every feature of every observation, and every
choice of every mask, with what the simulator's state says as far as the player may know it, and exits 1 if anything
differs.

2,000 battles a generation take more than an hour of a processor. With `--keep FOLDER` what was compared is kept, and a
run that was stopped goes on, as long as worker, layout and harness are the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

from battles.command import Command
from poke.envs.showdown import installation, layout

ROOT = Path(__file__).resolve().parents[2]
HARNESS = ROOT / "tests" / "envs" / "showdown" / "truth" / "main.js"
WORKER = Path(installation.__file__).parent / "worker"
TABLE = ROOT / "benchmarks" / "results" / "showdown_truth.md"
CHUNK = 50  # battles a process
COUNTS = ("wrong", "wrongMasks", "unknowable")
NUMBERS = ("decisions", "features", "masks")


def compare(generation: int, fuzz: bool, first: int, end: int) -> dict[str, Any]:
    """Play battles [first, end) and return the harness's report."""
    settings = {
        "format": f"gen{generation}{'customgame' if fuzz else 'randombattle'}",
        "fuzz": fuzz,
        "layout": layout.describe(generation),
        "tables": layout.tables(),
        "battles": list(range(first, end)),
    }
    command = [installation.find_node(), str(HARNESS), str(installation.find_package())]
    done = subprocess.run(
        [*command, str(WORKER)], input=json.dumps(settings), capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"generation {generation}: {done.stderr[-2000:]}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def kept(folder: Path | None, generation: int, fuzz: bool, first: int, end: int) -> dict[str, Any]:
    """Do as `compare`, or return what that found before."""
    if folder is None:
        return compare(generation, fuzz, first, end)
    path = folder / f"gen{generation}-{'fuzzed' if fuzz else 'random'}-{first}-{end}.json"
    if not path.exists():
        report = compare(generation, fuzz, first, end)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(report))
        temporary.rename(path)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def of_this_code(folder: str) -> Path | None:
    """Return where in a folder reports of just this worker, layout and harness are kept; None without one."""
    if not folder:
        return None
    sources = sorted([*WORKER.rglob("*.js"), *HARNESS.parent.rglob("*.js")])
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources))
    digest.update(json.dumps([layout.tables(), *map(layout.describe, range(1, 10))]).encode())
    place = Path(folder) / digest.hexdigest()[:16]
    place.mkdir(parents=True, exist_ok=True)
    return place


def merge(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Add up reports of the same kind."""
    total: dict[str, Any] = {name: sum(r[name] for r in reports) for name in NUMBERS}
    for name in COUNTS:
        total[name] = sum((Counter(r[name]) for r in reports), Counter())
    total["examples"] = {kind: text for r in reports for kind, text in r["examples"].items()}
    return total


def rows(
    battles: int, workers: int, folder: Path | None
) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield generation, kind of teams and report, as they are done."""
    count = battles // 2
    with ThreadPoolExecutor(workers) as pool:
        jobs = {
            (generation, fuzz): [
                pool.submit(kept, folder, generation, fuzz, n, min(n + CHUNK, count))
                for n in range(0, count, CHUNK)
            ]
            for generation in range(1, 10)
            for fuzz in (False, True)
        }
        for (generation, fuzz), parts in jobs.items():
            yield generation, "fuzzed" if fuzz else "random", merge([job.result() for job in parts])


def run_truth(options: argparse.Namespace) -> None:
    """Write the table and print what differs; exit 1 if anything does."""
    battles, workers = options.battles, options.workers
    if battles < 2:
        sys.exit(f"showdown.py: --battles must be at least 2, one of either kind, not {battles}")
    lines = [
        "# What is observed against the simulator's state",
        "",
        f"`python benchmarks/showdown.py truth --battles {battles}` ({date.today()}): so many battles a generation,",
        "half of them of fuzzed teams, seen from both players' sides; every feature of every observation and every",
        "choice of every mask",
        "",
        "| gen | teams | decisions | features | wrong | choices | wrong masks | unknowable |",
        "|---|---|---|---|---|---|---|---|",
    ]
    unknowable: Counter[str] = Counter()
    differing: list[str] = []
    for generation, teams, report in rows(battles, workers, of_this_code(options.keep)):
        wrong, masks = report["wrong"].total(), report["wrongMasks"].total()
        lines.append(
            f"| {generation} | {teams} | {report['decisions']:,} | {report['features']:,} | {wrong:,} "
            f"| {report['masks']:,} | {masks:,} | {report['unknowable'].total():,} |"
        )
        print(lines[-1], flush=True)
        unknowable.update(report["unknowable"])
        for kind, number in (report["wrong"] + report["wrongMasks"]).most_common():
            differing.append(f"- {number:,} {kind}, as in {report['examples'][kind][0][:120]}")
            print(f"    {differing[-1]}", flush=True)
    if differing:
        lines += ["", "What is wrong:", "", *differing]
    lines += ["", "Unknowable, and therefore not compared:", ""]
    lines += [f"- {reason}: {number:,}" for reason, number in unknowable.most_common()]
    TABLE.write_text("\n".join(lines) + "\n")
    print(f"written to {TABLE.relative_to(ROOT)}")
    sys.exit(int(bool(differing)))


truth = Command(
    "every feature and mask against the simulator's state; writes results/showdown_truth.md",
    run_truth,
    battles=2000,
    workers=os.cpu_count() or 1,
    keep="",
)
