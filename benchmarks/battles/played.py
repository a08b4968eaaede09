"""Battles on workers, played with random actions."""

from __future__ import annotations

import time

import numpy as np
import psutil

from poke.envs.showdown.pipes.workers import (
    ASKED,
    ENDED,
    LOST,
    BattleWorkers,
    Start,
    battle_seeds,
    unpack_masks,
)


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
