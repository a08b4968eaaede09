"""Decisions a second: the battle workers, poke-env on a local server, and its SinglesEnv.

Everybody plays random legal actions. Contestants are set up once, warmed up, and then take turns; while one plays the
others wait and cost nothing. A ratio is the median over rounds of the ratio within a round. The cost of tracking,
encoding and transferring a decision is what the workers and we use of the processors, less what they use
when both players decide in the worker and nothing is observed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from battles.command import Command
from battles.played import Worked
from poke.envs.showdown.pipes.workers import BattleWorkers
from poke.envs.showdown.server import ShowdownServer

OBSERVED = "workers, both sides"
ONE_SIDE = "workers, one side"
UNOBSERVED = "workers, nobody asked"
POKE_ENV = "poke-env, both sides, concurrency 10"
SINGLES = "SinglesEnv with 0.1.0's encode, one side"
RATIOS = ((OBSERVED, POKE_ENV), (ONE_SIDE, SINGLES))


@contextlib.contextmanager
def worked(battle_format: str, options: argparse.Namespace, players) -> Iterator[Worked]:
    with BattleWorkers(
        battle_format,
        num_battles=options.battles,
        num_workers=options.workers,
        accelerate=not options.plain,
    ) as workers:
        yield Worked(workers, players)


def measure(battle_format: str, options: argparse.Namespace) -> None:
    from battles.peers import poke_env_play, singles_play  # needs poke[showdown]

    speeds: dict[str, list[float]] = {}
    costs: dict[str, list[float]] = {OBSERVED: [], UNOBSERVED: []}
    per_battle: list[float] = []
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(ShowdownServer()).websocket_url
        seats = {
            OBSERVED: ("asked", "asked"),
            ONE_SIDE: ("asked", "random"),
            UNOBSERVED: ("random", "random"),
        }
        ours = {
            name: stack.enter_context(worked(battle_format, options, players))
            for name, players in seats.items()
        }
        plays = {name: one.play for name, one in ours.items()}
        plays[POKE_ENV] = poke_env_play(battle_format, url)
        plays[SINGLES] = singles_play(battle_format, url)
        for round_ in range(options.rounds + 1):
            for name, play in plays.items():
                before = ours[name].cpu_seconds() if name in ours else 0.0
                start = time.perf_counter()
                decisions, battles = play(options.seconds)
                seconds = time.perf_counter() - start
                if not round_:  # warming up
                    continue
                speeds.setdefault(name, []).append(decisions / seconds)
                if name in costs:
                    cpu = ours[name].cpu_seconds() - before
                    costs[name].append(cpu / max(1, battles))
                if name == OBSERVED:
                    per_battle.append(decisions / max(1, battles))
    report(battle_format, speeds, costs, per_battle)


def report(battle_format, speeds, costs, per_battle) -> None:
    print(f"\n{battle_format}: decisions a second, median [least, most] of rounds")
    for name, values in speeds.items():
        if name != UNOBSERVED:
            middle = statistics.median(values)
            print(f"  {name:44} {middle:8,.0f} [{min(values):,.0f}, {max(values):,.0f}]")
    for name, peer in RATIOS:
        ratios = [ours / theirs for ours, theirs in zip(speeds[name], speeds[peer], strict=True)]
        print(f"  {name} / {peer}: {statistics.median(ratios):.1f}")
    each = statistics.median(per_battle)
    observed, unobserved = (1e6 * statistics.median(costs[name]) / each for name in costs)
    print(f"  CPU us a decision: {observed:.1f}, of simulation alone {unobserved:.1f}; ", end="")
    print(f"to track, encode, transfer and read {observed - unobserved:.1f}", flush=True)


def run_throughput(options: argparse.Namespace) -> None:
    if len(options.formats) == 1:
        measure(options.formats[0], options)
        os._exit(0)  # poke-env's players listen for ever
    given = sys.argv[1:]
    if "--formats" in given:
        at = given.index("--formats")
        given = given[:at] + given[at + 1 + len(options.formats) :]
    for battle_format in options.formats:  # a process each: nobody's listening disturbs the next
        command = [sys.executable, sys.argv[0], *given, "--formats", battle_format]
        subprocess.run(command, check=True)


throughput = Command(
    "decisions a second, against poke-env",
    run_throughput,
    formats=["gen1randombattle", "gen9randombattle"],
    seconds=10.0,
    rounds=5,
    battles=64,
    workers=2,
    plain=False,
)
