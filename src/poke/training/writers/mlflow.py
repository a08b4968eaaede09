"""MLflow, through its own library (extra `mlflow`)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_NOT_ALLOWED = re.compile(r"[^\w\-. /]")
_MAX_PARAM_LENGTH = 6000
_MAX_BATCH = 100


class MlflowWriter:
    """Logs metrics to an MLflow run, named `category/name`.

    Characters that MLflow refuses in names become underscores. MLflow cannot delete metrics: what a
    killed run had logged past its checkpoint is logged again with the same values when it resumes.

    Args:
        directory: where `mlflow.db` is kept when no URI is given.
        tracking_uri: an MLflow server or store; a SQLite file in `directory` if None.
        experiment: MLflow experiment.
        name: the run's name; MLflow invents one if None.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        tracking_uri: str | None = None,
        experiment: str = "poke",
        name: str | None = None,
    ) -> None:
        self.directory = Path(directory)
        self._tracking_uri = tracking_uri
        self._experiment = experiment
        self._name = name
        self._client: Any = None
        self._run_id: str | None = None

    def write(self, metrics: Mapping[str, float], step: int, category: str) -> None:
        """Log one row as one batch."""
        client = self._started()
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        batch = [
            Metric(_allowed(f"{category}/{name}"), value, now_ms, step)
            for name, value in metrics.items()
        ]
        client.log_batch(self._run_id, metrics=batch, synchronous=True)

    def log_config(self, config: Mapping[str, Any]) -> None:
        """Log the config's values as parameters; a value that a resume changed keeps its first."""
        client = self._started()
        from mlflow.entities import Param

        known = client.get_run(self._run_id).data.params
        params = [
            Param(key, value[:_MAX_PARAM_LENGTH])
            for key, value in _leaves(config)
            if key not in known
        ]
        for start in range(0, len(params), _MAX_BATCH):
            client.log_batch(self._run_id, params=params[start : start + _MAX_BATCH])

    def log_image(self, name: str, image: Any, step: int, category: str) -> None:
        """Log a picture, `[height, width, channels] uint8`."""
        client = self._started()
        client.log_image(self._run_id, image, key=_allowed(f"{category}/{name}"), step=step)

    def flush(self) -> None:
        """Every batch is with the store already."""

    def close(self) -> None:
        """End the MLflow run."""
        if self._client is not None:
            self._client.set_terminated(self._run_id)
            self._client = None

    def get_state(self) -> dict[str, Any]:
        """Return the run's id, None before the first row."""
        return {"run_id": self._run_id}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue the MLflow run of the state."""
        self._run_id = state["run_id"]

    def _started(self) -> Any:
        """The client of the MLflow run, begun at the first call."""
        if self._client is None:
            from mlflow import MlflowClient

            self.directory.mkdir(parents=True, exist_ok=True)
            database = f"sqlite:///{(self.directory / 'mlflow.db').absolute()}"
            client = MlflowClient(self._tracking_uri or database)
            if self._run_id is None:
                found = client.get_experiment_by_name(self._experiment)
                folder = (self.directory / "artifacts").absolute().as_uri()
                where = None if self._tracking_uri else folder
                experiment_id = (
                    found.experiment_id
                    if found
                    else client.create_experiment(self._experiment, artifact_location=where)
                )
                run = client.create_run(experiment_id, run_name=self._name)
                self._run_id = run.info.run_id
            else:
                client.update_run(self._run_id, status="RUNNING")
            self._client = client
        return self._client


def _allowed(name: str) -> str:
    return _NOT_ALLOWED.sub("_", name)


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield _allowed(f"{prefix}{key}"), str(value)
