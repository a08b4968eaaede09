"""Trackio, through its own library (extra `trackio`)."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class TrackioWriter:
    """Logs metrics to a local Trackio run, named `category/name`.

    Args:
        directory: where Trackio keeps its database; one directory a process, for Trackio's own sake.
        project: Trackio project.
        name: the run's name; random if None.
    """

    def __init__(
        self, directory: str | Path, *, project: str = "poke", name: str | None = None
    ) -> None:
        self.directory = Path(directory)
        self._project = project
        self._name = name
        self._config: dict[str, Any] = {}
        self._run: Any = None

    def write(self, metrics: Mapping[str, float], step: int, category: str) -> None:
        """Log one row."""
        row = {f"{category}/{name}": value for name, value in metrics.items()}
        self._started().log(row, step=step)

    def log_config(self, config: Mapping[str, Any]) -> None:
        """Show the config with the run; Trackio takes it before the first row only."""
        self._config = dict(config)

    def flush(self) -> None:
        """Rows are with Trackio's own thread already, which writes them within a second."""

    def close(self) -> None:
        """Wait for every row to be written and end the run."""
        if self._run is not None:
            run, self._run = self._run, None
            with contextlib.redirect_stdout(io.StringIO()):
                run.finish()

    def get_state(self) -> dict[str, Any]:
        """Return the run's name."""
        return {"name": self._run_name()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue the Trackio run of the state."""
        self._name = state["name"]

    def _run_name(self) -> str:
        if self._name is None:
            self._name = f"run-{secrets.token_hex(4)}"
        return self._name

    def _started(self) -> Any:
        """The Trackio run, begun at the first call."""
        if self._run is None:
            os.environ["TRACKIO_DIR"] = str(self.directory.absolute())  # read when it is imported
            with contextlib.redirect_stdout(io.StringIO()):
                import trackio

                self._run = trackio.init(
                    self._project,
                    name=self._run_name(),
                    config=self._config,
                    resume="allow",
                    auto_log_gpu=False,
                    auto_log_cpu=False,
                )
        return self._run
