"""`python -m poke.compare`: from run directories to an answer. Imports neither torch nor pandas."""

from __future__ import annotations

from poke.run.signals import guard_the_door, open_the_door

if __name__ == "__main__":
    guard_the_door()  # before anything else is imported: a signal may come at any moment

import argparse
import io
import os
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from poke.comparison import command_line
from poke.comparison.errors import ComparisonError
from poke.comparison.reading.collection import read_runs
from poke.comparison.reading.run import Run
from poke.comparison.showing.rendering import Style, render
from poke.comparison.statistics.selection import filter_runs, find_run, younger_than
from poke.comparison.statistics.table import Comparison, Question, compare

if TYPE_CHECKING:
    from poke.comparison.reading.following import Follower

DEFAULT_DIRECTORIES = ("outputs", "multirun")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments; None takes the process's own.

    Returns:
        The exit status: 0; 2 where what was asked cannot be answered; 130 when interrupted.
    """
    open_the_door()
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = COMMANDS.get(arguments[0]) if arguments else None
    parser, answer = command or (command_line.table_parser, _table)
    options = parser().parse_args(arguments[1:] if command else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a run may say what the output's encoding has no letter for
        sys.stdout.reconfigure(errors="replace")
    try:
        sys.stdout.write(answer(options))
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
    style = Style(width=_width(), dim=_takes_codes())
    return render(_comparison(_selected(options), options), options.format, style)


def _takes_codes() -> bool:
    """Whether the output is a terminal that colours, of a user who wants them: by the rule that rich has."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM", "").lower() in ("dumb", "unknown")
    return sys.stdout.isatty() and not plain


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


COMMANDS = {
    "diff": (command_line.diff_parser, _diff),
    "show": (command_line.show_parser, _show),
    "lineage": (command_line.lineage_parser, _lineage),
    "report": (command_line.report_parser, _report),
    "watch": (command_line.watch_parser, _watch),
}

if __name__ == "__main__":
    sys.exit(main())
