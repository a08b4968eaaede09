"""`python -m poke.verify`: replay a run from one of its checkpoints to the next and compare, bit for bit."""

from __future__ import annotations

from poke.run.signals import guard_the_door, interruptible

if __name__ == "__main__":
    guard_the_door()  # before anything else is imported: a signal may come at any moment

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from poke.config import composing
from poke.run.afterwards.replay import neighbours, replay
from poke.run.telling.account import read_config


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    The exit status is 0 if the replay is equal, 1 if it differs, 2 if it cannot be made, and 128 + N after signal N.
    """
    parser = argparse.ArgumentParser(
        prog="python -m poke.verify",
        description="Replay a run from one of its checkpoints to the next, and compare bit for bit.",
    )
    parser.add_argument("run_dir", metavar="RUN_DIR", type=Path)
    parser.add_argument(
        "--from", dest="start", metavar="STEP", type=int, help="default: the newest but one"
    )
    arguments = parser.parse_args(argv)
    return interruptible(
        lambda: composing.answer(lambda: _verify(arguments.run_dir, arguments.start))
    )


def _verify(run_dir: Path, start: int | None) -> int:
    plain = read_config(run_dir)
    first, second = neighbours(run_dir, start)
    print(f"replaying {run_dir} from {first.name} to {second.name}")
    difference = replay(plain, first, second)
    if difference is None:
        print("bit-equal: every tensor and number of every component")
        return 0
    print(
        f"differs first at {difference.where}: "
        f"recorded {difference.recorded}, replayed {difference.replayed}"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
