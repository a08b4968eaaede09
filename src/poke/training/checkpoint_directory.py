"""A directory of checkpoints: its files, its index and ``best.pt``, consistent whenever the process dies.

The order of every change is what keeps it so: a new file is durable before the index names it, the index forgets
a file before the file goes, and a start mends what a kill left between two such steps.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poke.training.checkpoint_contents import Checkpoint, read_checkpoint
from poke.training.checkpoint_files import (
    CheckpointError,
    FileRecord,
    link,
    record_of,
    set_aside,
    sweep,
    sync_directory,
    verify_file,
    write_payload,
)
from poke.training.checkpoint_index import (
    CHECKPOINT_NAME,
    CheckpointMetadata,
    Entry,
    read_index,
    write_index,
)
from poke.training.retention import Monitor, Retention

logger = logging.getLogger("poke")

BEST_NAME = "best.pt"
SUPERSEDED_NAME = "superseded"


class CheckpointDirectory:
    """The checkpoints in one directory, which no other process writes to.

    Args:
        path: the directory; created where missing.
        monitor: what makes one the best.
        retention: which ones stay.
    """

    def __init__(self, path: Path, monitor: Monitor, retention: Retention) -> None:
        self.path = path
        self._monitor = monitor
        self._retention = retention
        self.entries: tuple[Entry, ...] = ()
        path.mkdir(parents=True, exist_ok=True)
        self._mend()

    @property
    def best(self) -> Entry | None:
        """The best checkpoint by the monitor."""
        return self._monitor.best(self.entries)

    def add(
        self,
        payload: Mapping[str, Any],
        metadata: CheckpointMetadata,
        *,
        is_best: bool | None,
        num_bytes: int,
    ) -> None:
        """Write a checkpoint, then forget and delete what need not stay.

        Raises:
            OSError: the file system refused; what was there before is there still.
        """
        others = tuple(entry for entry in self.entries if entry.file.name != metadata.file_name)
        if len(others) < len(self.entries):
            self._commit(
                others
            )  # a kill between rename and index must not leave an old checksum for a new file
        record = write_payload(self.path, metadata.file_name, payload, num_bytes=num_bytes)
        entries = sorted([*others, Entry(record, metadata, is_best)], key=lambda entry: entry.age)
        kept = self._retention.kept(entries, self._monitor.best(entries))
        self._commit(tuple(kept))
        for entry in entries:
            if entry not in kept:
                (self.path / entry.file.name).unlink(missing_ok=True)

    def open(self, entry: Entry) -> Checkpoint:
        """Verify a checkpoint and return it.

        Raises:
            CheckpointError: it is missing, damaged, unsafe or newer than this program.
        """
        path = self.path / entry.file.name
        verify_file(path, size_bytes=entry.file.size_bytes, digest=entry.file.digest)
        return read_checkpoint(path)

    def set_aside(self, entry: Entry) -> None:
        """Rename a damaged checkpoint so that it is never used, and forget it."""
        path = self.path / entry.file.name
        if path.exists():
            set_aside(path)
        self._commit(tuple(other for other in self.entries if other != entry))

    def rewind(self, name: str) -> list[str]:
        """Move every checkpoint newer than the named one out of the way and return their names."""
        target = next(entry for entry in self.entries if entry.file.name == name)
        newer = [entry for entry in self.entries if entry.age > target.age]
        if newer:
            self._commit(tuple(entry for entry in self.entries if entry.age <= target.age))
            aside = self._new_superseded_directory()
            for entry in newer:
                os.replace(self.path / entry.file.name, aside / entry.file.name)
            sync_directory(aside)
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
        write_index(self.path, entries, best)
        self.entries = entries
        self._link_best(best)

    def _link_best(self, best: Entry | None) -> None:
        target = self.path / BEST_NAME
        if best is None:
            target.unlink(missing_ok=True)
            return
        source = self.path / best.file.name
        if not (target.exists() and os.path.samefile(source, target)):
            link(source, target)
            sync_directory(self.path)

    def _mend(self) -> None:
        sweep(self.path)
        try:
            listed = read_index(self.path)
        except CheckpointError as error:
            logger.error("%s; rebuilding it from the checkpoint files", error)
            listed = None
        entries = {entry.file.name: entry for entry in listed or ()}
        on_disk = {
            path.name for path in self.path.glob("*.pt") if CHECKPOINT_NAME.fullmatch(path.name)
        }
        for name in sorted(entries.keys() - on_disk):
            logger.error("%s is listed but missing", self.path / name)
            del entries[name]
        for name in sorted(on_disk - entries.keys()):
            if entry := self._entry_from_file(name):
                entries[name] = entry
        self.entries = tuple(sorted(entries.values(), key=lambda entry: entry.age))
        if listed is None and not entries:
            return
        self._commit(self.entries)

    def _entry_from_file(self, name: str) -> Entry | None:
        path = self.path / name
        try:
            size_bytes, digest = record_of(path)
            return Entry(FileRecord(name, size_bytes, digest), read_checkpoint(path).metadata)
        except CheckpointError as error:
            logger.error("%s; set aside as %s", error, set_aside(path).name)
            return None
