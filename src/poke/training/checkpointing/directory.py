"""A directory of checkpoints, consistent whenever the process dies.

The order of every change keeps it so: a new file is durable before the index names it, the index
forgets a file before the file goes, and a start mends what a kill left between two such steps.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from poke.training.checkpointing.contents import Checkpoint, read_checkpoint
from poke.training.checkpointing.files import (
    CORRUPT_SUFFIX,
    CheckpointError,
    DamagedError,
    first_line,
    link,
    read_seal,
    set_aside,
    sweep,
    sync_directory,
    written_file,
)
from poke.training.checkpointing.index import (
    CHECKPOINT_NAME,
    CheckpointMetadata,
    Entry,
    Index,
    read_index,
    write_index,
)
from poke.training.checkpointing.retention import Monitor, Retention
from poke.training.checkpointing.segments import (
    SEGMENTS_NAME,
    SavedRings,
    prune_segments,
    segment_names,
    write_segments,
)
from poke.training.checkpointing.staging import tensor_bytes

logger = logging.getLogger("poke")

BEST_NAME = "best.pt"
SUPERSEDED_NAME = "superseded"


class CheckpointDirectory:
    """The checkpoints in one directory, which no other process writes to.

    Args:
        path: the directory; created where missing.
        monitor: what makes one the best.
        retention: which ones stay.

    Raises:
        CheckpointError: the directory cannot be used, or its index is newer than this program.
    """

    def __init__(self, path: Path, monitor: Monitor, retention: Retention) -> None:
        self.path = path
        self._monitor = monitor
        self._retention = retention
        self.entries: tuple[Entry, ...] = ()
        self.rings = SavedRings()
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._mend()
        except OSError as error:
            raise CheckpointError(f"{path} cannot be used: {first_line(error)}") from error

    @property
    def best(self) -> Entry | None:
        """The best checkpoint by the monitor."""
        return self._monitor.best(self.entries)

    def add(
        self, payload: Mapping[str, Any], metadata: CheckpointMetadata, is_best: bool | None
    ) -> None:
        """Write a checkpoint, then forget and delete what need not stay.

        Args:
            payload: what the file holds, rings as ``rings.select`` returns them.
            metadata: the same as in the payload.
            is_best: as told to ``save``.

        Raises:
            OSError: the file system refused; what was there before is there still.
        """
        components, stored = write_segments(payload["components"], self.path)
        payload = {**payload, "components": components}
        name = metadata.file_name
        with written_file(self.path, payload, num_bytes=tensor_bytes(components)) as file:
            others = tuple(entry for entry in self.entries if entry.file.name != name)
            if len(others) < len(self.entries):
                # A kill before the next commit must not leave the old checksum for the new file.
                self._commit(others)
            entry = Entry(file.publish(name), metadata, is_best, segment_names(stored))
        entries = sorted([*others, entry], key=lambda entry: entry.age)
        self.entries = tuple(entries)
        self.rings.stored = stored
        self.prune()

    def prune(self) -> list[str]:
        """Delete what need not stay and return the names of those files."""
        entries = self.entries
        self._commit(tuple(self._retention.kept(entries, self._monitor.best(entries))))
        self._delete_unlisted(entries)
        return [entry.file.name for entry in entries if entry not in self.entries]

    def open(self, entry: Entry) -> Checkpoint:
        """Verify a checkpoint and return it.

        Raises:
            DamagedError: it is missing or not what was written.
            CheckpointError: it is unsafe or newer than this program.
        """
        return read_checkpoint(self.path / entry.file.name, expected=entry.file)

    def set_aside(self, entry: Entry) -> None:
        """Rename a damaged checkpoint so that it is never used, and forget it."""
        path = self.path / entry.file.name
        if path.exists():
            set_aside(path)
        self._commit(tuple(other for other in self.entries if other != entry))

    def rewind(self, target: Entry) -> list[str]:
        """Move every checkpoint newer than this one out of the way and return their names."""
        newer = [entry for entry in self.entries if entry.age > target.age]
        if newer:
            aside = self._new_superseded_directory()
            for entry in newer:
                for segment in entry.segments:
                    (aside / SEGMENTS_NAME).mkdir(exist_ok=True)
                    link(self.path / SEGMENTS_NAME / segment, aside / SEGMENTS_NAME / segment)
                link(self.path / entry.file.name, aside / entry.file.name)
            for directory in (*aside.glob(SEGMENTS_NAME), aside, aside.parent, self.path):
                sync_directory(directory)
            # The one moment that counts: a start undoes a rewind killed before it, finishes one killed after.
            self._commit(tuple(entry for entry in self.entries if entry.age <= target.age))
            for entry in newer:
                (self.path / entry.file.name).unlink()
            sync_directory(self.path)
        return [entry.file.name for entry in newer]

    def _new_superseded_directory(self) -> Path:
        parent = self.path / SUPERSEDED_NAME
        parent.mkdir(exist_ok=True)
        number = sum(1 for _ in parent.iterdir()) + 1
        aside = parent / str(number)
        aside.mkdir()
        return aside

    def _commit(self, entries: tuple[Entry, ...]) -> None:
        best = self._monitor.best(entries) if self._retention.keep_best else None
        name = best.file.name if best else None
        write_index(self.path, Index(entries, name, self._monitor.name, self._monitor.mode))
        self.entries = entries
        self._link_best(best)

    def _link_best(self, best: Entry | None) -> None:
        target = self.path / BEST_NAME
        if best is None:
            target.unlink(missing_ok=True)
            return
        if read_seal(target) != best.file.digest:
            link(self.path / best.file.name, target)
            sync_directory(self.path)

    def _delete_unlisted(self, entries: Collection[Entry]) -> None:
        listed = {entry.file.name for entry in self.entries}
        try:
            for entry in entries:
                if entry.file.name not in listed:
                    (self.path / entry.file.name).unlink(missing_ok=True)
            prune_segments(self.path, {name for entry in self.entries for name in entry.segments})
        except OSError as error:
            logger.warning("an old checkpoint was not deleted: %s", first_line(error))

    def _mend(self) -> None:
        superseded = self.path / SUPERSEDED_NAME
        for directory in (self.path, *superseded.glob("*"), *superseded.glob(f"*/{SEGMENTS_NAME}")):
            sweep(directory)
        listed: tuple[Entry, ...] | None = None
        try:
            if index := read_index(self.path):
                listed = index.entries
        except DamagedError as error:
            logger.error("%s; rebuilding it from the checkpoint files", error)
        on_disk = {
            path.name for path in self.path.iterdir() if CHECKPOINT_NAME.fullmatch(path.name)
        }
        entries = {entry.file.name: entry for entry in listed or ()}
        for name in sorted(entries.keys() - on_disk):
            logger.error("%s is listed but missing", self.path / name)
            del entries[name]
        if listed is not None:
            on_disk -= self._settle_rewind(on_disk, entries.keys())
        found = [self._entry_from_file(name) for name in sorted(on_disk - entries.keys())]
        adopted = {entry.file.name: entry for entry in found if entry is not None}
        entries |= adopted
        ordered = sorted(entries.values(), key=lambda entry: entry.age)
        if adopted and listed is not None:
            # A save or a deletion was under way: finish it.
            ordered = self._retention.kept(ordered, self._monitor.best(ordered))
        if listed is not None or ordered:
            self._commit(tuple(ordered))
            self._delete_unlisted(list(entries.values()))

    def _settle_rewind(self, names: Collection[str], listed: Collection[str]) -> set[str]:
        """Undo or finish a rewind that was killed; return the files that it left and are deleted now."""
        deleted = set()
        for copy in self.path.glob(f"{SUPERSEDED_NAME}/*/checkpoint_*.pt"):
            file = self.path / copy.name
            if copy.name not in names or read_seal(copy) != read_seal(file):
                continue
            if copy.name not in listed:
                file.unlink()
                deleted.add(copy.name)
                continue
            copy.unlink()
            if not any(copy.parent.glob("*.pt")):
                shutil.rmtree(copy.parent)
        return deleted

    def _entry_from_file(self, name: str) -> Entry | None:
        path = self.path / name
        try:
            checkpoint = read_checkpoint(path)
        except DamagedError as error:
            logger.error("%s; set aside as %s", error, set_aside(path).name)
            return None
        except CheckpointError as error:
            logger.error("%s; left alone", error)
            return None
        segments = segment_names(checkpoint.rings)
        return Entry(checkpoint.file, checkpoint.metadata, segments=segments)


def delete_leftovers(path: Path) -> list[str]:
    """Delete superseded, damaged and emergency checkpoints and return their names."""
    doomed = [*path.glob(f"*{CORRUPT_SUFFIX}*"), *path.glob("emergency_*.pt")]
    for file in doomed:
        file.unlink()
    superseded = path / SUPERSEDED_NAME
    if superseded.is_dir():
        shutil.rmtree(superseded)
        doomed.append(superseded)
    return sorted(file.name for file in doomed)
