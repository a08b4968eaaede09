"""`python -m poke.doctor`: what is installed, what is missing, and what to type. Imports nothing that may be broken."""

from __future__ import annotations

from poke.run.signals import guard_the_door, interruptible

if __name__ == "__main__":
    guard_the_door()  # before anything else is imported: a signal may come at any moment

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from poke.run.examining.examination import examine
from poke.run.examining.findings import Group, as_json, as_text, can_run


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments; None takes the process's own.

    Returns:
        The exit status: 0 where a run can begin, 1 where something that it needs is not right, 128 + N after signal N.
    """
    options = _parser().parse_args(argv)
    return interruptible(lambda: _look(options.outputs, as_json if options.json else as_text))


def _look(outputs: Path, told: Callable[[Sequence[Group]], str]) -> int:
    groups = examine(outputs)
    print(told(groups), end="")
    return 0 if can_run(groups) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m poke.doctor",
        description="Look at what poke uses and say what is ok, missing or broken, and what to type. Exit status 0 "
        "where a run can begin, 1 where something that it needs is not right.",
    )
    parser.add_argument(
        "outputs",
        metavar="DIR",
        nargs="?",
        type=Path,
        default=Path("outputs"),
        help="where runs are to be written; default: outputs",
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
