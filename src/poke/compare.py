"""`python -m poke.compare`: from run directories to an answer. Imports neither torch nor pandas."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence

from poke.comparison.reading import read_runs
from poke.comparison.rendering import Style, render
from poke.comparison.run import Run
from poke.comparison.selection import where, younger_than
from poke.comparison.table import Question, compare

DEFAULT_DIRECTORIES = ("outputs", "multirun")

EXAMPLES = """examples:
  poke-compare                                        every run, best first
  poke-compare multirun --metric val/accuracy --by algo.lr --baseline algo.lr=1e-4
  poke-compare --where 'algo.lr<1e-3' --last 2d --format md > table.md
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments; None takes the process's own.

    Returns:
        The exit status: 0, or 2 where what was asked cannot be answered.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(arguments)
    try:
        runs = _select(options)
        sys.stdout.write(_table(runs, options))
    except (ValueError, FileNotFoundError) as error:
        print(f"poke: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="poke-compare",
        description="Compare runs: which one, which setting, and is it real?",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "directories", nargs="*", metavar="DIR", help="folders to search (outputs multirun)"
    )
    parser.add_argument("--metric", help="what to compare (default: what the runs monitored)")
    parser.add_argument(
        "--mode", choices=("min", "max"), help="which way is better (default: from the name)"
    )
    parser.add_argument(
        "--at", default="last", type=_at, metavar="last|best|STEP", help="which value of a run"
    )
    parser.add_argument(
        "--by", metavar="KEYS", help="settings that tell groups apart, with commas; run: no groups"
    )
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="EXPR",
        help="'KEY=VALUE', also != < <= > >= ~",
    )
    parser.add_argument("--last", metavar="AGE", help="only runs started within 90m, 2d, 1w")
    parser.add_argument(
        "--top", type=_positive, default=25, metavar="N", help="how many groups to show (25)"
    )
    parser.add_argument(
        "--format", default="table", choices=("table", "csv", "md", "latex", "json")
    )
    parser.add_argument(
        "--include-failed", action="store_true", help="average runs in that did not finish"
    )
    parser.add_argument("--baseline", metavar="LABEL", help="compare every group with this one")
    parser.add_argument("--no-cache", action="store_true", help="read everything again")
    return parser


def _select(options: argparse.Namespace) -> list[Run]:
    given = options.directories
    directories = given or [name for name in DEFAULT_DIRECTORIES if os.path.isdir(name)]
    runs = read_runs(directories, cache=not options.no_cache)
    if not runs:
        raise ValueError(f"no runs under {' or '.join(given or DEFAULT_DIRECTORIES)}")
    for expression in options.where:
        runs = where(runs, expression)
    if options.last:
        runs = younger_than(runs, options.last)
    if not runs:
        raise ValueError("no run is left after --where and --last")
    return runs


def _table(runs: Sequence[Run], options: argparse.Namespace) -> str:
    question = Question(
        metric=options.metric,
        mode=options.mode,
        at=options.at,
        by=options.by.split(",") if options.by else None,
        include_failed=options.include_failed,
        baseline=options.baseline,
    )
    comparison = compare(runs, question, top=options.top, cache=not options.no_cache)
    return render(comparison, options.format, _style())


def _style() -> Style:
    terminal = sys.stdout.isatty()
    return Style(
        width=shutil.get_terminal_size().columns if terminal or "COLUMNS" in os.environ else None,
        dim=terminal and "NO_COLOR" not in os.environ,
    )


def _at(text: str) -> str | int:
    if text in ("last", "best"):
        return text
    try:
        return int(text.replace("_", ""))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not last, best or a step") from None


def _positive(text: str) -> int:
    if text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")


if __name__ == "__main__":
    sys.exit(main())
