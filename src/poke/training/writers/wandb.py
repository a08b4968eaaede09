"""Weights & Biases, through its own library."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_log = logging.getLogger("poke")


class WandbWriter:
    """Logs metrics to a W&B run.

    No `step=` is passed, since W&B drops rows whose step does not increase; every category has a step of its
    own instead, `<category>/step`, which its charts are drawn over.

    Args:
        directory: where wandb keeps its files, in a folder `wandb`; the run's id is kept there too.
        project: W&B project.
        mode: online, offline or disabled.
        entity: W&B user or team; the account's default if None.
        name: display name; W&B invents one if None.
        group: group of runs.
        tags: tags of the run.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        project: str = "poke",
        mode: str = "online",
        entity: str | None = None,
        name: str | None = None,
        group: str | None = None,
        tags: Sequence[str] | None = None,
    ) -> None:
        self.directory = Path(directory)
        self._mode = mode
        self._options = {"project": project, "entity": entity, "name": name, "group": group}
        self._tags = list(tags) if tags else None
        self._config: dict[str, Any] = {}
        self._run: Any = None
        self._run_id: str | None = None
        self._categories: set[str] = set()

    def write(self, metrics: Mapping[str, float], step: int, category: str) -> None:
        """Log one row."""
        run = self._started()
        if category not in self._categories:
            run.define_metric(f"{category}/step", hidden=True)
            run.define_metric(f"{category}/*", step_metric=f"{category}/step")
            self._categories.add(category)
        run.log({f"{category}/step": step, **{f"{category}/{k}": v for k, v in metrics.items()}})

    def log_config(self, config: Mapping[str, Any]) -> None:
        """Show the config with the run."""
        self._config = dict(config)
        if self._run is not None:
            self._run.config.update(self._config, allow_val_change=True)

    def flush(self) -> None:
        """Rows are with wandb's own process already."""

    def close(self) -> None:
        """End the W&B run, and say how an offline one is uploaded."""
        if self._run is None:
            return
        run, self._run = self._run, None
        run.finish()
        if self._mode == "offline":
            _log.info("W&B run kept offline; to upload it: wandb sync %s", Path(run.dir).parent)

    def get_state(self) -> dict[str, Any]:
        """Return the run's id."""
        return {"run_id": self._id()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue the W&B run with the state's id."""
        self._run_id = state["run_id"]

    def _id(self) -> str:
        """This run's id: the one kept in the directory, or a new one."""
        kept = self.directory / "wandb" / "run_id"
        if self._run_id is None and kept.exists():
            self._run_id = kept.read_text(encoding="utf-8").strip()
        if self._run_id is None:
            self._run_id = secrets.token_hex(4)
        return self._run_id

    def _started(self) -> Any:
        if self._run is not None:
            return self._run
        import wandb

        run_id = self._id()
        (self.directory / "wandb").mkdir(parents=True, exist_ok=True)
        (self.directory / "wandb" / "run_id").write_text(f"{run_id}\n", encoding="utf-8")
        self._run = wandb.init(
            dir=self.directory,
            id=run_id,
            resume="allow",
            mode=self._mode,
            config=self._config,
            tags=self._tags,
            settings=wandb.Settings(silent=True, console="off"),
            **self._options,
        )
        return self._run
