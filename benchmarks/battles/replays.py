"""Battles: what an import of their logs tells, against what their players saw and chose.

`replays` plays N random battles a generation, imports their public logs and compares: no byte and no choice
that is said to be known may differ. It prints how many choices are known and how fast logs are read, and
exits 1 if anything differs. Differences found on battles 0 to 299 have been mended: what `--first` plays
instead has a table of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from battles.command import Command
from poke.envs.showdown import installation, layout
from poke.envs.showdown.replays import Importer

ROOT = Path(__file__).resolve().parents[2]
HARNESS = ROOT / "tests" / "envs" / "showdown" / "replays" / "main.js"
WORKER = Path(installation.__file__).parent / "worker"
RESULTS = ROOT / "benchmarks" / "results"
CHUNK = 100  # battles a process
NUMBERS = ("decisions", "rows", "extra", "chosen", "seconds")


def compare(generation: int, first: int, end: int, logs: str) -> dict[str, Any]:
    """Play battles [first, end), import their logs, keep these and return the harness's report."""
    settings = {
        "format": f"gen{generation}randombattle",
        "layout": layout.describe(generation),
        "tables": layout.tables(),
        "battles": [first, end],
        "keep": logs,
    }
    command = [installation.find_node(), str(HARNESS), str(installation.find_package())]
    done = subprocess.run(
        [*command, str(WORKER)], input=json.dumps(settings), capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"generation {generation}: {done.stderr[-2000:]}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def processor_seconds() -> float:
    """Return the time that this process and those it has waited for have computed."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def import_all(generation: int, logs: str) -> float:
    """Import logs as a user does, and return decisions a second of processor time."""
    before = processor_seconds()
    with tempfile.TemporaryDirectory() as folder:
        summary = Importer(format=f"gen{generation}randombattle").run(
            Path(logs), Path(folder) / "out.parquet", on_progress=lambda _: None
        )
    assert summary is not None
    return summary.decisions / (processor_seconds() - before)


def merge(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Add up reports of the same kind."""
    total: dict[str, Any] = {name: sum(r[name] for r in reports) for name in NUMBERS}
    for name in ("moves", "bytes", "wrong"):
        total[name] = sum((Counter(r[name]) for r in reports), Counter())
    total["examples"] = {kind: text for r in reports for kind, text in r["examples"].items()}
    return total


def run_replays(options: argparse.Namespace) -> None:
    """Write the table and print what differs; exit 1 if anything does."""
    lines = [
        "# What an import of logs tells",
        "",
        f"`python benchmarks/showdown.py replays --battles {options.battles} --first {options.first}`: random players, "
        "both sides.",
        "Known, filled: of an observation's bytes. Decisions a second of one core's processor time: read by the "
        "worker, and imported into a file, by all processes together from their start to their end.",
        "",
        "| gen | decisions | choices known | of moves | wrong | known | filled | differing | read/s | imported/s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    differing: list[str] = []
    with ThreadPoolExecutor(options.workers) as pool:
        for generation in options.generations:
            starts = range(options.first, options.first + options.battles, CHUNK)
            end = options.first + options.battles
            with tempfile.TemporaryDirectory() as logs:
                jobs = [
                    pool.submit(compare, generation, n, min(n + CHUNK, end), logs) for n in starts
                ]
                report = merge([job.result() for job in jobs])
                imported = import_all(
                    generation, logs
                )  # with nothing beside it that is counted too
            moves, seen, wrong = report["moves"], report["bytes"], report["wrong"]
            lines.append(
                f"| {generation} | {report['decisions']:,} | {report['chosen'] / report['decisions']:.1%} "
                f"| {moves['chosen'] / moves['decisions']:.1%} | {wrong['choice']} "
                f"| {seen['known'] / seen['all']:.1%} | {seen['filled'] / seen['all']:.1%} "
                f"| {wrong.total() - wrong['choice']} | {report['rows'] / report['seconds']:,.0f} "
                f"| {imported:,.0f} |"
            )
            print(lines[-1], flush=True)
            for kind, number in wrong.most_common(10):
                differing.append(f"- {number} {kind}: {report['examples'][kind][0][:300]}")
                print(differing[-1], flush=True)
    table = RESULTS / f"showdown_replays{f'_{options.first}' if options.first else ''}.md"
    differences = ["", "What differs:", "", *differing] if differing else []
    table.write_text("\n".join([*lines, *differences]) + "\n")
    print(f"written to {table.relative_to(ROOT)}")
    sys.exit(int(bool(differing)))


replays = Command(
    "imported logs against what the players saw and chose; writes results/showdown_replays.md",
    run_replays,
    battles=300,
    first=0,
    workers=os.cpu_count() or 1,
    generations=list(range(1, 10)),
)
