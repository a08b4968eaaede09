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

    No `step=` is passed, since W&B drops rows whose step does not increase; every category has a
    step of its own instead, `<category>/step`, which its charts are drawn over. Where the server or
    the login is missing, the run is kept offline, which is said once.

    Args:
        directory: where wandb keeps its files, in a folder `wandb`, and the run's id with them.
        project: W&B project.
        mode: online, offline or disabled.
        entity: W&B user or team; the account's default if None.
        name: display name; W&B invents one if None.
        group: group of runs.
        tags: tags of the run.
        init_timeout_seconds: how long to wait for the server before going offline.
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
        init_timeout_seconds: float = 30,
    ) -> None:
        self.directory = Path(directory)
        self._mode = mode
        self._options: dict[str, Any] = {
            "project": project,
            "entity": entity,
            "name": name,
            "group": group,
            "tags": list(tags) if tags else None,
        }
        self._init_timeout_seconds = init_timeout_seconds
        self._config: dict[str, Any] = {}
        self._run: Any = None
        self._run_id: str | None = None
        self._categories: set[str] = set()

    def write(self, metrics: Mapping[str, float], step: int, category: str) -> None:
        """Log one row."""
        row = {f"{category}/{name}": value for name, value in metrics.items()}
        self._log_row(row, step, category)

    def log_config(self, config: Mapping[str, Any]) -> None:
        """Show the config with the run."""
        self._config = dict(config)
        if self._run is not None:
            self._run.config.update(self._config, allow_val_change=True)

    def log_histogram(self, name: str, values: Any, step: int, category: str) -> None:
        """Log the distribution of finite values, `[num_values] float64`."""
        import wandb

        self._log_row({f"{category}/{name}": wandb.Histogram(values)}, step, category)

    def log_image(self, name: str, image: Any, step: int, category: str) -> None:
        """Log a picture, `[height, width, channels] uint8`."""
        import wandb

        self._log_row({f"{category}/{name}": wandb.Image(image)}, step, category)

    def log_video(
        self, name: str, frames: Any, step: int, category: str, *, frames_per_second: float
    ) -> None:
        """Log a film, `[time, height, width, channels] uint8`."""
        import wandb

        from poke.training.writers.media import encode_gif

        run = self._started()
        gif = encode_gif(frames, frames_per_second)
        path = Path(run.dir).parent / "tmp" / f"{secrets.token_hex(8)}.gif"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gif)
        self._log_row({f"{category}/{name}": wandb.Video(str(path), format="gif")}, step, category)

    def flush(self) -> None:
        """Rows are with wandb's own process already."""

    def close(self) -> None:
        """End the W&B run, and say how an offline one is uploaded."""
        if self._run is None:
            return
        run, self._run = self._run, None
        run.finish()
        if self._mode == "offline":
            parts = self.directory / "wandb" / f"offline-run-*-{self._id()}"
            _log.info("W&B kept this run offline; to upload it: wandb sync %s", parts)

    def get_state(self) -> dict[str, Any]:
        """Return the run's id."""
        return {"run_id": self._id()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue the W&B run of the state."""
        self._run_id = state["run_id"]

    def _log_row(self, row: dict[str, Any], step: int, category: str) -> None:
        run = self._started()
        if category not in self._categories:
            run.define_metric(f"{category}/step", hidden=True)
            run.define_metric(f"{category}/*", step_metric=f"{category}/step")
            self._categories.add(category)
        run.log({f"{category}/step": step, **row})

    def _id(self) -> str:
        """This run's id: that of its state, else the one kept in the directory, else a new one."""
        kept = self.directory / "wandb" / "run_id"
        if self._run_id is None and kept.exists():
            self._run_id = kept.read_text(encoding="utf-8").strip()
        if self._run_id is None:
            self._run_id = secrets.token_hex(4)
        return self._run_id

    def _started(self) -> Any:
        """The W&B run, begun at the first call."""
        if self._run is None:
            kept = self.directory / "wandb" / "run_id"
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(f"{self._id()}\n", encoding="utf-8")
            try:
                self._run = self._begin()
            except Exception as error:
                if self._mode != "online":
                    raise
                reason = " ".join(str(error).split())
                _log.warning("W&B cannot be reached, this run is kept offline: %s", reason)
                self._mode = "offline"
                self._run = self._begin_again()
        return self._run

    def _begin_again(self) -> Any:
        import wandb

        wandb.teardown()  # the failed attempt still holds the run's id
        return self._begin()

    def _begin(self) -> Any:
        import wandb

        timeout = self._init_timeout_seconds
        quiet = wandb.Settings(silent=True, console="off", init_timeout=timeout)
        wandb.setup(settings=quiet)  # silent from the start: a login is never asked for
        return wandb.init(
            dir=self.directory,
            id=self._id(),
            resume="allow",
            mode=self._mode,  # type: ignore[arg-type]
            config=self._config,
            settings=quiet,
            **self._options,
        )
