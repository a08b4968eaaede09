"""`python -m poke.checkpoints`: list, verify, prune and export a run's checkpoints."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from poke.run.directory import RunDirectory, RunDirectoryError
from poke.training.checkpointing.contents import read_checkpoint, weights_of
from poke.training.checkpointing.directory import (
    BEST_NAME,
    SUPERSEDED_NAME,
    CheckpointDirectory,
    delete_leftovers,
)
from poke.training.checkpointing.files import CORRUPT_SUFFIX, CheckpointError, format_bytes
from poke.training.checkpointing.index import CHECKPOINT_NAME, Index, read_index
from poke.training.checkpointing.retention import Monitor, Retention
from poke.training.checkpointing.staging import flatten

MAX_METRICS = 4


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments; None takes the process's own.

    Returns:
        The exit status: 0, 1 where ``verify`` found damage, 2 where what was asked cannot be done.
    """
    options = _parser().parse_args(argv)
    try:
        lines, status = options.command(options)
    except (CheckpointError, RunDirectoryError, OSError) as error:
        print(f"poke: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return status


def list_checkpoints(options: argparse.Namespace) -> tuple[list[str], int]:
    """Return a table of the checkpoints, and 0."""
    index = _index(_directory(options.run_dir))
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
                format_bytes(entry.file.size_bytes),
                _age(metadata.timestamp),
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(map(str.rjust, row, widths)).rstrip() for row in rows]
    hidden = len(others) - MAX_METRICS
    return [*lines, *([f"and {hidden} more metrics"] if hidden > 0 else [])], 0


def verify(options: argparse.Namespace) -> tuple[list[str], int]:
    """Return a line a checkpoint, and 1 if any of them is damaged."""
    directory = _directory(options.run_dir)
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


def prune(options: argparse.Namespace) -> tuple[list[str], int]:
    """Delete what need not stay, and return what that was, and 0."""
    directory = _directory(options.run_dir)
    with RunDirectory(directory.parent).held():
        index = _index(directory)
        monitor = Monitor(index.monitor, index.mode)
        retention = Retention(options.max_to_keep, index.best is not None, options.keep_every)
        deleted = CheckpointDirectory(directory, monitor, retention).prune()
        if options.leftovers:
            deleted += delete_leftovers(directory)
    return [f"deleted {name}" for name in deleted] or ["nothing to delete"], 0


def export(options: argparse.Namespace) -> tuple[list[str], int]:
    """Write one checkpoint's weights as safetensors, and return what was written, and 0."""
    from safetensors.torch import save_file

    directory = _directory(options.run_dir)
    index = _index(directory)
    names = {"newest": index.entries[-1].file.name, "best": index.best}
    name = names.get(options.checkpoint, options.checkpoint)
    if name is None:
        raise CheckpointError(f"{directory} has no best checkpoint: --checkpoint=newest")
    checkpoint = read_checkpoint(directory / name, names=(options.component,))
    tensors = flatten(weights_of(checkpoint.components[options.component]))
    output = options.output or Path(name).with_suffix(".safetensors")
    metadata = checkpoint.metadata
    temporary = output.with_name(f".{output.name}.tmp")
    # A safetensors file takes no two tensors of one memory, which tied weights are.
    save_file(
        {name: tensor.clone().contiguous() for name, tensor in tensors.items()},
        temporary,
        metadata={"step": str(metadata.step), "epoch": str(metadata.epoch), "from": name},
    )
    temporary.replace(output)
    return [f"{output}: {len(tensors)} tensors of {options.component}, step {metadata.step}"], 0


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


def _age(timestamp: datetime) -> str:
    if timestamp.tzinfo is None:
        timestamp = timestamp.replace(tzinfo=UTC)
    seconds = (datetime.now(UTC) - timestamp).total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m poke.checkpoints", description="Look after a run's checkpoints."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, purpose: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=purpose, description=purpose)
        command.add_argument("run_dir", metavar="RUN_DIR", type=Path)
        return command

    add("list", "a table of the checkpoints").set_defaults(command=list_checkpoints)
    add("verify", "read every byte and compare with the checksums").set_defaults(command=verify)
    command = add("prune", "delete old checkpoints; the best one stays")
    command.set_defaults(command=prune)
    command.add_argument("--max-to-keep", type=_positive, default=1, metavar="N")
    command.add_argument("--keep-every", type=_positive, default=None, metavar="STEPS")
    command.add_argument(
        "--leftovers",
        action="store_true",
        help=f"also what stands in {SUPERSEDED_NAME}/, was set aside, or is an emergency checkpoint",
    )
    command = add("export", "one checkpoint's weights as safetensors")
    command.set_defaults(command=export)
    command.add_argument("--checkpoint", default="best", help="best, newest or a file's name")
    command.add_argument("--component", default="algorithm")
    command.add_argument("-o", "--output", type=Path, default=None)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be >= 1, not {number}")
    return number


if __name__ == "__main__":
    sys.exit(main())
