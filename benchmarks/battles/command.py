"""A subcommand of `benchmarks/showdown.py`."""

from __future__ import annotations

import argparse
from collections.abc import Callable


class Command:
    """A subcommand: its arguments, and what it does with them."""

    def __init__(
        self, help: str, run: Callable[[argparse.Namespace], None], **defaults: object
    ) -> None:
        self.help, self.run, self.defaults = help, run, defaults

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        for name, default in self.defaults.items():
            if isinstance(default, list):
                parser.add_argument(
                    f"--{name}", nargs="+", type=type((default or [""])[0]), default=default
                )
            elif default is False:
                parser.add_argument(f"--{name}", action="store_true")
            else:
                parser.add_argument(f"--{name}", type=type(default), default=default)
        parser.set_defaults(run=self.run)
