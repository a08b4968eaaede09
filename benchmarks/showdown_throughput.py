"""Decisions a second: the battle workers, poke-env on a local server, and its SinglesEnv.

Everybody plays random legal actions. Contestants are set up once, warmed up, and then take turns; while one plays the
others wait and cost nothing. A ratio is the median over rounds of the ratio within a round. The cost of tracking,
encoding and transferring a decision is what the workers and we use of the processors, less what they use
when both players decide in the worker and nothing is observed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import psutil
from encode_0_1_0.observation import encode
from gymnasium.spaces import Box
from poke_env import AccountConfiguration, ServerConfiguration
from poke_env.environment import SingleAgentWrapper, SinglesEnv
from poke_env.player import RandomPlayer

from poke.envs.showdown.server import ShowdownServer
from poke.envs.showdown.workers import (
    ASKED,
    ENDED,
    LOST,
    BattleWorkers,
    Start,
    battle_seeds,
    unpack_masks,
)

OBSERVED = "workers, both sides"
ONE_SIDE = "workers, one side"
UNOBSERVED = "workers, nobody asked"
POKE_ENV = "poke-env, both sides, concurrency 10"
SINGLES = "SinglesEnv with 0.1.0's encode, one side"
RATIOS = ((OBSERVED, POKE_ENV), (ONE_SIDE, SINGLES))
Play = Callable[[float], tuple[int, int]]  # seconds -> decisions, battles


class Worked:
    """Battles on workers, played with random actions for as long as is asked."""

    def __init__(self, workers: BattleWorkers, players: tuple[str, str]) -> None:
        self.workers, self.players = workers, players
        self.random = np.random.default_rng(0)
        self.num_begun = 0
        self.begin(range(workers.num_battles))
        self.num_actions = 26

    def begin(self, places) -> None:
        for place in places:
            seeds = battle_seeds(0, self.num_begun)
            self.workers.begin([Start(place, seeds, self.players)])
            self.num_begun += 1

    def play(self, seconds: float) -> tuple[int, int]:
        decisions, battles, end = 0, 0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            records = self.workers.exchange(wait_for_all=False)
            asked = records[records["flags"] & ASKED != 0]
            if len(asked):
                masks = unpack_masks(asked["mask"], self.num_actions)
                actions = (masks * self.random.random(masks.shape, np.float32)).argmax(1)
                self.workers.choose(asked["battle"], asked["seat"], actions)
            over = np.unique(records["battle"][records["flags"] & (ENDED | LOST) != 0]).tolist()
            self.begin(over)
            decisions, battles = decisions + len(asked), battles + len(over)
        return decisions, battles

    def cpu_seconds(self) -> float:
        processes = [psutil.Process(), *map(psutil.Process, self.workers.pids)]
        return sum(sum(process.cpu_times()[:2]) for process in processes)


class Counting(RandomPlayer):
    """poke-env's random player, counting."""

    decisions = 0

    def choose_move(self, battle):
        Counting.decisions += 1
        return super().choose_move(battle)


def poke_env_player(kind: type, name: str, battle_format: str, url: str, **more):
    return kind(
        AccountConfiguration(name, None),
        battle_format=battle_format,
        server_configuration=ServerConfiguration(url, ""),
        log_level=50,
        open_timeout=120,  # a busy machine takes its time
        **more,
    )


def poke_env_play(battle_format: str, url: str) -> Play:
    names = f"a{battle_format[:8]}", f"b{battle_format[:8]}"
    players = [
        poke_env_player(Counting, name, battle_format, url, max_concurrent_battles=10)
        for name in names
    ]

    def play(seconds: float) -> tuple[int, int]:
        Counting.decisions, battles, end = 0, 0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            asyncio.run(players[0].battle_against(players[1], n_battles=20))
            battles += 20
        for player in players:
            player.reset_battles()
        return Counting.decisions, battles

    return play


class Encoding(SinglesEnv):
    """poke-env's environment, with poke 0.1.0's observations."""

    def embed_battle(self, battle):
        return encode(battle)

    def calc_reward(self, battle):
        return self.reward_computing_helper(battle)


def singles_play(battle_format: str, url: str) -> Play:
    environment = Encoding(
        battle_format=battle_format,
        server_configuration=ServerConfiguration(url, ""),
        account_configuration1=AccountConfiguration(f"c{battle_format[:8]}", None),
        account_configuration2=AccountConfiguration(f"d{battle_format[:8]}", None),
        log_level=50,
        open_timeout=120,
        strict=False,
    )
    environment.observation_spaces = {
        agent: Box(-128, 127, (2739,), np.int8) for agent in environment.possible_agents
    }
    name = f"e{battle_format[:8]}"
    opponent = poke_env_player(RandomPlayer, name, battle_format, url, start_listening=False)
    wrapped = SingleAgentWrapper(environment, opponent)
    random = np.random.default_rng(0)
    observation = wrapped.reset()[0]

    def play(seconds: float) -> tuple[int, int]:
        nonlocal observation
        decisions, battles, end = 0, 0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            legal = np.flatnonzero(np.asarray(observation["action_mask"]))
            action = random.choice(legal) if len(legal) else 0
            observation, _, terminated, truncated, _ = wrapped.step(np.int64(action))
            decisions += 1
            if terminated or truncated:
                observation = wrapped.reset()[0]
                battles += 1
        return decisions, battles

    return play


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
        plays: dict[str, Play] = {name: one.play for name, one in ours.items()}
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


class Command:
    """A subcommand: its arguments, and what it does with them."""

    def __init__(self, help: str, run, **defaults: object) -> None:
        self.help, self.run, self.defaults = help, run, defaults

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        for name, default in self.defaults.items():
            if isinstance(default, list):
                parser.add_argument(
                    f"--{name}", nargs="+", type=type((default or [""])[0]), default=default
                )
            elif default is False:
                parser.add_argument(f"--{name}", action="store_true")
            else:
                parser.add_argument(f"--{name}", type=type(default), default=default)
        parser.set_defaults(run=self.run)


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


def run_memory(options: argparse.Namespace) -> None:
    """The resident memory of one worker over many battles between scripted players."""
    with BattleWorkers(options.format, num_battles=8, num_workers=1) as workers:
        worker, battles = psutil.Process(workers.pids[0]), 0
        played = Worked(workers, ("random", "random"))
        step = max(1, options.battles // 10)
        print(f"{options.format}: battles, resident MB")
        while battles < options.battles:
            battles += played.play(0.5)[1]
            if battles >= step:
                print(f"  {battles:7,} {worker.memory_info().rss / 1e6:7.0f}", flush=True)
                step += max(1, options.battles // 10)


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
memory = Command(
    "of a worker over many battles", run_memory, format="gen1randombattle", battles=10_000
)
