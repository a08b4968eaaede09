"""`python -m poke.export`: a run's policy as one file, for poke, for torch or for any runtime of ONNX."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from poke.config.knobs import ConfigError

FORMATS = ("safetensors", "torchscript", "onnx")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments; None takes the process's own.

    Returns:
        The exit status: 0, or 2 where what was asked cannot be done.
    """
    options = vars(_parser().parse_args(argv))
    # After the arguments are known to be right: it imports torch.
    from poke.run import exporting

    try:
        line = exporting.export(options.pop("run"), **options)
    except (exporting.PolicyError, ConfigError, OSError) as error:
        print(f"poke: {error}", file=sys.stderr)
        return 2
    print(line)
    return 0


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
        help="a package whose classes may be built, for a network of your own; may be repeated",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
