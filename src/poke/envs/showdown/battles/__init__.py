"""Battles of the real simulator to train in and to be measured in."""

from poke.envs.showdown.battles.environment import BattleEnvironment
from poke.envs.showdown.battles.evaluation import BattleEvaluator

__all__ = ["BattleEnvironment", "BattleEvaluator"]
