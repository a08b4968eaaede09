"""Weights & Biases, through its own library."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from poke.training.writers.identity import run_name
from poke.training.writers.services.journal import Journal, write_whole
from poke.training.writers.services.randomness import spare_global_random

FILE_SECONDS = 0.2  # between writes of wandb's own file; with its default, 15, a kill loses more
ROWS_AT_ONCE = 1000
EXIT_CODES = {"finished": 0, "failed": 1, "interrupted": 255}
_log = logging.getLogger("poke")


class WandbWriter:
    """Logs metrics to a W&B run, from a thread of its own.

    W&B's own step counts rows, over all processes of a run, since it drops rows whose step does not increase; every
    category has a step besides, `<category>/step`, which its charts are drawn over. Where the server or the login is
    missing, the run is kept offline, which is said once. What a killed run had logged past its checkpoint stays, and
    is not logged again when the run resumes.

    Args:
        directory: where wandb keeps its files, in a folder `wandb`.
        project: W&B project.
        mode: online, offline or disabled.
        entity: W&B user or team; the account's default if None.
        name: display name; that of the run's directory if None.
        group: group of runs.
        tags: tags of the run.
        init_timeout_seconds: how long to wait for the server before going offline.
        run_dir: the run's directory, which holds the W&B run's id, in its own folder `wandb`; `directory` if None.
    """

    in_background = True

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
        run_dir: str | Path | None = None,
    ) -> None:
        self.directory = Path(directory)
        self.row_time: float | None = None  # when the row that is written was logged
        self._own = Path(run_dir or directory) / "wandb"
        self._mode = mode
        self._options: dict[str, Any] = {
            "project": project,
            "entity": entity,
            "name": name or (run_name(run_dir) if run_dir else None),
            "group": group,
            "tags": list(tags) if tags else None,
        }
        self._init_timeout_seconds = init_timeout_seconds
        self._config: dict[str, Any] = {}
        self._run: Any = None
        self._run_id: str | None = None
        self._categories: set[str] = set()
        self._journal: Journal | None = None
        self._handed: list[tuple[str, int, Mapping[str, float] | None]] = []  # since the last flush
        self._next_row = self._reserved = 0
        self._exit_code = 0

    def write(self, metrics: Mapping[str, float], step: int, category: str) -> None:
        """Log one row."""
        _, journal = self._started()
        if not journal.holds(category, step, metrics):
            row = {f"{category}/{name}": value for name, value in metrics.items()}
            self._log_row(row, step, category)
            self._handed.append((category, step, metrics))

    def log_config(self, config: Mapping[str, Any]) -> None:
        """Show the config with the run."""
        self._config = dict(config)
        if self._run is not None:
            self._run.config.update(self._config, allow_val_change=True)

    def log_histogram(self, name: str, values: Any, step: int, category: str) -> None:
        """Log the distribution of finite values, `[num_values] float64`."""
        import wandb

        self._log_once(f"{category}/{name}", lambda: wandb.Histogram(values), step, category)

    def log_image(self, name: str, image: Any, step: int, category: str) -> None:
        """Log a picture, `[height, width, channels] uint8`."""
        import wandb

        self._log_once(f"{category}/{name}", lambda: wandb.Image(image), step, category)

    def log_video(
        self, name: str, frames: Any, step: int, category: str, *, frames_per_second: float
    ) -> None:
        """Log a film, `[time, height, width, channels] uint8`."""
        import wandb

        from poke.training.writers.media import encode_gif

        def film() -> Any:
            run, _ = self._started()
            path = Path(run.dir).parent / "tmp" / f"{secrets.token_hex(8)}.gif"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(encode_gif(frames, frames_per_second))
            return wandb.Video(str(path), format="gif")

        self._log_once(f"{category}/{name}", film, step, category)

    def log_end(self, status: str) -> None:
        """Have the W&B run end as it did: its exit code is 0, 1 if it failed, 255 if it was interrupted."""
        self._exit_code = EXIT_CODES[status]

    def flush(self) -> None:
        """Wait until wandb's own process, which dies with this one, has written what it was handed to its file."""
        if self._handed:
            run, journal = self._started()
            run.step  # noqa: B018  answered when all before it was handled
            time.sleep(2 * FILE_SECONDS)
            self._note(journal)

    def close(self) -> None:
        """End the W&B run, and say how an offline one is uploaded."""
        if self._run is None:
            return
        run, self._run = self._run, None
        run.finish(exit_code=self._exit_code)
        if self._journal is not None:
            self._note(self._journal)
        self._reserve(self._next_row)
        if self._mode == "offline":
            parts = self.directory / "wandb" / f"offline-run-*-{self._id()}"
            _log.info("W&B kept this run offline; to upload it: wandb sync %s", parts)

    def get_state(self) -> dict[str, Any]:
        """Return the run's id."""
        return {"run_id": self._id()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue the W&B run of the state."""
        self._run_id = state["run_id"]
        self._journal = None

    def _log_once(self, name: str, make: Callable[[], Any], step: int, category: str) -> None:
        _, journal = self._started()
        if not journal.holds(name, step):
            self._log_row({name: make()}, step, category)
            self._handed.append((name, step, None))

    def _log_row(self, row: dict[str, Any], step: int, category: str) -> None:
        run, _ = self._started()
        if category not in self._categories:
            run.define_metric(f"{category}/step", hidden=True)
            run.define_metric(f"{category}/*", step_metric=f"{category}/step")
            self._categories.add(category)
        if self._next_row >= self._reserved:
            self._reserve(self._next_row + ROWS_AT_ONCE)
        when = {} if self.row_time is None else {"_timestamp": self.row_time}
        run.log({f"{category}/step": step, **row, **when}, step=self._next_row, commit=True)
        self._next_row += 1

    def _reserve(self, end: int) -> None:
        """Note that W&B's rows up to this number may be taken, so that no later process takes them again."""
        write_whole(self._own / f"rows-{self._id()}", f"{end}\n")
        self._reserved = end

    def _note(self, journal: Journal) -> None:
        for kind, step, values in self._handed:
            journal.add(kind, step, values)
        self._handed.clear()

    def _id(self) -> str:
        """This run's id: that of its state, else the one kept in the directory, else a new one."""
        kept = self._own / "run_id"
        if self._run_id is None and kept.exists():
            self._run_id = kept.read_text(encoding="utf-8").strip()
        if self._run_id is None:
            self._run_id = secrets.token_hex(4)
        return self._run_id

    def _started(self) -> tuple[Any, Journal]:
        """The W&B run, and what it has been given, begun at the first call."""
        if self._run is None:
            write_whole(self._own / "run_id", f"{self._id()}\n")
            try:
                self._run = self._begin()
            except Exception as error:
                if self._mode != "online":
                    raise
                reason = " ".join(str(error).split())
                _log.warning("W&B cannot be reached, this run is kept offline: %s", reason)
                self._mode = "offline"
                self._run = self._begin_again()
            self._journal = None
        if self._journal is None:
            self._journal = Journal(self._own / f"logged-{self._id()}.jsonl", "W&B")
            rows = self._own / f"rows-{self._id()}"
            kept = int(rows.read_text(encoding="utf-8")) if rows.exists() else 0
            self._next_row = self._reserved = max(self._run.starting_step, kept)
        return self._run, self._journal

    def _begin_again(self) -> Any:
        import wandb

        wandb.teardown()  # the failed attempt still holds the run's id
        return self._begin()

    def _begin(self) -> Any:
        import wandb

        timeout = self._init_timeout_seconds
        options: dict[str, Any] = {"silent": True, "console": "off", "init_timeout": timeout}
        if "x_transaction_log_flush_interval" in wandb.Settings.model_fields:  # older ones lack it
            options["x_transaction_log_flush_interval"] = FILE_SECONDS
        quiet = wandb.Settings(**options)
        spare_global_random("wandb")
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
