"""What a config may hold: one dataclass a group.

Values live in ``conf/``; types, ranges and meanings live here. A node whose ``_target_`` poke does not know (a
user's own algorithm, network or sink) is left to its own constructor. Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from poke.config.knobs import knob

ON_CHANGE = ("error", "accept")
PLAYERS = ("simple_heuristics", "max_base_power", "random")


@dataclass
class BehaviourCloningConfig:
    """`algo=bc`."""

    lr: float = knob(above=0, help="AdamW's peak learning rate")
    weight_decay: float = knob(at_least=0)
    label_smoothing: float = knob(at_least=0, below=1, help="spread over the legal actions only")
    max_grad_norm: float = knob(at_least=0, help="global norm; 0: no clipping")
    lr_schedule: str = knob(choices=("constant", "cosine"))
    schedule_steps: int = knob(at_least=1, help="where the cosine reaches 0")
    warmup_steps: int = knob(at_least=0)
    loss: str = knob(choices=("nll", "mse"), default="nll", help="mse: of continuous actions")


@dataclass
class AutoNetworkConfig:
    """`network=auto`."""

    hidden_sizes: list[int] = knob(at_least=1, help="layers over numbers, and over all parts")
    activation: str = knob(choices=("relu", "tanh", "gelu"))
    picture_size: int = knob(at_least=1)
    embedding_size: int = knob(at_least=1)
    entity_size: int = knob(at_least=1)
    battle_size: int = knob(at_least=1)
    memory: str | None = knob(choices=("gru", "lstm"), help="null: nothing is remembered")
    memory_size: int = knob(at_least=1)
    move_size: int = knob(at_least=1, default=32)


@dataclass
class MLPConfig:
    """`network=mlp`."""

    hidden_sizes: list[int] = knob(at_least=1)
    activation: str = knob(choices=("relu", "tanh", "gelu"))


@dataclass
class CNNConfig:
    """`network=cnn`."""

    hidden_size: int = knob(at_least=1)


@dataclass
class BattleNetworkConfig:
    """`network=battle`."""

    entity_size: int = knob(at_least=1)
    hidden_size: int = knob(at_least=1)
    move_size: int = knob(at_least=1, default=32)


@dataclass
class DemonstrationsConfig:
    """`data=sample` and `data=file`."""

    path: str | list[str] = knob(
        help="a file of demonstrations, sample:NAME for one shipped with poke, or several"
    )
    batch_size: int = knob(at_least=1, help="decisions an update")
    val_fraction: float = knob(above=0, below=1, help="of the episodes, held out for validation")
    sequence_length: int = knob(
        at_least=1, default=32, help="decisions a sequence, for networks with a memory"
    )
    filled: str = knob(
        choices=("keep", "zero"),
        default="keep",
        help="what of imported replays was not known by then",
    )
    on_change: str = knob(
        choices=ON_CHANGE,
        default="error",
        bookkeeping=True,
        help="where a resume finds other data than before",
    )


@dataclass
class MinariConfig:
    """`data=minari`."""

    dataset_id: str = knob(help="as Minari names it; nothing is downloaded")
    batch_size: int = knob(at_least=1, help="decisions an update")
    val_fraction: float = knob(above=0, below=1, help="of the episodes, held out for validation")
    sequence_length: int = knob(
        at_least=1, default=32, help="decisions a sequence, for networks with a memory"
    )
    on_change: str = knob(
        choices=ON_CHANGE,
        default="error",
        bookkeeping=True,
        help="where a resume finds other data than before",
    )


@dataclass
class HeldOutConfig:
    """`eval=heldout`."""

    batch_size: int = knob(at_least=1, help="decisions at once; changes speed only")


@dataclass
class PPOConfig:
    """`algo=ppo`."""

    lr: float = knob(above=0, help="Adam's learning rate at the start")
    lr_schedule: str = knob(choices=("constant", "linear"))
    schedule_steps: int = knob(at_least=1, help="where the linear schedules reach 0")
    gamma: float = knob(at_least=0, at_most=1)
    gae_lambda: float = knob(at_least=0, at_most=1)
    num_epochs: int = knob(at_least=1, help="passes over each block of experience")
    minibatch_size: int = knob(at_least=2, help="divides env.num_envs * data.num_steps")
    clip_range: float = knob(above=0)
    clip_value_loss: bool = knob()
    normalize_advantage: bool = knob()
    entropy_coefficient: float = knob()
    value_coefficient: float = knob(at_least=0)
    max_grad_norm: float = knob(at_least=0, help="global norm; 0: no clipping")
    target_kl: float | None = knob(
        above=0, help="ends an update at the minibatch on which the policy has moved further"
    )
    shared_network: bool = knob(help="one network for policy and value")
    fast_path: bool = knob(help="small networks on the CPU in numpy, forwards and backwards")
    clip_range_schedule: str = knob(choices=("constant", "linear"), default="constant")
    opponent_coefficient: float = knob(
        at_least=0, default=0.0, help="weight of a loss that predicts the opponent's action"
    )
    initial_log_std: float = knob(
        default=0.0, help="logarithm of the deviation of continuous actions at the start"
    )


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
    normalize_observation: bool = knob()
    observation_clip: float = knob(above=0)
    normalize_reward: bool = knob()
    reward_clip: float = knob(above=0)
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


@dataclass
class CollectorConfig:
    """`data=rollout`."""

    num_steps: int = knob(at_least=1, help="of each environment, an update")
    episode_window: int = knob(at_least=1, help="episodes the reported return is the mean over")


@dataclass
class EpisodeEvaluatorConfig:
    """`eval=episodes`."""

    episodes: int = knob(at_least=1)
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
class EarlyStoppingConfig:
    """`trainer.early_stopping`."""

    patience: int = knob(
        at_least=0, default=0, help="evaluations without a better checkpoint.monitor; 0: never"
    )
    min_delta: float = knob(at_least=0, default=0.0, help="by how much one must be better to count")


@dataclass
class TrainerConfig:
    """`trainer`."""

    max_steps: int = knob(at_least=0, help="updates offline, transitions online")
    eval_every: int = knob(at_least=0, help="steps; 0: only at the end")
    max_seconds: float = knob(
        at_least=0,
        default=0,
        bookkeeping=True,
        help="a process saves and ends after so long; 0: no limit",
    )
    early_stopping: EarlyStoppingConfig = knob(default=None)


@dataclass
class CheckpointConfig:
    """`checkpoint`: when the trainer saves, and how CheckpointManager keeps."""

    save_every: int = knob(
        bookkeeping=True, at_least=0, help="steps; 0: only at the beginning and end"
    )
    save_every_seconds: float = knob(
        bookkeeping=True, at_least=0, help="besides save_every; 0: never by the clock"
    )
    max_to_keep: int = knob(bookkeeping=True, at_least=1, help="newest; the best is kept besides")
    keep_best: bool = knob(bookkeeping=True)
    keep_every: int | None = knob(bookkeeping=True, at_least=1, help="steps; never pruned")
    monitor: str = knob(help="the metric that decides which is best")
    mode: str = knob(choices=("min", "max"))
    async_save: bool = knob(bookkeeping=True, help="write in the background")
    contents: str = knob(bookkeeping=True, choices=("full", "weights"))


@dataclass
class CsvConfig:
    """`logger.csv`."""

    enabled: bool = knob()
    location: str = knob()


@dataclass
class TensorBoardConfig:
    """`logger.tensorboard`."""

    enabled: bool = knob()
    location: str = knob()


@dataclass
class WandbConfig:
    """`logger.wandb`."""

    mode: str = knob(choices=("online", "offline", "disabled"))
    location: str = knob()
    project: str = knob()
    entity: str | None = knob(default=None)
    name: str | None = knob(default=None)
    group: str | None = knob(default=None)
    tags: list[str] | None = knob(default=None)


@dataclass
class MlflowConfig:
    """`logger.mlflow`."""

    enabled: bool = knob()
    location: str = knob()
    tracking_uri: str | None = knob(help="null: MLFLOW_TRACKING_URI, or a SQLite file in location")
    experiment: str | None = knob(help="null: MLFLOW_EXPERIMENT_NAME, or poke")
    name: str | None = knob(default=None)


@dataclass
class TrackioConfig:
    """`logger.trackio`."""

    enabled: bool = knob()
    location: str = knob()
    project: str = knob()
    name: str | None = knob(default=None)


@dataclass
class ConsoleConfig:
    """`logger.console`: the terminal's table."""

    metrics: list[str] | None = knob(
        default=None,
        help="patterns of category/name, shown beside the monitor, loss and return; []: what fits",
    )


