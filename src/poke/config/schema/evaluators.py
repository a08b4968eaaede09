"""What the options of `eval` may hold. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from poke.config.knobs import knob


@dataclass
class HeldOutConfig:
    """`eval=heldout`."""

    batch_size: int = knob(at_least=1, help="decisions at once; changes speed only")


@dataclass
class EpisodeEvaluatorConfig:
    """`eval=episodes`."""

    episodes: int = knob(
        at_least=1, help="played by the most probable actions, from the same beginnings every time"
    )
    seed: int = knob(at_least=0, help="of the episodes; training's come from the run's seed")
    video: bool = knob(bookkeeping=True, help="film an episode for the sinks that can show it")
    explore: bool = knob(default=False, help="sample actions, not the most probable")
    max_episode_steps: int | None = knob(
        at_least=1, default=None, help="cut episodes here; null: the environment's own limit"
    )


@dataclass
class BattleEvaluatorConfig:
    """`eval=battles`."""

    opponents: list[str] = knob(help="random, max_base_power, simple_heuristics, or runs")
    battles: int = knob(at_least=1, help="against each")
    seed: int = knob(at_least=0, help="of the battles; training's come from the run's seed")
    num_envs: int = knob(at_least=1, help="battles side by side")
    num_workers: int = knob(
        at_least=1, bookkeeping=True, help="processes that play them; changes speed only"
    )
    format: str | None = knob(help="null: the environment's, or the one of the data")
    teams: str | None = knob(help="null: the environment's")
    accelerate: bool = knob(bookkeeping=True, help="changes speed only")
    explore: bool = knob(help="sample actions, not the most probable")
    trust: list[str] = knob(
        help="packages whose classes opponents may name besides poke's own networks"
    )


@dataclass
class ValueEvaluatorConfig:
    """`eval=values`."""

    gamma: float = knob(at_least=0, at_most=1, help="discount factor of the values that are fitted")
    fitted_updates: int = knob(at_least=0, help="of fitted Q evaluation, each time; 0: none")
    fitted_lr: float = knob(above=0, help="Adam's")
    fitted_batch_size: int = knob(at_least=1, help="transitions a gradient step")
    batch_size: int = knob(at_least=1, help="decisions at once; changes speed only")
    seed: int = knob(at_least=0, help="of the critic that is fitted")
