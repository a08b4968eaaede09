"""What `logger` may hold. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from poke.config.knobs import knob


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