@dataclass
class AlertConfig:
    """`logger.alert`."""

    command: str | None = knob(
        default=None, help="for the shell, run when a run ends, fails or meets a NaN"
    )


@dataclass
class LoggerConfig:
    """`logger`; a node with a `_target_` is a sink."""

    takes_targets: ClassVar[bool] = True

    cli_frequency: int | None = knob(at_least=0, help="steps between terminal lines; 0: none")
    backend_frequency: int | None = knob(
        at_least=0, help="steps between rows of csv and others; 0: none"
    )
    event_categories: list[str] = knob()
    reduce: dict[str, str] = knob(choices=("mean", "last", "sum", "min", "max", "count"))
    strict: bool = knob()
    csv: Any = knob()
    tensorboard: Any = knob()
    wandb: Any = knob()
    mlflow: Any = knob()
    trackio: Any = knob()
    close_seconds: float = knob(
        default=30, at_least=0, help="that the end waits for sinks in the background, all together"
    )
    console: ConsoleConfig = knob(default=None)
    alert: AlertConfig = knob(default=None)


@dataclass
class InitFromConfig:
    """`init_from=FILE`: a warm start."""

    path: str | None = knob(help="a run or checkpoint whose algorithm weights to start from")
    strict: bool = knob(help="false: leave out weights that are missing or of another shape")


