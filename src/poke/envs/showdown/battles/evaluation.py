"""How many battles a policy wins: the same ones at every evaluation and in every run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import numpy as np

from poke.envs.showdown.battles.environment import open_workers, spaces
from poke.envs.showdown.battles.matches import Tally, play_all
from poke.envs.showdown.battles.opponents import Opponents, misfit
from poke.envs.showdown.battles.plans import Plan
from poke.envs.showdown.battles.tables import Tables
from poke.envs.showdown.names import BattleError, label
from poke.envs.showdown.pipes.workers import BattleWorkers, battle_seeds
from poke.protocols import EvaluatorDefaults

MEASURED = ("win_rate", "win_rate_low", "win_rate_high", "turns", "refused")
_CONFIDENCE = 1.959964  # deviations of a normal distribution around 95 %


class BattleEvaluator(EvaluatorDefaults):
    """Evaluator: plays so many battles against each of several opponents.

    Battle n has the same dice and teams whatever the run, the moment, the opponent and the number of workers; the
    policy sits in either seat in turn. It chooses what is most probable, as trained opponents do. A battle whose worker
    dies is played again.

    Args:
        opponents: random, max_base_power, simple_heuristics, or places of runs, as `poke.load` takes them.
        battles: against each.
        seed: of the battles; training's come from the run's seed.
        num_envs: battles side by side; as many observations are judged at once.
        num_workers: processes that play; changes speed only.
        format: of the battles; None for the environment's, or the one that the data was recorded in.
        teams: a file of teams, for a format that needs them; None for the environment's.
        accelerate: as of `poke.envs.showdown.battles.environment.BattleEnvironment`.
        explore: let the policy sample its actions.
        trust: packages whose classes the opponents' policies may name, besides poke's own networks.
        environment: of training; None where there is none.
        source: of the experience; asked for its format where there is no environment.
        load_policy: returns a run's policy.

    Raises:
        BattleError: there are no such battles, they cannot be played here, or they show other observations than those
            that the policy learns of.
        ValueError: an opponent's policy cannot be loaded.
    """

    category = "eval"

    def __init__(
        self,
        *,
        opponents: Sequence[str],
        battles: int,
        seed: int,
        num_envs: int,
        num_workers: int,
        format: str | None = None,
        teams: str | None = None,
        accelerate: bool = True,
        explore: bool = False,
        trust: Sequence[str] = (),
        environment: Any = None,
        source: Any,
        load_policy: Callable[..., Any],
    ) -> None:
        self._battles = battles
        self._seed = seed
        self._num_envs = min(num_envs, battles)
        self._explore = explore
        self._format = format or getattr(environment, "format", None) or recorded_format(source)
        seen, self._actions = spaces(self._format)
        why = misfit(source.observation_space, source.action_space, seen, self._actions)
        if why:
            raise BattleError(f"eval plays {self._format}, but what learns {why}")
        labels = [label(name) for name in opponents]
        if len(set(labels)) < len(labels):
            raise BattleError(f"eval.opponents: two would be measured under one name ({labels})")
        self._opponents = {
            name: Opponents(
                {name: 1.0},
                observation_space=seen,
                action_space=self._actions,
                load=lambda place: load_policy(place, trust=tuple(trust)),
                league=None,
                num_tables=self._num_envs,
                explore=False,
            )
            for name in opponents
        }
        self._how = {
            "accelerate": accelerate,
            "teams": teams or getattr(environment, "teams", None),
        }
        self._num_workers = num_workers
        # What the worker has against the format is to be known before training, not after.
        open_workers(self._format, 1, 1, **self._how).close()

    @property
    def metric_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The metrics' names: each of `MEASURED` by opponent."""
        return tuple(f"{label(name)}/{what}" for name in self._opponents for what in MEASURED)

    def evaluate(self, algorithm: Any) -> dict[str, float]:
        """Return the metrics of `metric_names`.

        The share of battles won with its 95 % interval, and per battle how many turns there were and how many choices
        were refused.
        """
        metrics = {}
        workers = open_workers(self._format, self._num_envs, self._num_workers, **self._how)
        with closing(workers):
            for name, opponents in self._opponents.items():
                result = self._play(workers, name, opponents, algorithm.policy)
                low, high = wilson(result.won, self._battles)
                values = (
                    result.won / self._battles,
                    low,
                    high,
                    result.turns / self._battles,
                    result.refused / self._battles,
                )
                for what, value in zip(MEASURED, values, strict=True):
                    metrics[f"{label(name)}/{what}"] = float(value)
        return metrics

    def _play(self, workers: BattleWorkers, name: str, opponents: Opponents, policy: Any) -> Tally:
        """Play all battles against one opponent."""
        opponents.seed([self._seed, 2])
        # A generator of its own, so that training draws what it would without evaluation.
        generator = np.random.default_rng([self._seed, 1]) if self._explore else None
        plans = [Plan(battle_seeds(self._seed, n), n % 2, name) for n in range(self._battles)]
        tables = Tables(workers, self._actions.sizes[0], opponents)
        tally = Tally()
        play_all(tables, plans, policy, generator=generator, on_end=tally.add)
        return tally


def wilson(won: int, played: int) -> tuple[float, float]:
    """Return the 95 % interval of a chance.

    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the American Statistical
    Association 1927.

    Args:
        won: how often.
        played: of how many, at least one.
    """
    share, square = won / played, _CONFIDENCE**2
    middle = share + square / (2 * played)
    half = _CONFIDENCE * math.sqrt(share * (1 - share) / played + square / (4 * played**2))
    return max(0.0, (middle - half) / (1 + square / played)), min(
        1.0, (middle + half) / (1 + square / played)
    )


def recorded_format(source: Any) -> str:
    """Return the format that a source's battles were recorded in.

    Raises:
        BattleError: it does not say.
    """
    format = getattr(source, "metadata", {}).get("format")
    if not isinstance(format, str):
        raise BattleError("the data does not say what was played: add eval.format=FORMAT")
    return format
