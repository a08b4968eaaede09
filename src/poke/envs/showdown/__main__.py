"""`python -m poke.envs.showdown`: install the pinned Pokemon Showdown, find it, look at what a player saw."""

from __future__ import annotations

from poke.run.signals import guard_the_door, interruptible

if __name__ == "__main__":
    guard_the_door()  # before anything else is imported: a signal may come at any moment

import argparse
import json
import os
import sys
from collections.abc import Sequence

from poke.envs.showdown import installation
from poke.envs.showdown.installation import ShowdownError

PROGRAM = installation.INSTALL_COMMAND.removesuffix(" install")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 done, 1 failed, 2 mistyped, 128 + N after signal N."""
    options = _parser().parse_args(argv)
    return interruptible(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    try:
        if options.command == "install":
            print(f"installing Pokemon Showdown {installation.pinned_version()} ...", flush=True)
            print(installation.install())
        elif options.command == "where":
            print(f"node    {installation.find_node()}\nserver  {installation.find_package()}")
        else:
            _observe(options)
    except ShowdownError as error:
        print(f"poke: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        print(f"poke: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="Pokemon Showdown, which poke trains, records and plays in."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install", help="install it (npm, about 20 seconds and 154 MB)")
    commands.add_parser("where", help="print the folders of node and of the package")
    observe = commands.add_parser(
        "observe",
        help="print what a player saw at each decision of a battle",
        description="Print a JSON line for each decision of a player: which actions were legal and every feature of "
        "the observation by its name in the layout, in its natural unit.",
    )
    observe.add_argument(
        "file",
        metavar="FILE",
        help="lines of the protocol as the player was sent them, |request| lines included",
    )
    observe.add_argument("--player", choices=("p1", "p2"), help="default: whom the requests are of")
    observe.add_argument(
        "--format",
        metavar="FORMAT",
        help="such as gen1randombattle, or gen1; default: what the lines say",
    )
    return parser


def _lines(file: str) -> list[str]:
    try:
        with open(file, encoding="utf-8-sig") as opened:
            return opened.read().split("\n")  # names may hold what splitlines takes for an end
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not text (UTF-8)") from None
    except OSError as error:
        raise ValueError(f"{file}: {(error.strerror or str(error)).lower()}") from None


def _observe(options: argparse.Namespace) -> None:
    # Numpy is not for who installs.
    from poke.envs.showdown.observing import observe

    for decision in observe(
        _lines(options.file), player=options.player, battle_format=options.format
    ):
        print(json.dumps(decision), flush=True)


if __name__ == "__main__":
    sys.exit(main())
