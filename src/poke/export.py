"""`python -m poke.export`: a run's policy as one file, for poke, for torch or for any runtime of ONNX."""

from __future__ import annotations

from poke.run.signals import guard_the_door, interruptible

if __name__ == "__main__":
    guard_the_door()  # before anything else is imported: a signal may come at any moment

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from poke.config.knobs import ConfigError

FORMATS = ("safetensors", "torchscript", "onnx")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments; None takes the process's own.

    Returns:
        The exit status: 0, 2 where what was asked cannot be done, 128 + N after signal N, when nothing is written.
    """
    given = sys.argv[1:] if argv is None else argv
    options = vars(_parser().parse_args(_spelled_out(given)))
    return interruptible(lambda: _export(options))


def _export(options: dict[str, Any]) -> int:
    # After the arguments are known to be right: it imports torch.
    from poke.run.afterwards import exporting

    try:
        line = exporting.export(options.pop("run"), **options)
    except (exporting.PolicyError, ConfigError, OSError) as error:
        print(f"poke: {error}", file=sys.stderr)
        return 2
    print(line)
    return 0


def _spelled_out(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with `trust=[a,b]`, which the other commands take, as `--trust a --trust b`."""
    spelled: list[str] = []
    for argument in arguments:
        named = re.fullmatch(r"trust=\[?([\w., ]*)\]?", argument)
        names = [argument] if named is None else re.findall(r"[\w.]+", named[1])
        for name in names:
            spelled += [name] if named is None else ["--trust", name]
    return spelled


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m poke.export",
        description="Write a policy as one file. It takes observations as the environment gives them, and returns the "
        "environment's actions: normaliser, masks and bounds are in it.",
        epilog="poke.load(FILE) reads safetensors, torch.jit.load torchscript, and onnxruntime onnx, "
        "which needs pip install 'poke[export]'.",
    )
    parser.add_argument(
        "run", metavar="RUN", type=Path, help="a run directory, a checkpoint or an exported file"
    )
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0])
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--checkpoint", default="best", metavar="NAME", help="best, newest or a file's name"
    )
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PKG",
        help="a package whose classes may be built, for a network of your own; trust=[A,B] does as well",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
