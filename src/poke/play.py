"""`python -m poke.play`: let a policy battle on a real server, against players that are none of poke's."""

from __future__ import annotations

from poke.run.signals import guard_the_door

if __name__ == "__main__":
    guard_the_door()  # before anything else is imported: a signal may come at any moment

import argparse
import sys
from collections.abc import Sequence

from poke.envs.showdown.names import SCRIPTED


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments; None takes the process's own.

    Returns:
        The exit status: 0 played, 1 failed, 2 where what was asked cannot be done, 128 + N after signal N.
    """
    options = vars(_parser().parse_args(argv))
    # After the arguments are known to be right: it imports torch.
    from poke.run.afterwards.playing import PlayingError, play

    try:
        return play(options.pop("run"), **options)
    except PlayingError as error:
        print(f"poke: {error}", file=sys.stderr)
        return error.status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m poke.play",
        description="Let a trained policy battle one of poke-env's players on a local Pokemon Showdown server, which "
        "is started and stopped, and print how often it wins. Teams and dice are the server's.",
        epilog="Once before: pip install 'poke[showdown]' && python -m poke.envs.showdown install",
    )
    parser.add_argument(
        "run", metavar="RUN", help="a run directory, a checkpoint or an exported file"
    )
    parser.add_argument("--opponent", choices=SCRIPTED, default="simple_heuristics")
    parser.add_argument("--battles", type=_count, default=1000, metavar="N")
    parser.add_argument(
        "--format", metavar="FORMAT", help="default: random battles of the policy's generation"
    )
    parser.add_argument(
        "--concurrency", type=_count, default=10, metavar="N", help="battles at a time"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the opponent's random choices, not of the server's"
    )
    parser.add_argument(
        "--checkpoint", default="best", metavar="NAME", help="best, newest or a file's name"
    )
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PKG",
        help="a package whose classes may be built, for a network of your own",
    )
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
