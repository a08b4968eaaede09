"""What can be typed after `poke-compare`: one parser a command."""

from __future__ import annotations

import argparse

EPILOG = """commands: diff RUN RUN, show RUN, lineage RUN, report [--live], watch
each answers --help; a RUN is a path, or a unique beginning or end of one

examples:
  poke-compare                                     every setting, best first
  poke-compare multirun --by algo.lr --baseline algo.lr=1e-4
  poke-compare --where 'algo.lr<1e-3' --last 2d --format md > table.md
"""


def table_parser() -> argparse.ArgumentParser:
    """Return the parser of the table, the command without a name."""
    parser = argparse.ArgumentParser(
        prog="poke-compare",
        usage="poke-compare [COMMAND] [option ...] [DIR ...]",
        add_help=False,
        description="Compare runs: which one, which setting, and is it real?",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_question(parser)
    parser.add_argument(
        "--format",
        default="table",
        choices=("table", "csv", "md", "latex", "json"),
        metavar="FORM",
        help="table, csv, md, latex or json (table)",
    )
    parser.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)
    return parser


def report_parser() -> argparse.ArgumentParser:
    """Return the parser of ``report``."""
    parser = argparse.ArgumentParser(
        prog="poke-compare report",
        usage="poke-compare report [option ...] [DIR ...]",
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
    return parser


def diff_parser() -> argparse.ArgumentParser:
    """Return the parser of ``diff``."""
    parser = argparse.ArgumentParser(
        prog="poke-compare diff",
        description="Tell in what two runs differ: config, metrics, data, code, packages.",
    )
    parser.add_argument(
        "runs", nargs=2, metavar="RUN", help="a path, or a unique beginning or end of one"
    )
    _add_search(parser)
    return parser


def show_parser() -> argparse.ArgumentParser:
    """Return the parser of ``show``."""
    parser = argparse.ArgumentParser(
        prog="poke-compare show",
        description="Tell what a run was, where it came from, how it went, and how to repeat it.",
    )
    parser.add_argument(
        "runs", nargs=1, metavar="RUN", help="a path, or a unique beginning or end of one"
    )
    _add_search(parser)
    return parser


def lineage_parser() -> argparse.ArgumentParser:
    """Return the parser of ``lineage``."""
    parser = argparse.ArgumentParser(
        prog="poke-compare lineage",
        description="Tell what a run was forked from or took its weights from, and what came of it.",
    )
    parser.add_argument(
        "runs", nargs=1, metavar="RUN", help="a path, or a unique beginning or end of one"
    )
    _add_search(parser)
    return parser


def watch_parser() -> argparse.ArgumentParser:
    """Return the parser of ``watch``."""
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
    return parser


def _add_question(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("directories", nargs="*", metavar="DIR", help=argparse.SUPPRESS)  # the usage has it
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
        help="settings that tell groups apart; run: each by itself",
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
    add("--baseline", metavar="LABEL", help="what all are compared with: algo.lr=1e-4")
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
