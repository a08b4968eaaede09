"""A directory of checkpoints, consistent whenever the process dies.

The order of every change keeps it so: the journal names a new file before it gets its name, a new
file is durable before the index lists it, the index forgets a file before the file goes, and a start
finishes what the journal says. Files that neither the index nor its journal names are the user's.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from poke.training.checkpointing.contents import Checkpoint, read_checkpoint
from poke.training.checkpointing.files import (
    CORRUPT_SUFFIX,
    CheckpointError,
    FileRecord,
    first_line,
    is_recorded,
    link,
    set_aside,
    sweep,
    sync_directory,
    written_file,
)
from poke.training.checkpointing.index import Entry, Index, Pending, write_index
from poke.training.checkpointing.metadata import CheckpointMetadata
from poke.training.checkpointing.retention import Monitor, Retention
from poke.training.checkpointing.segments import (
    SEGMENTS_NAME,
    SavedRings,
    delete_segments,
    segment_names,
    written_segments,
)
from poke.training.checkpointing.shards import written_shards
from poke.training.checkpointing.staging import tensor_bytes
from poke.training.checkpointing.superseded import SUPERSEDED_NAME, Superseded
from poke.training.checkpointing.survey import (
    BEST_NAME,
    Survey,
    foreign_segments,
    settled,
    survey,
)

logger = logging.getLogger("poke")


class CheckpointDirectory:
    """The checkpoints in one directory, which no other process writes to.

    ``look`` changes nothing in it; every change needs ``open`` first.

    Args:
        path: the directory; created by ``open`` where missing.
        monitor: what makes one the best.
        retention: which ones stay.
    """

    def __init__(self, path: Path, monitor: Monitor, retention: Retention) -> None:
        self.path = path
        self._monitor = monitor
        self._retention = retention
        self.is_open = False
        self.entries: tuple[Entry, ...] = ()
        self.rings = SavedRings()
        self._superseded = Superseded(path)
        self._said: set[str] = set()
        self._damaged: list[FileRecord] = []
        self._deleting: tuple[Pending, ...] = ()

    @property
    def best(self) -> Entry | None:
        """The best checkpoint by the monitor."""
        return self._monitor.best(self.entries)

    def look(self) -> None:
        """Find out what the directory holds, what a killed process left included.

        Raises:
            CheckpointError: the directory cannot be used, or its index is newer than this program.
        """
        with self._usable():
            found = self._survey()
        self.entries = found.entries
        for why in found.damaged.values():
            self._say_once(f"{why}; left out")

    def open(self) -> None:
        """Create the directory where missing, and mend what a killed process left in it.

        Raises:
            CheckpointError: the directory cannot be used, or its index is newer than this program.
        """
        if self.is_open:
            return
        with self._usable():
            self.path.mkdir(parents=True, exist_ok=True)
            found = self._survey()  # anew: what ``look`` saw may be long ago
            sweep(self.path)
            sweep(self.path / SEGMENTS_NAME)
            self._superseded.sweep()
            self._superseded.undo(found.copies)
            for name, why in found.damaged.items():
                logger.error("%s; set aside as %s", why, set_aside(self.path / name).name)
            for record in self._damaged:
                if (self.path / record.name).exists():
                    name = set_aside(self.path / record.name).name
                    logger.error("%s set aside as %s", record.name, name)
            damaged = [entry for entry in found.entries if entry.file in self._damaged]
            self.entries = tuple(entry for entry in found.entries if entry not in damaged)
            self._deleting = (*found.deleting, *map(Pending, damaged))
            if found.adopted:
                self._forget_old()
            elif found.index is not None or self.entries:
                self._commit(self.entries)
            self._finish_deleting()
            self._superseded.tidy()
        self.is_open = True

    def add(
        self,
        payload: Mapping[str, Any],
        metadata: CheckpointMetadata,
        is_best: bool | None,
        write_shards: Callable[[Path], list[FileRecord]] | None = None,
    ) -> None:
        """Write a checkpoint, then forget and delete what need not stay.

        Args:
            payload: what the file holds, rings as ``rings.select`` returns them.
            metadata: the same as in the payload.
            is_best: as told to ``save``.
            write_shards: writes what several processes share, see ``written_shards``; None where that is nothing.

        Raises:
            OSError: the file system refused; what was there before is there still.
            CheckpointError: another process did not write its part; likewise.
        """
        name = metadata.file_name
        with (
            written_segments(payload["components"], self.path) as segments,
            written_shards(segments.components, self.path, metadata.moment, write_shards) as shards,
        ):
            payload = {**payload, "components": shards.components}
            num_bytes = tensor_bytes(shards.components)
            with written_file(self.path, payload, num_bytes=num_bytes) as file:
                record = FileRecord(name, file.size_bytes, file.digest)
                names = (*segment_names(segments.stored), *shards.names)
                entry = Entry(record, metadata, is_best, names)
                self._make_way(name)
                self._commit(self.entries, publishing=(Pending(entry),))
                try:
                    segments.publish()
                    shards.publish()
                    file.publish(name)
                except BaseException:
                    self._settle(entry)
                    with contextlib.suppress(OSError):
                        self._delete_segments(entry.segments)
                    raise
                self._settle(entry)
        self.rings.stored = dict(segments.stored)
        self._forget_old()
        self._finish_deleting()

    def add_unlisted(self, payload: Mapping[str, Any], name: str) -> None:
        """Write a checkpoint that the index does not know.

        Raises:
            OSError: the file system refused.
        """
        num_bytes = tensor_bytes(payload["components"])
        with written_file(self.path, payload, num_bytes=num_bytes) as file:
            self._make_way(name)
            file.publish(name)

    def prune(self) -> list[str]:
        """Delete what need not stay and return the names of those files."""
        self.open()
        forgotten = self._forget_old()
        self._finish_deleting()
        return forgotten

    def read(self, entry: Entry) -> Checkpoint:
        """Verify a checkpoint and return it.

        Raises:
            DamagedError: it is missing or not what was written.
            CheckpointError: it is unsafe or newer than this program.
        """
        return read_checkpoint(self.path / entry.file.name, expected=entry.file)

    def set_aside(self, entry: Entry) -> None:
        """Forget a damaged checkpoint, and rename it so that it is never used: now or once opened."""
        others = tuple(other for other in self.entries if other != entry)
        if not self.is_open:
            self._damaged.append(entry.file)
            self.entries = others
            return
        path = self.path / entry.file.name
        if path.exists():
            set_aside(path)
        self._commit(others, deleting=(*self._deleting, Pending(entry)))
        self._finish_deleting()

    def rewind(self, age: tuple[int, int], target: Entry | None) -> list[str]:
        """Move every newer checkpoint out of the way and return their names.

        Args:
            age: of the checkpoint that is gone back to.
            target: the same, to be listed if it is not; None does not list it.

        Raises:
            OSError: the file system refused; everything is as it was.
        """
        name = target.file.name if target else None
        others = [entry for entry in self.entries if entry.file.name != name]
        stay = [*(entry for entry in others if entry.age <= age), *([target] if target else [])]
        stay.sort(key=lambda entry: entry.age)
        replaced = [e for e in self.entries if e.file.name == name and e.file not in _files(stay)]
        newer = [entry for entry in others if entry.age > age]
        number = self._superseded.next_number()
        copies = tuple(Pending(entry, number) for entry in newer)
        before = self.entries, self._deleting
        try:
            if copies:
                self._commit(self.entries, publishing=copies)
                self._superseded.copy(copies, number)
            # The one moment that counts: a start undoes a rewind killed before it, finishes one killed after.
            self._commit(stay, deleting=(*self._deleting, *copies, *map(Pending, replaced)))
        except BaseException:
            self.entries, self._deleting = before
            with contextlib.suppress(OSError):
                self._superseded.undo(copies)
                self._commit(self.entries)
            raise
        if not set(segment_names(self.rings.stored)) <= _segments(stay):
            self.rings.stored = {}  # a save must not build on rows that go
        self._finish_deleting()
        return [entry.file.name for entry in newer]

    @contextlib.contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be used: {first_line(error)}") from error

    def _survey(self) -> Survey:
        found = survey(self.path)
        for remark in found.remarks:
            self._say_once(remark)
        return found

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            logger.error("%s", line)

    def _commit(
        self,
        entries: Sequence[Entry],
        *,
        publishing: tuple[Pending, ...] = (),
        deleting: tuple[Pending, ...] | None = None,
    ) -> None:
        deleting = self._deleting if deleting is None else deleting
        best = self._monitor.best(entries) if self._retention.keep_best else None
        name, monitor = best.file.name if best else None, self._monitor
        index = Index(tuple(entries), name, monitor.name, monitor.mode, publishing, deleting)
        write_index(self.path, index)
        self.entries, self._deleting = tuple(entries), deleting
        self._link_best(best)

    def _settle(self, entry: Entry) -> None:
        """List a checkpoint if its publishing got as far as its name."""
        before = self.entries
        self.entries = settled(self.path, before, [Pending(entry)])
        replaced = [Pending(other) for other in before if other.file not in _files(self.entries)]
        self._deleting = (*self._deleting, *replaced)

    def _forget_old(self) -> list[str]:
        entries = self.entries
        kept = self._retention.kept(entries, self._monitor.best(entries))
        old = [entry for entry in entries if entry.file not in _files(kept)]
        self._commit(kept, deleting=(*self._deleting, *map(Pending, old)))
        return [entry.file.name for entry in old]

    def _finish_deleting(self) -> None:
        """Delete what the journal says, then have it say so no longer: a file put back later stays."""
        if not self._deleting:
            return
        try:
            for pending in self._deleting:
                self._delete(pending)
            self._delete_segments(name for p in self._deleting for name in p.entry.segments)
            self._commit(self.entries, deleting=())
        except OSError as error:
            logger.warning("an old checkpoint was not deleted: %s", first_line(error))

    def _delete(self, pending: Pending) -> None:
        record = pending.entry.file
        path = self.path / record.name
        is_listed = record.name in {entry.file.name for entry in self.entries}
        is_lost = pending.aside is not None and not self._superseded.copy_of(pending).exists()
        if not is_listed and not is_lost and is_recorded(path, record):
            path.unlink()

    def _delete_segments(self, names: Iterable[str]) -> None:
        if doomed := set(names) - _segments(self.entries):
            delete_segments(self.path, doomed - foreign_segments(self.path, self.entries))

    def _link_best(self, best: Entry | None) -> None:
        target = self.path / BEST_NAME
        if best is not None and (
            is_recorded(target, best.file)
            or not is_recorded(self.path / best.file.name, best.file)  # somebody took it away
        ):
            return
        if target.exists() and not self._is_own_link(target):
            if best is None:
                return
            self._superseded.move(target)
        if best is None:
            target.unlink(missing_ok=True)
            return
        link(self.path / best.file.name, target)
        sync_directory(self.path)

    def _is_own_link(self, target: Path) -> bool:
        known = [*self.entries, *(pending.entry for pending in self._deleting)]
        return any(is_recorded(target, entry.file) for entry in known) or any(
            target.samefile(file) for file in self.path.glob("checkpoint_*")
        )

    def _make_way(self, name: str) -> None:
        """Move a file that a new one would replace, unless it is one of ours."""
        path = self.path / name
        known = [*self.entries, *(pending.entry for pending in self._deleting)]
        ours = [entry.file for entry in known if entry.file.name == name]
        if os.path.lexists(path) and not any(is_recorded(path, record) for record in ours):
            self._superseded.move(path)


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


def _files(entries: Iterable[Entry]) -> set[FileRecord]:
    return {entry.file for entry in entries}


def _segments(entries: Iterable[Entry]) -> set[str]:
    return {name for entry in entries for name in entry.segments}
