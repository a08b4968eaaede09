"""The accelerated simulator beside the one it was made from: are its battles the same, and what does it save.

Both are processes that play the same battles by `tests/envs/showdown/accelerate/play.js`. Cost: they take turns, each
playing the same battles in each round after a round to warm up; processor time, the process's own. A ratio is the
median over rounds of the ratio within a round. Start: workers take turns likewise, until each could begin a battle.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
from pathlib import Path

import psutil

from battles.command import Command
from poke.envs import showdown
from poke.envs.showdown.installation import find_node, find_package
from poke.envs.showdown.pipes.workers import BattleWorkers

ROOT = Path(__file__).parents[2]
PLAY = ROOT / "tests" / "envs" / "showdown" / "accelerate" / "play.js"
ACCELERATE = Path(showdown.__file__).parent / "worker" / "accelerate"
CHUNK = 10  # battles a request


class Simulator:
    """A node process that plays battles of the simulator, as it is or accelerated."""

    def __init__(self, accelerate: bool, only: list[str] | None = None) -> None:
        which = [str(ACCELERATE), *(only or [])] if accelerate else ["-"]
        self.process = subprocess.Popen(
            # As workers are started.
            [find_node(), "--max-semi-space-size=64", PLAY, find_package(), *which],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **order) -> None:
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def hear(self) -> dict:
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate(timeout=60)


def run_equality(options: argparse.Namespace) -> None:
    """Half of the battles of random teams, half of any teams with senseless choices."""
    simulators = [Simulator(accelerate=False), Simulator(accelerate=True)]
    each = options.battles // (2 * len(options.generations))
    total = 0
    print("generation  battles  decisions  refused  stopped by an error  different")
    for generation in options.generations:
        sums = dict.fromkeys(("decisions", "refused", "errors"), 0)
        played = different = 0
        for name, fuzz in (("randombattle", False), ("ou", True)):
            for first in range(0, each, CHUNK):
                order = {"digest": [f"gen{generation}{name}"], "first": options.seed + first}
                order |= {"count": min(CHUNK, each - first), "fuzz": fuzz}
                for simulator in simulators:
                    simulator.ask(**order)
                plain, fast = (simulator.hear() for simulator in simulators)
                pairs = list(zip(plain.pop("digests"), fast.pop("digests"), strict=True))
                played += len(pairs)
                different += sum(one != other for one, other in pairs)
                sums = {key: sums[key] + plain[key] for key in sums}
        print(
            f"{generation:10}  {played:7,}  {sums['decisions']:9,}  {sums['refused']:7,}"
            f"  {sums['errors']:19,}  {different:9,}",
            flush=True,
        )
        total += different
    for simulator in simulators:
        simulator.close()
    if total:
        raise SystemExit(f"{total} battles differ")


def run_cost(options: argparse.Namespace) -> None:
    """Battles of random teams between random players, the making of teams included."""
    print("CPU us a decision, median of rounds [least, most]")
    print("format             as it is               accelerated            ratio")
    for battle_format in options.formats:
        names = options.only or None
        simulators = [Simulator(accelerate=False), Simulator(accelerate=True, only=names)]
        spent: list[list[float]] = [[], []]
        for round_ in range(options.rounds + 2):
            for costs, simulator in zip(spent, simulators, strict=True):
                simulator.ask(cost=battle_format, first=options.seed, count=options.battles)
                heard = simulator.hear()
                if round_ >= 2:  # before that, data is loaded and functions are compiled
                    costs.append(heard["microseconds"] / heard["decisions"])
        for simulator in simulators:
            simulator.close()
        columns = [
            f"{statistics.median(costs):6.1f} [{min(costs):.1f}, {max(costs):.1f}]"
            for costs in spent
        ]
        ratio = statistics.median(p / f for p, f in zip(*spent, strict=True))
        print(f"{battle_format:18} {columns[0]:22} {columns[1]:22} {ratio:.2f}", flush=True)


def run_start(options: argparse.Namespace) -> None:
    """Workers from nothing to where they could begin a battle."""
    print("of a worker that starts, median of rounds: as it is, accelerated, ratio")
    for battle_format in options.formats:
        found: dict[str, list[list[float]]] = {"CPU seconds": [[], []], "MB": [[], []]}
        for _ in range(options.rounds):
            for which, accelerate in enumerate((False, True)):
                with BattleWorkers(
                    battle_format, num_battles=1, num_workers=1, accelerate=accelerate
                ) as workers:
                    (pid,) = workers.pids
                    node = psutil.Process(pid)
                    used = node.cpu_times()
                    found["CPU seconds"][which].append(used.user + used.system)
                    found["MB"][which].append(node.memory_info().rss / 1e6)
        for name, (plain, fast) in found.items():
            ratio = statistics.median(p / f for p, f in zip(plain, fast, strict=True))
            columns = "  ".join(f"{statistics.median(values):7.3g}" for values in (plain, fast))
            print(f"{battle_format:18} {name:12} {columns}  {ratio:.2f}", flush=True)


equality = Command(
    "is an accelerated battle the same, over many",
    run_equality,
    battles=10_000,
    generations=list(range(1, 10)),
    seed=1000,
)
start = Command(
    "what a worker takes to start, as it is and accelerated",
    run_start,
    formats=["gen1randombattle", "gen4randombattle", "gen9randombattle"],
    rounds=9,
)
cost = Command(
    "processor time a decision, as it is and accelerated",
    run_cost,
    formats=["gen1randombattle", "gen4randombattle", "gen9randombattle"],
    battles=60,
    rounds=5,
    seed=0,
    only=[],
)
