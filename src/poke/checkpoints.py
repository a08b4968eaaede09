"""`python -m poke.checkpoints`: list, verify and prune a run's checkpoints."""

from __future__ import annotations

from poke.run.signals import guard_the_door, interruptible

if __name__ == "__main__":
    guard_the_door()  # before anything else is imported: a signal may come at any moment

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from poke.run.directory import RunDirectoryError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments; None takes the process's own.

    Returns:
        The exit status: 0, 1 where ``verify`` found damage, 2 where what was asked cannot be done, 128 + N after
        signal N.
    """
    options = vars(_parser().parse_args(argv))
    return interruptible(lambda: _run(options))


def _run(options: dict[str, Any]) -> int:
    # After the arguments are known to be right: it imports torch.
    from poke.run.afterwards import checkpoints

    command = getattr(checkpoints, options.pop("command"))
    try:
        lines, status = command(options.pop("run_dir"), **options)
    except (checkpoints.CheckpointError, RunDirectoryError, OSError) as error:
        print(f"poke: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m poke.checkpoints", description="Look after a run's checkpoints."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function: str, purpose: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=purpose, description=purpose)
        command.add_argument("run_dir", metavar="RUN_DIR", type=Path)
        command.set_defaults(command=function)
        return command

    add("list", "list_checkpoints", "a table of the checkpoints")
    add("verify", "verify", "read every byte and compare with the checksums")
    command = add("prune", "prune", "delete old checkpoints; the best one stays")
    command.add_argument("--max-to-keep", type=_positive, default=1, metavar="N")
    command.add_argument("--keep-every", type=_positive, default=None, metavar="STEPS")
    command.add_argument(
        "--leftovers",
        action="store_true",
        help="also what stands in superseded/, was set aside, or is an emergency checkpoint",
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be >= 1, not {number}")
    return number


if __name__ == "__main__":
    sys.exit(main())
