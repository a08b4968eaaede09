"""Checkpoints of a run: complete, verified, and nearly free for the loop that saves them.

The manager knows files and nothing of networks: it is given components, asks each for its state,
and gives it back.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
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
)
from poke.training.checkpointing.directory import CheckpointDirectory
from poke.training.checkpointing.files import (
    CheckpointError,
    DamagedError,
    FileRecord,
    first_line,
    format_bytes,
    is_recorded,
)
from poke.training.checkpointing.index import CHECKPOINT_NAME, Entry
from poke.training.checkpointing.metadata import CheckpointMetadata
from poke.training.checkpointing.retention import BestSoFar, Monitor, Retention
from poke.training.checkpointing.shards import Shards
from poke.training.checkpointing.staging import StagingBuffers, tensor_bytes
from poke.training.checkpointing.survey import BEST_NAME
from poke.training.checkpointing.writer import Writer
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
            there is mended; files that are not the manager's own stay as they are.
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
        shards: what several processes share of a state, see ``poke.training.checkpointing.shards``; None where that is
            nothing.
        after_save: called when a checkpoint is on disk, by whoever wrote it; must return at once.
        open_now: create and mend the directory at once. Otherwise nothing in it changes until
            ``open``, or the first save or rewind: loading and restoring only read.

    Raises:
        ValueError: a setting out of its range.
        CheckpointError: the directory cannot be used, or its index is newer than this program.
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
        weights_components: Collection[str] = ("policy",),
        random_states: Stateful | None = None,
        shards: Shards | None = None,
        after_save: Callable[[], None] | None = None,
        open_now: bool = True,
    ) -> None:
        if contents not in ("full", "weights"):
            raise ValueError(f"contents must be full or weights, not {contents!r}")
        self._monitor = Monitor(monitor, mode)
        self._directory = CheckpointDirectory(
            Path(checkpoint_dir), self._monitor, Retention(max_to_keep, keep_best, keep_every)
        )
        self.keep_best = keep_best
        self._weights_components = None if contents == "full" else tuple(weights_components)
        self._random_states = random_states or RandomStates()
        self._staging = StagingBuffers()
        self._writer = Writer(in_background=async_save)
        self._best = BestSoFar(self._monitor)
        self._shards = shards
        self._after_save = after_save
        self._last_age = (0, 0)
        self._said_large = False
        if open_now:
            self.open()
        else:
            self._directory.look()
            self._note_entries()

    def open(self) -> None:
        """Create the directory where missing, mend it, and set aside the damaged files met so far.

        Raises:
            CheckpointError: the directory cannot be used.
        """
        if not self._directory.is_open:
            self._directory.open()
            self._note_entries()

    def save(
        self,
        components: Mapping[str, Any],
        metadata: CheckpointMetadata,
        *,
        is_best: bool | None = None,
    ) -> Path:
        """Copy the components' state and have it written; return the path it will have.

        Waits for the write before, if that still goes on. A write that fails is tried again, then
        said in one line, and leaves the checkpoints before it as they are; the next save takes its
        place, and ``wait`` or ``close`` tries the last one again, harder, and raises if in vain.

        Args:
            components: each Stateful, or object with ``state_dict``, by its name.
            metadata: epoch, step, metrics.
            is_best: whether this is the best so far; None leaves it to the monitor.

        Raises:
            TypeError: a state holds something that is not a value.
            CheckpointError: the directory cannot be used.
        """
        self.join()
        self.open()
        payload = self._payload(components, metadata, self._staging, incremental=True)
        if self._writer.has_failed:
            self._forget_last()
        entry = Entry(FileRecord(metadata.file_name, 0, ""), metadata, is_best)
        self._best.add(entry)
        self._last_age = entry.age
        write = partial(self._write, payload, metadata, is_best)
        self._writer.submit(metadata.file_name, write)
        return self._directory.path / metadata.file_name

    def save_emergency(self, components: Mapping[str, Any], metadata: CheckpointMetadata) -> Path:
        """Write a checkpoint that only an explicit path loads, and return once it is durable.

        It is for the state a failing step left: nothing resumes from it unasked.

        Raises:
            CheckpointError: it could not be written.
        """
        if self._shards is not None:
            raise CheckpointError("each rank has a part of it, and they have parted")
        self.join()
        self.open()
        # A save that failed will be tried again from the buffers.
        staging = StagingBuffers() if self._writer.has_failed else self._staging
        payload = self._payload(components, metadata, staging, incremental=False)
        name = f"emergency_epoch{metadata.epoch}_step{metadata.step}.pt"
        try:
            self._directory.add_unlisted(payload, name)
        except Exception as error:
            raise CheckpointError(
                f"emergency checkpoint not written: {first_line(error)}"
            ) from error
        return self._directory.path / name

    def join(self) -> None:
        """Return once nothing is being written."""
        self._writer.join()

    def wait(self) -> None:
        """Return once everything saved is durable; a last save that failed is tried again.

        Raises:
            CheckpointError: the last save failed.
        """
        try:
            self._writer.finish()
        except CheckpointError:
            self._forget_last()
            raise

    def close(self) -> None:
        """Do as ``wait``, and take no more saves; may be called twice.

        Raises:
            CheckpointError: the last save failed.
        """
        self._writer.close()
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

        A damaged file found on the way is said and set aside, by ``open`` if that was not called
        yet; one asked for by path is refused. A path may name any file that is a checkpoint.

        Raises:
            CheckpointError: there is none, or it is damaged, unsafe or newer than this program.
        """
        self.join()
        if path is not None:
            return read_checkpoint(Path(path))
        while entry := self._directory.best if load_best else self._newest():
            try:
                return self._directory.read(entry)
            except DamagedError as error:
                done = "set aside, " if self._directory.is_open else ""
                logger.error("%s; %strying the one before it", error, done)
                self._directory.set_aside(entry)
                self._best.forget(entry.age)
                self._note_entries()
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

        A later crash then never resumes from the branch that was left. A file in the directory that
        was not listed is from now on, unless it has a name of another kind (an emergency's).

        Raises:
            CheckpointError: the checkpoint is not one of this directory's, or the file system refused.
        """
        self.join()
        self.open()
        path, metadata = checkpoint.path, checkpoint.metadata
        if not self._is_ours(path) or not is_recorded(path, checkpoint.file):
            raise CheckpointError(f"{path} is no checkpoint of {self._directory.path}")
        target = self._entry_of(checkpoint)
        age = (metadata.step, metadata.epoch)
        try:
            moved = self._directory.rewind(age, target)
        except OSError as error:
            raise CheckpointError(
                f"{path}: the checkpoints after it cannot be moved: {first_line(error)}"
            ) from error
        self._best.rewind(age)
        self._note_entries()
        if moved:
            name = target.file.name if target else path.name
            logger.warning("going on from %s: moved %s to superseded/", name, ", ".join(moved))

    def list_checkpoints(self) -> list[CheckpointMetadata]:
        """Return the metadata of every checkpoint, oldest first."""
        self.join()
        return [entry.metadata for entry in self._directory.entries]

    def get_best(self) -> Path | None:
        """Return the path of ``best.pt``, or None while no checkpoint has the monitored metric."""
        self.join()
        best = self._directory.path / BEST_NAME
        return best if best.exists() else None

    def best_metadata(self) -> CheckpointMetadata | None:
        """Return the metadata of the best ever saved, or None while none has the monitored metric.

        It is known as soon as ``save`` is called, and still when its file had to go.
        """
        best = self._best.entry
        return None if best is None else best.metadata

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

    def _entry_of(self, checkpoint: Checkpoint) -> Entry | None:
        """Return the entry of a checkpoint in the directory; None where its name takes none."""
        name, file = checkpoint.path.name, checkpoint.file
        for entry in self._directory.entries:
            # best.pt is one of them by another name, if it has a digest to tell by.
            if entry.file.digest == file.digest and (file.digest or entry.file.name == name):
                return entry
        if not CHECKPOINT_NAME.fullmatch(name):
            return None
        return Entry(file, checkpoint.metadata, segments=checkpoint.segments)

    def _note_entries(self) -> None:
        for entry in self._directory.entries:
            self._best.add(entry)

    def _forget_last(self) -> None:
        """Count the last save as none: it never reached the disk, and is given up."""
        self._best.forget(self._last_age)
        self._note_entries()

    def _payload(
        self,
        components: Mapping[str, Any],
        metadata: CheckpointMetadata,
        staging: StagingBuffers,
        *,
        incremental: bool,
    ) -> dict[str, Any]:
        """Copy everything a checkpoint holds into the staging buffers."""
        random_states: Mapping[str, Any] = {}
        if self._weights_components is None:
            states = {name: state_of(component, name) for name, component in components.items()}
            random_states = self._random_states.get_state()
        else:
            states = {name: state_of(components[name], name) for name in self._weights_components}
        if self._shards is not None:
            states = self._shards.take(states)
        if incremental:
            states = self._directory.rings.select(states)
        return {
            **staging.copy({"components": states, "random_states": random_states}),
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
        self._say_if_large(payload["components"])
        shards = self._shards
        self._directory.add(payload, metadata, is_best, shards.write if shards else None)
        if self._after_save is not None:
            self._after_save()


def load_components(path: str | Path, names: Collection[str] = ("algorithm",)) -> dict[str, Any]:
    """Return some components' states from a checkpoint file, to start another run from them.

    Raises:
        CheckpointError: the file is damaged, unsafe or newer than this program, or lacks one.
    """
    return dict(read_checkpoint(Path(path), names=names).components)
