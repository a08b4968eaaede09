"""Trackio, through its own library (extra `trackio`)."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poke.training.writers.identity import run_name
from poke.training.writers.services.journal import Journal
from poke.training.writers.services.randomness import spare_global_random


class TrackioWriter:
    """Logs metrics to a local Trackio run, named `category/name`, from a thread of its own.

    What a killed run had logged past its checkpoint stays, and is not logged again when the run resumes.

    Args:
        directory: where Trackio keeps its database; one directory a process, for Trackio's own sake.
        project: Trackio project.
        name: the run's name; that of its directory if None.
        run_dir: the run's directory, which holds what is to be known when it goes on; `directory` if None.
    """

    in_background = True

    def __init__(
        self,
        directory: str | Path,
        *,
        project: str = "poke",
        name: str | None = None,
        run_dir: str | Path | None = None,
    ) -> None:
        self.directory = Path(directory)
        self._project = project
        self._name = name or run_name(run_dir or directory)
        self._own = Path(run_dir) / "trackio" if run_dir else self.directory
        self._journal: Journal | None = None
        self._config: dict[str, Any] = {}
        self._run: Any = None
        self._handed: list[
            tuple[str, int, Mapping[str, float]]
        ] = []  # to Trackio, since the last flush

    def write(self, metrics: Mapping[str, float], step: int, category: str) -> None:
        """Log one row."""
        run, journal = self._started()
        if not journal.holds(category, step, metrics):
            run.log({f"{category}/{name}": value for name, value in metrics.items()}, step=step)
            self._handed.append((category, step, metrics))

    def log_config(self, config: Mapping[str, Any]) -> None:
        """Show the config with the run; Trackio takes it before the first row only."""
        self._config = dict(config)

    def flush(self) -> None:
        """Wait until Trackio's own thread has written what it was handed."""
        if self._handed:
            run, journal = self._started()
            with run._client_lock:
                run._flush_queues_inline()
            self._note(journal)

    def close(self) -> None:
        """Wait for every row to be written and end the run."""
        if self._run is not None:
            run, self._run = self._run, None
            run.finish()
            if self._journal is not None:
                self._note(self._journal)

    def get_state(self) -> dict[str, Any]:
        """Return the run's name."""
        return {"name": self._name}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue the Trackio run of the state."""
        self._name = state["name"]
        self._journal = None

    def _started(self) -> tuple[Any, Journal]:
        """The Trackio run, and what it has been given, begun at the first call."""
        if self._run is None:
            os.environ["TRACKIO_DIR"] = str(self.directory.absolute())  # read when it is imported
            import trackio

            for module in ("trackio", "trackio.run", "trackio.utils"):
                sys.modules[module].print = _say_nothing  # type: ignore[attr-defined]
            spare_global_random("trackio")
            self._run = trackio.init(
                self._project,
                name=self._name,
                config=self._config,
                resume="allow",
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        if self._journal is None:
            token = hashlib.sha256(self._name.encode()).hexdigest()[:8]  # names hold slashes
            self._journal = Journal(self._own / f"logged-{token}.jsonl", "Trackio")
        return self._run, self._journal

    def _note(self, journal: Journal) -> None:
        for category, step, metrics in self._handed:
            journal.add(category, step, metrics)
        self._handed.clear()


def _say_nothing(*_: Any, **__: Any) -> None:
    """What Trackio prints about itself is of no use in a run's output."""
