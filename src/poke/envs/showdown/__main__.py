"""`python -m poke.envs.showdown install` puts the pinned Pokemon Showdown server where poke finds it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from poke.envs.showdown import installation
from poke.envs.showdown.installation import ShowdownError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 done, 1 failed, 2 mistyped."""
    parser = argparse.ArgumentParser(
        prog=installation.INSTALL_COMMAND.removesuffix(" install"),
        description="The Pokemon Showdown server that poke records and plays on.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install", help="install it (npm, about 20 seconds and 154 MB)")
    commands.add_parser("where", help="print the folders of node and of the server")
    command = parser.parse_args(argv).command
    try:
        if command == "install":
            print(f"installing Pokemon Showdown {installation.pinned_version()} ...", flush=True)
            print(installation.install())
        else:
            print(f"node    {installation.find_node()}\nserver  {installation.find_package()}")
    except ShowdownError as error:
        print(f"poke: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
