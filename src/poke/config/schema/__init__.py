"""What a config may hold: one dataclass a group.

Values live in ``conf/``; types, ranges and meanings live here. A node whose ``_target_`` poke does not know (a
user's own algorithm, network or sink) is left to its own constructor.

Fast path: nothing here imports torch, whose seconds nobody should wait for an answer to a mistake. So what the classes
take stands here once more, and must be what they take.
"""

from __future__ import annotations

from poke.config.schema.algorithms import (
    AWRConfig,
    BehaviourCloningConfig,
    CQLConfig,
    CRRConfig,
    DQNConfig,
    IQLConfig,
    PPOConfig,
    SACConfig,
    TD3Config,
)
from poke.config.schema.data import (
    CollectorConfig,
    DemonstrationsConfig,
    MinariConfig,
    RemoteCollectorConfig,
    ReplayConfig,
    TransitionsConfig,
)
from poke.config.schema.environments import (
    GymEnvironmentConfig,
    LeagueConfig,
    ShowdownConfig,
)
from poke.config.schema.evaluators import (
    BattleEvaluatorConfig,
    EpisodeEvaluatorConfig,
    HeldOutConfig,
    ValueEvaluatorConfig,
)
from poke.config.schema.logging import (
    AlertConfig,
    ConsoleConfig,
    CsvConfig,
    LoggerConfig,
    MlflowConfig,
    TensorBoardConfig,
    TrackioConfig,
    WandbConfig,
)
from poke.config.schema.networks import (
    AutoNetworkConfig,
    BattleNetworkConfig,
    CNNConfig,
    MLPConfig,
)
from poke.config.schema.training import (
    CheckpointConfig,
    EarlyStoppingConfig,
    TrainerConfig,
)
from poke.config.schema.whole import (
    InitFromConfig,
    RecordConfig,
    SweepConfig,
    TrainConfig,
)

__all__ = [
    "PLAYERS",
    "TARGETS",
    "AWRConfig",
    "AlertConfig",
    "AutoNetworkConfig",
    "BattleEvaluatorConfig",
    "BattleNetworkConfig",
    "BehaviourCloningConfig",
    "CNNConfig",
    "CQLConfig",
    "CRRConfig",
    "CheckpointConfig",
    "CollectorConfig",
    "ConsoleConfig",
    "CsvConfig",
    "DQNConfig",
    "DemonstrationsConfig",
    "EarlyStoppingConfig",
    "EpisodeEvaluatorConfig",
    "GymEnvironmentConfig",
    "HeldOutConfig",
    "IQLConfig",
    "InitFromConfig",
    "LeagueConfig",
    "LoggerConfig",
    "MLPConfig",
    "MinariConfig",
    "MlflowConfig",
    "PPOConfig",
    "RecordConfig",
    "RemoteCollectorConfig",
    "ReplayConfig",
    "SACConfig",
    "ShowdownConfig",
    "SweepConfig",
    "TD3Config",
    "TensorBoardConfig",
    "TrackioConfig",
    "TrainConfig",
    "TrainerConfig",
    "TransitionsConfig",
    "ValueEvaluatorConfig",
    "WandbConfig",
]

PLAYERS = ("simple_heuristics", "max_base_power", "random")

# Whoever names one of these as `_target_` is held to its schema.
TARGETS: dict[str, type] = {
    "poke.algorithms.bc.BehaviourCloning": BehaviourCloningConfig,
    "poke.algorithms.bc.HeldOutEvaluator": HeldOutConfig,
    "poke.algorithms.values.fitted.ValueEvaluator": ValueEvaluatorConfig,
    "poke.algorithms.ppo.PPO": PPOConfig,
    "poke.envs.gym.GymEnvironment": GymEnvironmentConfig,
    "poke.envs.evaluation.EpisodeEvaluator": EpisodeEvaluatorConfig,
    "poke.data.rollout.Collector": CollectorConfig,
    "poke.data.remote.RemoteCollector": RemoteCollectorConfig,
    "poke.data.replay.Replay": ReplayConfig,
    "poke.networks.auto.auto_network": AutoNetworkConfig,
    "poke.networks.mlp.MLP": MLPConfig,
    "poke.networks.cnn.CNN": CNNConfig,
    "poke.networks.battle.BattleNetwork": BattleNetworkConfig,
    "poke.data.demonstrations.Demonstrations": DemonstrationsConfig,
    "poke.data.minari.MinariDemonstrations": MinariConfig,
    "poke.data.transitions.RecordedTransitions": TransitionsConfig,
    "poke.algorithms.offline.iql.IQL": IQLConfig,
    "poke.algorithms.offline.cql.CQL": CQLConfig,
    "poke.algorithms.offline.crr.CRR": CRRConfig,
    "poke.algorithms.offline.awr.AWR": AWRConfig,
    "poke.algorithms.off_policy.dqn.DQN": DQNConfig,
    "poke.algorithms.off_policy.sac.SAC": SACConfig,
    "poke.algorithms.off_policy.td3.TD3": TD3Config,
    "poke.envs.showdown.battles.BattleEnvironment": ShowdownConfig,
    "poke.envs.showdown.battles.BattleEvaluator": BattleEvaluatorConfig,
    "poke.training.writers.CsvWriter": CsvConfig,
    "poke.training.writers.TensorBoardWriter": TensorBoardConfig,
    "poke.training.writers.WandbWriter": WandbConfig,
    "poke.training.writers.MlflowWriter": MlflowConfig,
    "poke.training.writers.TrackioWriter": TrackioConfig,
}
