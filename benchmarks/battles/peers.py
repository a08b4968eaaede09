"""What a throughput of battles is measured against; needs poke[showdown]."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import numpy as np
from gymnasium.spaces import Box
from poke_env import AccountConfiguration, ServerConfiguration
from poke_env.environment import SingleAgentWrapper, SinglesEnv
from poke_env.player import RandomPlayer

from battles.encode_0_1_0.observation import encode

Play = Callable[[float], tuple[int, int]]  # seconds -> decisions, battles


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
