"""What can be done with a run's checkpoints besides training: list, verify, prune."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from poke.run.directory import RunDirectory
from poke.training.checkpointing.contents import read_checkpoint
from poke.training.checkpointing.directory import CheckpointDirectory, delete_leftovers
from poke.training.checkpointing.files import CORRUPT_SUFFIX, CheckpointError, format_bytes
from poke.training.checkpointing.index import CHECKPOINT_NAME, Index, read_index
from poke.training.checkpointing.retention import Monitor, Retention
from poke.training.checkpointing.segments import SEGMENTS_NAME
from poke.training.checkpointing.survey import BEST_NAME

MAX_METRICS = 4


def list_checkpoints(run_dir: Path) -> tuple[list[str], int]:
    """Return a table of the checkpoints, and 0. A size is that of all files a checkpoint needs, shared ones too."""
    directory = _directory(run_dir)
    index = _index(directory)
    names = {name for entry in index.entries for name in entry.metadata.metrics}
    others = sorted(names - {index.monitor})
    shown = [index.monitor, *others][: 1 + MAX_METRICS]
    rows = [["", "epoch", "step", *shown, "size", "age"]]
    for entry in index.entries:
        metadata = entry.metadata
        values = [metadata.metrics.get(name) for name in shown]
        rows.append(
            [
                "best" if entry.file.name == index.best else "",
                str(metadata.epoch),
                str(metadata.step),
                *("" if value is None else f"{value:.5g}" for value in values),
                format_bytes(entry.file.size_bytes + _size(directory, entry.segments)),
                _age(metadata.timestamp),
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(map(str.rjust, row, widths)).rstrip() for row in rows]
    hidden = len(others) - MAX_METRICS
    return [*lines, *([f"and {hidden} more metrics"] if hidden > 0 else [])], 0


def verify(run_dir: Path) -> tuple[list[str], int]:
    """Return a line a checkpoint, and 1 if any of them is damaged."""
    directory = _directory(run_dir)
    index = _index(directory)
    lines, damaged = [], 0
    listed = {entry.file.name: entry.file for entry in index.entries}
    on_disk = {path.name for path in directory.iterdir() if CHECKPOINT_NAME.fullmatch(path.name)}
    best = {BEST_NAME} if (directory / BEST_NAME).exists() or index.best else set()
    for name in [*listed, *sorted(on_disk - listed.keys()), *best]:
        expected = listed.get(name)
        try:
            checkpoint = read_checkpoint(directory / name, expected=expected)
            unlisted = "" if expected or name == BEST_NAME else ", not in the index"
            lines.append(
                f"good     {name}  step {checkpoint.metadata.step}"
                f"  {format_bytes(checkpoint.file.size_bytes)}{unlisted}"
            )
        except CheckpointError as error:
            damaged += 1
            lines.append(f"damaged  {name}  {error}")
    lines += [f"aside    {path.name}" for path in sorted(directory.glob(f"*{CORRUPT_SUFFIX}*"))]
    return [*lines, f"{damaged} damaged" if damaged else "all good"], int(damaged > 0)


def prune(
    run_dir: Path, max_to_keep: int, keep_every: int | None, leftovers: bool
) -> tuple[list[str], int]:
    """Delete what need not stay, and return what that was, and 0.

    Args:
        run_dir: the run's.
        max_to_keep: how many of the newest stay, besides the best.
        keep_every: steps; the first checkpoint past each multiple stays too.
        leftovers: delete also what was superseded, set aside or saved in an emergency.
    """
    directory = _directory(run_dir)
    with RunDirectory(directory.parent).held():
        index = _index(directory)
        monitor = Monitor(index.monitor, index.mode)
        retention = Retention(max_to_keep, index.best is not None, keep_every)
        deleted = CheckpointDirectory(directory, monitor, retention).prune()
        if leftovers:
            deleted += delete_leftovers(directory)
    return [f"deleted {name}" for name in deleted] or ["nothing to delete"], 0


def _directory(where: Path) -> Path:
    for directory in (where / "checkpoints", where):
        if (directory / "checkpoints.json").is_file():
            return directory
    raise CheckpointError(f"{where} holds no checkpoints")


def _index(directory: Path) -> Index:
    index = read_index(directory)
    if index is None or not index.entries:
        raise CheckpointError(f"{directory} holds no checkpoints")
    return index


def _size(directory: Path, segments: Iterable[str]) -> int:
    paths = [directory / SEGMENTS_NAME / name for name in segments]
    return sum(path.stat().st_size for path in paths if path.exists())


def _age(timestamp: datetime) -> str:
    if timestamp.tzinfo is None:
        timestamp = timestamp.replace(tzinfo=UTC)
    seconds = (datetime.now(UTC) - timestamp).total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"
