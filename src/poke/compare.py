"""`python -m poke.compare`: from run directories to an answer. Imports neither torch nor pandas."""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from poke.comparison.errors import ComparisonError
from poke.comparison.reading.collection import read_runs
from poke.comparison.reading.run import Run
from poke.comparison.showing.rendering import Style, render
from poke.comparison.statistics.selection import filter_runs, find_run, younger_than
from poke.comparison.statistics.table import Comparison, Question, compare

if TYPE_CHECKING:
    from poke.comparison.reading.following import Follower

DEFAULT_DIRECTORIES = ("outputs", "multirun")

EPILOG = """commands:
  diff RUN RUN      in what two runs differ        show RUN    one run in full
  report [-o FILE]  the comparison as a web page   watch       a live table of jobs and sweeps
  report --live     the same as runs write         lineage RUN where it comes from, what came of it

A run is named by its path or by a unique beginning or end of it.

examples:
  poke-compare                                     every setting, best first
  poke-compare multirun --metric val/accuracy --by algo.lr --baseline algo.lr=1e-4
  poke-compare --where 'algo.lr<1e-3' --last 2d --format md > table.md
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments; None takes the process's own.

    Returns:
        The exit status: 0; 2 where what was asked cannot be answered; 130 when interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = COMMANDS.get(arguments[0]) if arguments else None
    parser = (command or _table_parser)()
    options = parser.parse_args(arguments[1:] if command else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a run may say what the output's encoding has no letter for
        sys.stdout.reconfigure(errors="replace")
    try:
        sys.stdout.write(options.answer(options))
        sys.stdout.flush()
    except (ComparisonError, OSError) as error:
        if isinstance(error, BrokenPipeError):  # the reader (head, less) has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        print(f"poke: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _table_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="poke-compare",
        description="Compare runs: which one, which setting, and is it real?",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_question(parser)
    parser.add_argument(
        "--format", default="table", choices=("table", "csv", "md", "latex", "json"), help="(table)"
    )
    parser.set_defaults(answer=_table)
    return parser


def _report_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="poke-compare report",
        description="Write the comparison as one HTML file with its curves, or show it live.",
    )
    _add_question(parser)
    parser.add_argument(
        "-o", "--output", default="report.html", metavar="FILE", help="(report.html)"
    )
    parser.add_argument(
        "--live",
        action="store_true",
        help="serve it to this machine's browsers and refresh it as runs write, until Ctrl-C",
    )
    parser.add_argument(
        "--port", type=_port, default=0, help="of --live (0: one that is free, which is printed)"
    )
    parser.set_defaults(answer=_report)
    return parser


def _diff_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="poke-compare diff",
        description="Tell in what two runs differ: config, metrics, data, code, packages.",
    )
    parser.add_argument(
        "runs", nargs=2, metavar="RUN", help="a path, or a unique beginning or end of one"
    )
    _add_search(parser)
    parser.set_defaults(answer=_diff)
    return parser


def _show_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="poke-compare show",
        description="Tell what a run was, where it came from, how it went, and how to repeat it.",
    )
    parser.add_argument(
        "runs", nargs=1, metavar="RUN", help="a path, or a unique beginning or end of one"
    )
    _add_search(parser)
    parser.set_defaults(answer=_show)
    return parser


def _lineage_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="poke-compare lineage",
        description="Tell what a run was forked from or took its weights from, and what came of it.",
    )
    parser.add_argument(
        "runs", nargs=1, metavar="RUN", help="a path, or a unique beginning or end of one"
    )
    _add_search(parser)
    parser.set_defaults(answer=_lineage)
    return parser


def _watch_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="poke-compare watch",
        description="Show the running jobs until interrupted; once, where the output is no terminal.",
    )
    parser.add_argument(
        "directories", nargs="*", metavar="DIR", help="folders to search (outputs multirun)"
    )
    parser.add_argument(
        "--metric", help="what to show of each job (default: what the runs monitored)"
    )
    parser.add_argument(
        "--every", type=_seconds, default=2.0, metavar="SECONDS", help="pause between looks (2)"
    )
    parser.add_argument(
        "--no-cache", action="store_true", help="read everything again at each look"
    )
    parser.set_defaults(answer=_watch)
    return parser


COMMANDS = {
    "diff": _diff_parser,
    "show": _show_parser,
    "lineage": _lineage_parser,
    "report": _report_parser,
    "watch": _watch_parser,
}


def _add_question(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("directories", nargs="*", metavar="DIR", help="folders to search (outputs multirun)")
    add("--metric", help="what to compare (default: what the runs monitored)")
    add("--mode", choices=("min", "max"), help="which way is better (default: from the name)")
    add(
        "--at",
        default="last",
        type=_at,
        metavar="last|best|STEP",
        help="which value of a run (last)",
    )
    add(
        "--by",
        metavar="KEYS",
        help="settings that tell groups apart, with commas; run: each by itself",
    )
    add(
        "--where",
        action="append",
        default=[],
        metavar="EXPR",
        help="'KEY=VALUE', or != < <= > >= ~",
    )
    add("--last", metavar="AGE", help="only runs started within 90m, 12h, 2d, 1w")
    add("--top", type=_positive, default=25, metavar="N", help="how many groups to show (25)")
    add("--include-failed", action="store_true", help="average runs in that did not finish")
    add("--baseline", metavar="LABEL", help="compare every group with this one, as in algo.lr=1e-4")
    add("--no-cache", action="store_true", help="read everything again")


def _add_search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--in",
        dest="directories",
        action="append",
        metavar="DIR",
        help="where to look (outputs multirun)",
    )
    parser.add_argument("--no-cache", action="store_true", help="read everything again")


def _read(options: argparse.Namespace) -> list[Run]:
    given = options.directories
    directories = given or [name for name in DEFAULT_DIRECTORIES if os.path.isdir(name)]
    return read_runs(directories, cache=not options.no_cache)


def _selected(options: argparse.Namespace) -> list[Run]:
    runs = _read(options)
    if not runs:
        raise ComparisonError(
            f"no runs under {' or '.join(options.directories or DEFAULT_DIRECTORIES)}"
        )
    return _chosen(runs, options)


def _chosen(runs: list[Run], options: argparse.Namespace) -> list[Run]:
    for expression in options.where:
        runs = filter_runs(runs, expression)
    if options.last:
        runs = younger_than(runs, options.last)
    if not runs:
        raise ComparisonError("no run is left after --where and --last")
    return runs


def _followed(options: argparse.Namespace) -> Follower:
    """Return what follows the runs of the folders that were asked for.

    Raises:
        FileNotFoundError: one that was named is not there; the default ones may come later.
    """
    from poke.comparison.reading.following import Follower

    for directory in options.directories:
        if not os.path.isdir(directory):
            raise FileNotFoundError(f"no such directory: {directory}")
    return Follower(options.directories or DEFAULT_DIRECTORIES, cache=not options.no_cache)


def _named(options: argparse.Namespace) -> list[Run]:
    """Return the runs that are named, which need not lie in a searched folder if they are given as paths."""
    named = [read_runs([name], cache=False) if os.path.isdir(name) else [] for name in options.runs]
    if all(len(runs) == 1 for runs in named):
        return [runs[0] for runs in named]
    everything = _read(options)
    return [
        runs[0] if len(runs) == 1 else find_run(everything, name)
        for runs, name in zip(named, options.runs, strict=True)
    ]


def _comparison(runs: list[Run], options: argparse.Namespace) -> Comparison:
    question = Question(
        metric=options.metric,
        mode=options.mode,
        at=options.at,
        by=options.by.split(",") if options.by else None,
        include_failed=options.include_failed,
        baseline=options.baseline,
    )
    return compare(runs, question, top=options.top, cache=not options.no_cache)


def _table(options: argparse.Namespace) -> str:
    style = Style(width=_width(), dim=sys.stdout.isatty() and "NO_COLOR" not in os.environ)
    return render(_comparison(_selected(options), options), options.format, style)


def _width() -> int | None:
    """Return how many characters a line may have, None where nobody says."""
    asked = sys.stdout.isatty() or "COLUMNS" in os.environ
    return shutil.get_terminal_size().columns if asked else None


# What one of these needs, the table is not kept waiting for.


def _diff(options: argparse.Namespace) -> str:
    from poke.comparison.showing.inspection import diff

    return diff(*_named(options))


def _show(options: argparse.Namespace) -> str:
    from poke.comparison.showing.inspection import show

    return show(*_named(options))


def _lineage(options: argparse.Namespace) -> str:
    from poke.comparison.showing.family import family_tree

    (run,) = _named(options)
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    return family_tree(run, _read(options), ascii_only=not unicode)


def _report(options: argparse.Namespace) -> str:
    if options.live:
        return _serve(options)
    from poke.comparison.showing.report import render_report

    comparison = _comparison(_selected(options), options)
    page = render_report(comparison, options.output, cache=not options.no_cache)
    with open(options.output, "w", encoding="utf-8") as file:
        file.write(page)
    return f"wrote {options.output} ({len(page.encode()) / 1000:.0f} kB)\n"


def _serve(options: argparse.Namespace) -> str:
    from poke.comparison.showing.live import LiveReport
    from poke.comparison.showing.serving import ReportServer

    _selected(options)  # what cannot be asked is said before anything is served
    report = LiveReport(
        _followed(options),
        lambda runs: _chosen(runs, options),
        lambda runs: _comparison(runs, options),
    )
    try:
        server = ReportServer(report, options.port)
    except OSError as error:
        raise ComparisonError(f"--port {options.port}: {error.strerror or error}") from None
    with server:  # closed, and the port free again, however this ends
        print(f"{server.url} shows the report as runs write; Ctrl-C stops it", flush=True)
        server.serve_forever()
    return ""


def _watch(options: argparse.Namespace) -> str:
    from poke.comparison.reading.sweeps import read_sweeps
    from poke.comparison.showing.watching import running_table, watch

    follower = _followed(options)
    directories = options.directories or DEFAULT_DIRECTORIES

    def look() -> str:
        runs = follower.look()
        sweeps = read_sweeps(directories, runs)
        height = shutil.get_terminal_size().lines if sys.stdout.isatty() else None
        return running_table(
            runs, sweeps, options.metric, follower.rows, width=_width(), height=height
        )

    if not sys.stdout.isatty():
        return look()
    watch(look, options.every, lambda text: print(text, end="", flush=True))
    return ""


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


def _port(text: str) -> int:
    if text.isdigit() and int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to 65535")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