@dataclass
class SweepConfig:
    """`sweep=NAME`: how the jobs of `-m` are brought to their end."""

    name: str | None = knob(help="the sweep's directory is multirun/NAME")
    on_change: str = knob(choices=("error", "rerun", "ignore"))
    fail_fast: bool = knob(help="stop all jobs when one has failed")
    on_busy: str = knob(choices=("wait", "error"), help="while another process runs this sweep")
    trial: int | None = knob(help="the search's number for the job; set by hydra/sweeper=optuna")
    # What came later has a default, as below.
    on_failed: str = knob(
        choices=("auto", "resume", "rerun"),
        default="auto",
        help="a failed job goes on, runs again, or, auto: goes on if something from outside failed it",
    )
    max_parallel: int | None = knob(
        at_least=1, default=None, help="jobs at once, whatever the launcher would run"
    )


@dataclass
class TrainConfig:
    """The whole of `python -m poke.train`."""

    # Groups that others borrow values from come first, so that a mistake is named where it was made.
    trainer: TrainerConfig = knob()
    checkpoint: CheckpointConfig = knob()
    logger: LoggerConfig = knob(bookkeeping=True)
    algo: Any = knob()
    network: Any = knob()
    data: Any = knob()
    seed: int = knob(at_least=0, at_most=2**63 - 1, help="fixes every random state of the run")
    device: str = knob(help="auto, cpu, cuda or cuda:N")
    torch_threads: int = knob(at_least=1, help="threads a torch operator may use")
    resume: str | None = knob(
        bookkeeping=True,
        help="a run directory or checkpoint file to go on from, in place; auto: hydra.run.dir, if a run is there",
    )
    init_from: InitFromConfig = knob()
    sweep: SweepConfig = knob(bookkeeping=True)
    # What came later has a default, so that groups and primary configs of a user's own go on working.
    fork: str | None = knob(
        default=None,
        bookkeeping=True,
        help="a run or checkpoint whose whole state a new run starts from",
    )
    env: Any = knob(default=None)
    eval: Any = knob(default=None)


@dataclass
class RecordConfig:
    """The whole of `python -m poke.record`."""

    env: Any = knob(help="where battles are played")
    format: str = knob(help="a random battle format, such as gen1randombattle")
    battles: int = knob(at_least=1, help="in all, those of earlier sessions included")
    expert: str = knob(help="whose decisions are recorded: a player, or a run")
    experts: list[Any] | None = knob(
        help="several, with shares of the battles, as in [{player: random, share: 1}]"
    )
    opponents: list[str] = knob(help="played in turn: players, or runs")
    both_sides: bool = knob(help="opponents' decisions are recorded too")
    out: str = knob(help="the file")
    seed: int = knob(at_least=0, help="of everything: the same seed gives the same file")
    concurrency: int = knob(at_least=1, at_most=4096, help="battles at a time")
    policy: str | None = knob(help="a run whose policy is recorded, in env")
    episodes: int = knob(at_least=1, help="of policy, in a Gymnasium environment")
    trust: list[str] = knob(
        default=None, help="packages whose classes policy's run may name besides poke's own"
    )
    replays: str | None = knob(default=None, help="a log of a battle, or a folder of them")
    keep_names: bool = knob(default=False, help="the file says who played the replays")
    min_rating: int | None = knob(
        at_least=0, default=None, help="players of replays below are left out"
    )


# Whoever names one of these as `_target_` is held to its schema.
TARGETS: dict[str, type] = {
    "poke.algorithms.bc.BehaviourCloning": BehaviourCloningConfig,
    "poke.algorithms.bc.HeldOutEvaluator": HeldOutConfig,
    "poke.algorithms.ppo.PPO": PPOConfig,
    "poke.envs.gym.GymEnvironment": GymEnvironmentConfig,
    "poke.envs.evaluation.EpisodeEvaluator": EpisodeEvaluatorConfig,
    "poke.data.rollout.Collector": CollectorConfig,
    "poke.networks.auto.auto_network": AutoNetworkConfig,
    "poke.networks.mlp.MLP": MLPConfig,
    "poke.networks.cnn.CNN": CNNConfig,
    "poke.networks.battle.BattleNetwork": BattleNetworkConfig,
    "poke.data.demonstrations.Demonstrations": DemonstrationsConfig,
    "poke.data.minari.MinariDemonstrations": MinariConfig,
    "poke.envs.showdown.battles.BattleEnvironment": ShowdownConfig,
    "poke.envs.showdown.battles.BattleEvaluator": BattleEvaluatorConfig,
    "poke.training.writers.CsvWriter": CsvConfig,
    "poke.training.writers.TensorBoardWriter": TensorBoardConfig,
    "poke.training.writers.WandbWriter": WandbConfig,
    "poke.training.writers.MlflowWriter": MlflowConfig,
    "poke.training.writers.TrackioWriter": TrackioConfig,
}
