"""What `logger` may hold. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from poke.config.knobs import knob


@dataclass
class CsvConfig:
    """`logger.csv`."""

    enabled: bool = knob(help="whether metrics.csv is written")
    location: str = knob(help="in the run's directory, unless absolute")


@dataclass
class TensorBoardConfig:
    """`logger.tensorboard`."""

    enabled: bool = knob(help="whether TensorBoard's event files are written")
    location: str = knob(help="in the run's directory, unless absolute")


@dataclass
class WandbConfig:
    """`logger.wandb`."""

    mode: str = knob(choices=("online", "offline", "disabled"))
    location: str = knob(help="in the run's directory, where wandb/ is made")
    project: str = knob(help="the run's project")
    entity: str | None = knob(default=None, help="user or team; null: your default")
    name: str | None = knob(default=None, help="null: the run directory's")
    group: str | None = knob(default=None, help="of runs, on W&B's pages")
    tags: list[str] | None = knob(default=None, help="of the run")


@dataclass
class MlflowConfig:
    """`logger.mlflow`."""

    enabled: bool = knob(help="whether MLflow is told")
    location: str = knob(
        help="of the store, where no server is named; in the run's directory, unless absolute"
    )
    tracking_uri: str | None = knob(help="null: MLFLOW_TRACKING_URI, or a SQLite file in location")
    experiment: str | None = knob(help="null: MLFLOW_EXPERIMENT_NAME, or poke")
    name: str | None = knob(default=None, help="of the run; null: the run directory's")


@dataclass
class TrackioConfig:
    """`logger.trackio`."""

    enabled: bool = knob(help="whether Trackio is told")
    location: str = knob(help="of its files; in the run's directory, unless absolute")
    project: str = knob(help="the run's project")
    name: str | None = knob(default=None, help="of the run; null: the run directory's")


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
    event_categories: list[str] = knob(help="categories that are written at every call, a row each")
    reduce: dict[str, str] = knob(
        choices=("mean", "last", "sum", "min", "max", "count"),
        help="how a window is summed up, by name pattern; the mean where none fits",
    )
    strict: bool = knob(
        help="two values for one (category, name, step) raise instead of being warned of"
    )
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
