"""MLflow, through its own library (extra `mlflow`)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from poke.training.writers.identity import run_name
from poke.training.writers.services.journal import Journal, write_whole
from poke.training.writers.services.randomness import spare_global_random

STATUSES = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
# What MLflow does where the environment says nothing. Its own choice, seven retries of 120 seconds each with pauses
# that double, holds a call for minutes: here a call fails soon, and the logger tries it again for as long as it takes.
QUICK = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
MAX_NAME_LENGTH = 250
MAX_PARAM_LENGTH = 6000
MAX_METRICS, MAX_PARAMS = 1000, 100  # of one request
LOCK_SECONDS = 60
_NOT_ALLOWED = re.compile(r"[^\w\-. :/]")


class MlflowWriter:
    """Logs metrics to an MLflow run, named `category/name`, from a thread of its own.

    A name that MLflow refuses is made fit, see `fitted`. MLflow cannot delete metrics: what a killed run had logged
    past its checkpoint stays, and is not logged again when the run resumes.

    Args:
        directory: where `mlflow.db` is kept when there is no URI.
        tracking_uri: an MLflow server or store; MLFLOW_TRACKING_URI if None, a SQLite file in `directory` without.
        experiment: MLflow experiment; MLFLOW_EXPERIMENT_NAME if None, `poke` without.
        name: the run's name; that of its directory if None.
        run_dir: the run's directory, which holds what is to be known of the MLflow run when it goes on; `directory`
            if None.
    """

    in_background = True

    def __init__(
        self,
        directory: str | Path,
        *,
        tracking_uri: str | None = None,
        experiment: str | None = None,
        name: str | None = None,
        run_dir: str | Path | None = None,
    ) -> None:
        self.directory = Path(directory)
        self.row_time: float | None = None  # when the row that is written was logged
        self._tracking_uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or None
        given = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME")
        self._experiment = given or "poke"
        self._name = fitted(name or run_name(run_dir or directory))
        self._own = Path(run_dir) / "mlflow" if run_dir else self.directory
        self._mark = secrets.token_hex(8)  # of a run that this process creates
        self._may_have_created = False
        self._client: Any = None
        self._run_id: str | None = None
        self._journal: Journal | None = None
        self._status = "FINISHED"

    def write(self, metrics: Mapping[str, float], step: int, category: str) -> None:
        """Log one row."""
        client, journal = self._started()
        if journal.holds(category, step, metrics):
            return
        from mlflow.entities import Metric

        # MLflow takes a metric once for a time and step: tried again, a row that had arrived is not doubled.
        at_ms = int((self.row_time or time.time()) * 1000)
        batch = [
            Metric(fitted(f"{category}/{name}"), value, at_ms, step)
            for name, value in metrics.items()
        ]
        for start in range(0, len(batch), MAX_METRICS):
            part = batch[start : start + MAX_METRICS]
            client.log_batch(self._run_id, metrics=part, synchronous=True)
        journal.add(category, step, metrics)

    def log_config(self, config: Mapping[str, Any]) -> None:
        """Log the config's values as parameters; a value that a resume changed keeps its first."""
        client, _ = self._started()
        from mlflow.entities import Param

        known = client.get_run(self._run_id).data.params
        params = [
            Param(key, value[:MAX_PARAM_LENGTH])
            for key, value in _leaves(config)
            if key not in known
        ]
        for start in range(0, len(params), MAX_PARAMS):
            part = params[start : start + MAX_PARAMS]
            client.log_batch(self._run_id, params=part, synchronous=True)

    def log_image(self, name: str, image: Any, step: int, category: str) -> None:
        """Log a picture, `[height, width, channels] uint8`."""
        client, journal = self._started()
        full = f"{category}/{name}"
        if not journal.holds(full, step):
            ascii_only = full.encode("ascii", "replace").decode().replace(":", "?")
            key = fitted(ascii_only, full, limit=100)  # it becomes the name of a file
            client.log_image(self._run_id, image, key=key, step=step, synchronous=True)
            journal.add(full, step)

    def log_end(self, status: str) -> None:
        """Have the MLflow run end as FINISHED, FAILED or KILLED."""
        self._status = STATUSES[status]

    def flush(self) -> None:
        """Every row is with the store already."""

    def close(self) -> None:
        """End the MLflow run."""
        if self._client is not None:
            self._client.set_terminated(self._run_id, self._status)
            self._client = None

    def get_state(self) -> dict[str, Any]:
        """Return the run's id, None before there is one, and which store it is in."""
        return {"run_id": self._run_id, "store": self._store}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue the MLflow run of the state, if it is in this store; without one, that of the directory."""
        here = state.get("store", self._store) == self._store
        self._run_id = state["run_id"] if here else None
        self._client = None

    @property
    def _store(self) -> str | None:
        """What tells the store from others; None: the run's own file. No URI: that may hold a password."""
        return self._tracking_uri and hashlib.sha256(self._tracking_uri.encode()).hexdigest()[:16]

    def _started(self) -> tuple[Any, Journal]:
        """The client and what the MLflow run has been given, begun at the first call."""
        if self._client is None or self._journal is None:
            for key, value in QUICK.items():
                os.environ.setdefault(key, value)
            from mlflow import MlflowClient

            self.directory.mkdir(parents=True, exist_ok=True)
            uri = self._tracking_uri or f"sqlite:///{(self.directory / 'mlflow.db').absolute()}"
            with _alone_in(uri):
                client = MlflowClient(uri)
                spare_global_random("mlflow", "urllib3")
                self._run_id = self._run_id or self._kept_run_id()
                if self._run_id is None:
                    self._run_id = self._create_run(client, self._experiment_id(client))
                    self._keep_run_id()
                else:
                    client.update_run(self._run_id, status="RUNNING")
            self._journal = Journal(self._own / f"logged-{self._run_id}.jsonl", "MLflow")
            self._client = client
        return self._client, self._journal

    def _experiment_id(self, client: Any) -> str:
        found = client.get_experiment_by_name(self._experiment)
        if found is None:
            folder = (self.directory / "artifacts").absolute().as_uri()
            where = None if self._tracking_uri else folder
            try:
                return client.create_experiment(self._experiment, artifact_location=where)
            except Exception:
                found = client.get_experiment_by_name(self._experiment)
                if found is None:  # nobody else was as quick
                    raise
        return found.experiment_id

    def _create_run(self, client: Any, experiment_id: str) -> str:
        """Create the MLflow run, unless an earlier try did, whose answer never came."""
        if self._may_have_created:
            mine = client.search_runs([experiment_id], f"tags.`poke.mark` = '{self._mark}'")
            if mine:
                return mine[0].info.run_id
        self._may_have_created = True
        tags = {"poke.mark": self._mark}
        return client.create_run(experiment_id, run_name=self._name, tags=tags).info.run_id

    def _kept_run_id(self) -> str | None:
        """The id that an earlier process kept, if it is of this store."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            kept = json.loads((self._own / "mlflow_run.json").read_text(encoding="utf-8"))
            if kept["store"] == self._store:
                return kept["run_id"]
        return None

    def _keep_run_id(self) -> None:
        write_whole(self._own / "mlflow_run.json", json.dumps(self.get_state()))


def fitted(name: str, full: str | None = None, *, limit: int = MAX_NAME_LENGTH) -> str:
    """Return a name that MLflow takes.

    That is the name itself where it can be. Otherwise what is not allowed becomes underscores, and a hash of the whole
    name ends it, so that no two names become one, whichever of them comes first.

    Args:
        name: what to make fit.
        full: the whole name, where `name` is what was left of it.
        limit: characters it may have.
    """
    full = name if full is None else full
    parts = _NOT_ALLOWED.sub("_", name).split("/")
    fit = "/".join("_" * max(1, len(part)) if part in ("", ".", "..") else part for part in parts)
    if fit == full and len(fit) <= limit:
        return fit
    digest = hashlib.sha256(full.encode()).hexdigest()[:8]
    return f"{fit[: limit - len(digest) - 1]}-{digest}"


@contextlib.contextmanager
def _alone_in(uri: str) -> Iterator[None]:
    """Be the only process that makes tables and experiments in a SQLite file: MLflow does not expect a second one."""
    scheme, _, place = uri.partition(":///")
    path = place.partition("?")[0]
    if not scheme.startswith("sqlite") or not path:
        yield
        return
    from filelock import FileLock

    with FileLock(f"{path}.lock", timeout=LOCK_SECONDS):
        yield


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield fitted(f"{prefix}{key}"), str(value)
