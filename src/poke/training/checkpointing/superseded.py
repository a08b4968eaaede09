"""``superseded/``: numbered folders of checkpoints that are no longer the run's, each with its segments."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable
from pathlib import Path

from poke.training.checkpointing.contents import segments_needed_by
from poke.training.checkpointing.files import is_recorded, link, sweep, sync_directory
from poke.training.checkpointing.index import Pending
from poke.training.checkpointing.segments import SEGMENTS_NAME

logger = logging.getLogger("poke")

SUPERSEDED_NAME = "superseded"


class Superseded:
    """The folders beside one directory of checkpoints.

    Args:
        directory: the directory of checkpoints; ``superseded/`` is created in it when needed.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / SUPERSEDED_NAME

    def next_number(self) -> int:
        """Return a number higher than that of any folder."""
        return 1 + max((int(folder.name) for folder in self._folders()), default=0)

    def move(self, path: Path) -> None:
        """Move somebody else's file into a folder of its own and say so.

        Raises:
            OSError: the file system refused.
        """
        segments = segments_needed_by(path)
        folder = self._new_folder(self.next_number())
        self._link_segments(segments, folder)
        os.rename(path, folder / path.name)
        sync_directory(folder)
        logger.warning("%s is none of this run's checkpoints: moved to %s", path, folder)

    def copy(self, copies: Iterable[Pending], number: int) -> None:
        """Link checkpoints and their segments into a new folder, durably.

        Raises:
            OSError: the file system refused.
        """
        folder = self._new_folder(number)
        for pending in copies:
            self._link_segments(pending.entry.segments, folder)
            source = self._directory / pending.entry.file.name
            if source.exists():
                link(source, folder / source.name)
        segments = folder / SEGMENTS_NAME
        within = (*segments.glob("shards_*"), *folder.glob(SEGMENTS_NAME))
        for directory in (*within, folder, self._path, self._directory):
            sync_directory(directory)

    def undo(self, copies: Iterable[Pending]) -> None:
        """Delete copies, whole or half made, where what they were made from is still there.

        Raises:
            OSError: the file system refused.
        """
        for pending in copies:
            copy, record = self.copy_of(pending), pending.entry.file
            if is_recorded(copy, record) and is_recorded(self._directory / record.name, record):
                copy.unlink()
            for name in pending.entry.segments:
                if (self._directory / SEGMENTS_NAME / name).exists():
                    (copy.parent / SEGMENTS_NAME / name).unlink(missing_ok=True)
        self.tidy()

    def copy_of(self, pending: Pending) -> Path:
        """Return where a rewind keeps a checkpoint."""
        return self._path / str(pending.aside) / pending.entry.file.name

    def sweep(self) -> None:
        """Delete what a killed process left half-written."""
        for folder in self._folders():
            sweep(folder)
            sweep(folder / SEGMENTS_NAME)

    def tidy(self) -> None:
        """Delete folders that hold nothing, or nothing but links that a killed ``move`` made."""
        for folder in self._folders():
            if not any(folder.glob("*.pt")):
                segments = folder / SEGMENTS_NAME
                for segment in (*segments.glob("*.pt"), *segments.glob("shards_*/*")):
                    source = self._directory / SEGMENTS_NAME / segment.relative_to(segments)
                    if source.exists() and source.samefile(segment):
                        segment.unlink()
            shards = (folder / SEGMENTS_NAME).glob("shards_*")
            for directory in (*shards, folder / SEGMENTS_NAME, folder):
                with contextlib.suppress(OSError):  # it is not empty
                    directory.rmdir()

    def _folders(self) -> list[Path]:
        return [folder for folder in self._path.glob("*") if folder.name.isdecimal()]

    def _new_folder(self, number: int) -> Path:
        folder = self._path / str(number)
        self._path.mkdir(exist_ok=True)
        folder.mkdir()
        return folder

    def _link_segments(self, names: Iterable[str], folder: Path) -> None:
        for source in (self._directory / SEGMENTS_NAME / name for name in names):
            if source.exists():
                target = (
                    folder / SEGMENTS_NAME / source.relative_to(self._directory / SEGMENTS_NAME)
                )
                target.parent.mkdir(parents=True, exist_ok=True)
                link(source, target)
