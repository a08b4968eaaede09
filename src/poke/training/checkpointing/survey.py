"""What a directory of checkpoints holds, found out without changing anything in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from poke.training.checkpointing.contents import read_checkpoint, segments_needed_by
from poke.training.checkpointing.files import (
    CheckpointError,
    DamagedError,
    is_recorded,
    verify_file,
)
from poke.training.checkpointing.index import (
    CHECKPOINT_NAME,
    Entry,
    Index,
    Pending,
    read_index,
)

BEST_NAME = "best.pt"


@dataclass(frozen=True)
class Survey:
    """What a directory holds and what a death left undone in it.

    Args:
        index: what the index says; None where there is none or it is damaged.
        entries: the checkpoints, oldest first, one whose publishing was cut short included.
        adopted: whether there is such a one.
        deleting: what is to be deleted.
        copies: what a rewind that was cut short had copied to ``superseded/``.
        damaged: why a file is damaged, by its name.
        remarks: what should be said of all this.
    """

    index: Index | None = None
    entries: tuple[Entry, ...] = ()
    adopted: bool = False
    deleting: tuple[Pending, ...] = ()
    copies: tuple[Pending, ...] = ()
    damaged: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def survey(path: Path) -> Survey:
    """Return what the directory holds; nothing where there is no such directory.

    Raises:
        OSError: it cannot be read.
        CheckpointError: its index is newer than this program.
    """
    if not path.exists():
        return Survey()
    try:
        index = read_index(path)
    except DamagedError as error:
        remark = f"{error}; rebuilding it from the checkpoint files"
        return _survey_files(path, (remark,))
    return _survey_files(path) if index is None else _survey_index(path, index)


def settled(
    path: Path, entries: Sequence[Entry], publishing: Sequence[Pending]
) -> tuple[Entry, ...]:
    """Return the entries, oldest first, with what did get its name in place of what had it before."""
    published = {
        pending.entry.file.name: pending.entry
        for pending in publishing
        if is_recorded(path / pending.entry.file.name, pending.entry.file)
    }
    kept = [entry for entry in entries if entry.file.name not in published]
    return tuple(sorted([*kept, *published.values()], key=lambda entry: entry.age))


def foreign_segments(path: Path, entries: Sequence[Entry]) -> set[str]:
    """Return the segments that checkpoints which are not in the index need."""
    listed = {BEST_NAME, *(entry.file.name for entry in entries)}
    foreign = [file for file in path.glob("*.pt") if file.name not in listed]
    return {segment for file in foreign for segment in segments_needed_by(file)}


def best_or_newest(checkpoint_dir: str | Path) -> Path | None:
    """Return the file that a run's index calls the best, else that of its newest checkpoint.

    Only the index and, where that is lost, the files themselves say which: a copied directory has
    meaningless times. Nothing is changed.

    Args:
        checkpoint_dir: the directory; None is returned where it holds no checkpoint.

    Raises:
        CheckpointError: the directory cannot be read, or its index is newer than this program.
    """
    path = Path(checkpoint_dir)
    try:
        found = survey(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    link = path / BEST_NAME
    if found.index is not None:
        best = {entry.file.name: entry for entry in found.index.entries}.get(found.index.best or "")
        if best is not None:
            for file in (path / best.file.name, link):
                if is_recorded(file, best.file):
                    return file
    elif _is_whole(link):
        return link
    return path / found.entries[-1].file.name if found.entries else None


def _survey_index(path: Path, index: Index) -> Survey:
    saves = [pending for pending in index.publishing if pending.aside is None]
    entries = settled(path, index.entries, saves)
    files = {entry.file for entry in entries}
    on_disk = {file.name for file in path.iterdir()}
    missing = [entry for entry in entries if entry.file.name not in on_disk]
    replaced = [Pending(entry) for entry in index.entries if entry.file not in files]
    failed = [pending for pending in saves if pending.entry.file not in files]
    return Survey(
        index,
        tuple(entry for entry in entries if entry not in missing),
        adopted=len(failed) < len(saves),
        deleting=(*index.deleting, *replaced, *failed),
        copies=tuple(pending for pending in index.publishing if pending.aside is not None),
        remarks=tuple(f"{path / entry.file.name} is listed but missing" for entry in missing),
    )


def _survey_files(path: Path, remarks: tuple[str, ...] = ()) -> Survey:
    """Judge every checkpoint file by itself: without an index all are the run's own."""
    entries, damaged = [], {}
    for file in sorted(path.iterdir()):
        if not CHECKPOINT_NAME.fullmatch(file.name):
            continue
        try:
            checkpoint = read_checkpoint(file)
        except DamagedError as error:
            damaged[file.name] = str(error)
        except CheckpointError as error:
            remarks = (*remarks, f"{error}; left alone")
        else:
            entries.append(
                Entry(checkpoint.file, checkpoint.metadata, segments=checkpoint.segments)
            )
    entries.sort(key=lambda entry: entry.age)
    return Survey(None, tuple(entries), damaged=damaged, remarks=remarks)


def _is_whole(path: Path) -> bool:
    try:
        verify_file(path)
    except DamagedError:
        return False
    return True
