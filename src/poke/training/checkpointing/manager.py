"""Checkpoints of a run: complete, verified, and nearly free for the loop that saves them.

The manager knows files and nothing of networks: it is given components, asks each for its state,
and gives it back.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from poke.protocols import Stateful
from poke.training.checkpointing.contents import (
    FORMAT_VERSION,
    Checkpoint,
    read_checkpoint,
    restore_components,
    state_of,
    weights_of,
)
from poke.training.checkpointing.directory import BEST_NAME, CheckpointDirectory
from poke.training.checkpointing.files import (
    CheckpointError,
    DamagedError,
    first_line,
    format_bytes,
    written_file,
)
from poke.training.checkpointing.index import CheckpointMetadata, Entry
from poke.training.checkpointing.retention import Monitor, Retention
from poke.training.checkpointing.staging import StagingBuffers, tensor_bytes
from poke.training.rng import RandomStates

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "CheckpointManager",
    "CheckpointMetadata",
    "load_components",
]

logger = logging.getLogger("poke")

LARGE_BYTES = 1_000_000_000


class CheckpointManager:
    """Saves and restores a run's checkpoints in a directory that no other process writes to.

    Args:
        checkpoint_dir: where the files go; created where missing. What a killed process left
            there is mended.
        max_to_keep: how many of the newest stay; None keeps all.
        keep_best: keep the best, and ``best.pt`` as a link to it.
        monitor: the metric, by full name, that makes one the best.
        mode: ``min`` or ``max``.
        keep_every: the first checkpoint at or past each multiple of this many steps stays for good.
        async_save: write in the background; the files are the same either way.
        contents: ``full``, or ``weights`` to save only ``weights_components``, without their
            optimizers, and no random states: enough to select and use a model, not to resume.
        weights_components: the components that ``contents="weights"`` saves.
        random_states: the random states in play; those of python, numpy, torch and CUDA by default.

    Raises:
        ValueError: a setting out of its range.
    """

    def __init__(
        self,
        checkpoint_dir: str | Path,
        *,
        max_to_keep: int | None = 5,
        keep_best: bool = True,
        monitor: str = "val/loss",
        mode: Literal["min", "max"] = "min",
        keep_every: int | None = None,
        async_save: bool = True,
        contents: Literal["full", "weights"] = "full",
        weights_components: Collection[str] = ("algorithm",),
        random_states: Stateful | None = None,
    ) -> None:
        if contents not in ("full", "weights"):
            raise ValueError(f"contents must be full or weights, not {contents!r}")
        self._monitor = Monitor(monitor, mode)
        self._directory = CheckpointDirectory(
            Path(checkpoint_dir), self._monitor, Retention(max_to_keep, keep_best, keep_every)
        )
        self.keep_best = keep_best
        self._async = async_save
        self._weights_components = None if contents == "full" else tuple(weights_components)
        self._random_states = random_states or RandomStates()
        self._staging = StagingBuffers()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint-writer")
        self._writing: Future[None] | None = None
        self._failure: Exception | None = None
        self._said_large = False

    def save(
        self,
        components: Mapping[str, Any],
        metadata: CheckpointMetadata,
        *,
        is_best: bool | None = None,
    ) -> Path:
        """Copy the components' state and have it written; return the path it will have.

        Waits for the write before, if that still goes on. A write that fails is said in one line
        and leaves the checkpoints before it as they are; the next save is the next attempt, and
        ``wait`` or ``close`` raises if none succeeded since.

        Args:
            components: each Stateful, or object with ``state_dict``, by its name.
            metadata: epoch, step, metrics.
            is_best: whether this is the best so far; None leaves it to the monitor.

        Raises:
            TypeError: a state holds something that is not a value.
        """
        self._join()
        payload = self._payload(components, metadata, incremental=True)
        self._writing = self._writer.submit(self._write, payload, metadata, is_best)
        if not self._async:
            self._join()
        return self._directory.path / metadata.file_name

    def save_emergency(self, components: Mapping[str, Any], metadata: CheckpointMetadata) -> Path:
        """Write a checkpoint that only an explicit path loads, and return once it is durable.

        It is for the state a failing step left: nothing resumes from it unasked.

        Raises:
            CheckpointError: it could not be written.
        """
        self._join()
        payload = self._payload(components, metadata, incremental=False)
        name = f"emergency_epoch{metadata.epoch}_step{metadata.step}.pt"
        num_bytes = tensor_bytes(payload["components"])
        try:
            with written_file(self._directory.path, payload, num_bytes=num_bytes) as file:
                file.publish(name)
        except Exception as error:
            raise CheckpointError(
                f"emergency checkpoint not written: {first_line(error)}"
            ) from error
        return self._directory.path / name

    def wait(self) -> None:
        """Return once everything saved is durable.

        Raises:
            CheckpointError: the last save failed.
        """
        self._join()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise CheckpointError(
                f"the last checkpoint was not written: {first_line(failure)}"
            ) from failure

    def close(self) -> None:
        """Do as ``wait``, and take no more saves; may be called twice.

        Raises:
            CheckpointError: the last save failed.
        """
        self._writer.shutdown()
        self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def load(self, path: str | Path | None = None, *, load_best: bool = False) -> Checkpoint:
        """Read and verify a checkpoint; without a path the newest good one, or the best.

        A damaged file found on the way is set aside and said; one asked for by path is refused.

        Raises:
            CheckpointError: there is none, or it is damaged, unsafe or newer than this program.
        """
        self._join()
        if path is not None:
            return self._load_path(Path(path))
        while entry := self._directory.best if load_best else self._newest():
            try:
                return self._directory.open(entry)
            except DamagedError as error:
                logger.error("%s; set aside, trying the one before it", error)
                self._directory.set_aside(entry)
        raise CheckpointError(f"no usable checkpoint in {self._directory.path}")

    def restore(self, components: Mapping[str, Any], checkpoint: Checkpoint) -> CheckpointMetadata:
        """Give the components and the random states what the checkpoint holds.

        Raises:
            CheckpointError: a component is missing, unexpected or refuses its state, or the
                checkpoint holds weights only.
        """
        if not checkpoint.random_states:
            raise CheckpointError(
                f"{checkpoint.path} holds weights only: a run can start from it, not resume"
            )
        restore_components(components, checkpoint)
        self._random_states.set_state(checkpoint.random_states)
        if self._is_ours(checkpoint.path):
            self._directory.rings.stored = dict(checkpoint.rings)
        return checkpoint.metadata

    def rewind(self, checkpoint: Checkpoint) -> None:
        """Make a checkpoint the newest: those after it move to ``superseded/``.

        A later crash then never resumes from the branch that was left.

        Raises:
            CheckpointError: the checkpoint is not one of this directory's.
        """
        self._join()
        digests = {entry.file.digest: entry for entry in self._directory.entries}
        entry = digests.get(checkpoint.file.digest)  # best.pt is one of them by another name
        if entry is None or not self._is_ours(checkpoint.path):
            raise CheckpointError(f"{checkpoint.path} is no checkpoint of {self._directory.path}")
        if moved := self._directory.rewind(entry):
            logger.warning(
                "going on from %s: moved %s to superseded/", entry.file.name, ", ".join(moved)
            )

    def list_checkpoints(self) -> list[CheckpointMetadata]:
        """Return the metadata of every checkpoint, oldest first."""
        self._join()
        return [entry.metadata for entry in self._directory.entries]

    def get_best(self) -> Path | None:
        """Return the path of ``best.pt``, or None while no checkpoint has the monitored metric."""
        self._join()
        best = self._directory.path / BEST_NAME
        return best if best.exists() else None

    def best_metadata(self) -> CheckpointMetadata | None:
        """Return the best checkpoint's metadata, or None while none has the monitored metric."""
        self._join()
        return self._directory.best.metadata if self._directory.best else None

    def is_best(self, metrics: Mapping[str, float]) -> bool:
        """Return whether a checkpoint with these metrics would be the best so far."""
        self._join()
        value = self._monitor.value(metrics)
        best = self._directory.best
        if value is None or best is None:
            return value is not None
        before = self._monitor.value(best.metadata.metrics)
        return before is None or value > before

    def check_monitor(self, names: Iterable[str]) -> None:
        """Make sure that an evaluation brings the monitored metric.

        Args:
            names: the full names of all its metrics.

        Raises:
            CheckpointError: the monitor is not among them; the message names near matches.
        """
        known = sorted(names)
        if not self.keep_best or self._monitor.name in known:
            return
        near = difflib.get_close_matches(self._monitor.name, known, n=3, cutoff=0.5) or known
        raise CheckpointError(
            f"checkpoint.monitor={self._monitor.name} is no metric of the evaluation"
            f" (did you mean {', '.join(near)}?)"
        )

    def _newest(self) -> Entry | None:
        return self._directory.entries[-1] if self._directory.entries else None

    def _is_ours(self, path: Path) -> bool:
        return path.resolve().parent == self._directory.path.resolve()

    def _load_path(self, path: Path) -> Checkpoint:
        if self._is_ours(path):
            for entry in self._directory.entries:
                if entry.file.name == path.name:
                    return self._directory.open(entry)
        return read_checkpoint(path)

    def _payload(
        self, components: Mapping[str, Any], metadata: CheckpointMetadata, *, incremental: bool
    ) -> dict[str, Any]:
        """Copy everything a checkpoint holds into the staging buffers."""
        random_states: Mapping[str, Any] = {}
        if self._weights_components is None:
            states = {name: state_of(component, name) for name, component in components.items()}
            random_states = self._random_states.get_state()
        else:
            states = {
                name: weights_of(state_of(components[name], name))
                for name in self._weights_components
            }
        if incremental:
            states = self._directory.rings.select(states)
        return {
            **self._staging.copy({"components": states, "random_states": random_states}),
            "metadata": metadata.to_dict(),
            "format_version": FORMAT_VERSION,
        }

    def _say_if_large(self, components: Mapping[str, Any]) -> None:
        if self._said_large or tensor_bytes(components) <= LARGE_BYTES:
            return
        self._said_large = True
        sizes = {name: tensor_bytes(state) for name, state in components.items()}
        logger.warning(
            "a checkpoint takes %s: %s",
            format_bytes(sum(sizes.values())),
            ", ".join(
                f"{name} {format_bytes(size)}"
                for name, size in sorted(sizes.items(), key=lambda item: -item[1])
            ),
        )

    def _write(
        self, payload: Mapping[str, Any], metadata: CheckpointMetadata, is_best: bool | None
    ) -> None:
        try:
            self._say_if_large(payload["components"])
            self._directory.add(payload, metadata, is_best)
            self._failure = None
        except Exception as error:
            self._failure = error
            logger.error(
                "%s not written, the checkpoints before it stand: %s",
                metadata.file_name,
                first_line(error),
            )

    def _join(self) -> None:
        if self._writing is not None:
            self._writing.result()
            self._writing = None


def load_components(path: str | Path, names: Collection[str] = ("algorithm",)) -> dict[str, Any]:
    """Return some components' states from a checkpoint file, to start another run from them.

    Raises:
        CheckpointError: the file is damaged, unsafe or newer than this program, or lacks one.
    """
    return dict(read_checkpoint(Path(path), names=names).components)
