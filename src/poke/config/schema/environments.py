"""What the options of `env` may hold. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from poke.config.knobs import knob


@dataclass
class GymEnvironmentConfig:
    """`env=cartpole`, `env=acrobot`, `env=gym env.id=ID`."""

    id: str = knob(help="as Gymnasium registers it")
    num_envs: int = knob(at_least=1, help="stepped together in training")
    vectorization: str = knob(choices=("auto", "serial", "async", "vector_entry_point"))
    kwargs: dict[str, Any] | None = knob(help="for the environment's constructor")
    evaluation_kwargs: dict[str, Any] | None = knob(help="in their place in evaluation")
    max_episode_steps: int | None = knob(at_least=1)
    frame_stack: int = knob(at_least=1)
    normalize_observation: bool = knob(
        help="by running mean and deviation, which checkpoints and policies hold"
    )
    observation_clip: float = knob(above=0, help="where normalised observations are cut")
    normalize_reward: bool = knob(help="by the running deviation of discounted returns")
    reward_clip: float = knob(above=0, help="where normalised rewards are cut")
    reward_gamma: float | None = knob(at_least=0, at_most=1, help="null: algo.gamma")
    wrappers: Any = knob(
        default=None, help="each {_target_: gymnasium.wrappers.NAME, ...arguments}, innermost first"
    )
    action_bounds: str = knob(
        choices=("clip", "squash"), default="clip", help="how numbers are kept within a Box"
    )
    probe_exact: bool = knob(
        default=True, help="try whether environments can be copied, so that a resume is exact"
    )


@dataclass
class LeagueConfig:
    """`env.league`: who `env.opponent=league` stands for, besides past policies."""

    players: list[str] = knob(help="that are always members, named as env.opponent names them")
    snapshot_every: int = knob(at_least=1, help="decisions between one past policy and the next")
    max_snapshots: int = knob(at_least=1, help="past policies kept; they stand in checkpoints")
    weighting: str = knob(
        choices=("hard", "variance"), help="by the chance p to win: (1 - p)^2, or p (1 - p)"
    )


@dataclass
class ShowdownConfig:
    """`env=showdown`. Of `python -m poke.record` its values are those of `RecordConfig`."""

    format: str = knob(help="a singles format, such as gen1randombattle")
    teams: str | None = knob(help="a file of teams, for formats that draw none")
    num_envs: int = knob(at_least=1, help="battles side by side in training")
    num_workers: int = knob(
        at_least=1, bookkeeping=True, help="processes that play them; changes speed only"
    )
    opponent: str | dict[str, float] = knob(
        at_least=0, help="a name, or a mapping of names to shares of the battles"
    )
    reward: str = knob(choices=("win", "shaped"), help="shaped: HP and Pokemon left count as well")
    shaping: float = knob(above=0, help="scale of the shaped reward's potential")
    accelerate: bool = knob(bookkeeping=True, help="changes speed only")
    league: LeagueConfig = knob()
    trust: list[str] = knob(
        help="packages whose classes opponents may name besides poke's own networks"
    )
