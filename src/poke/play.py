"""`python -m poke.play`: let a policy battle on a server, against players of poke-env, other policies, people."""

from __future__ import annotations

from poke.run.signals import guard_the_door

if __name__ == "__main__":
    guard_the_door()  # before anything else is imported: a signal may come at any moment

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from poke.envs.showdown.names import SCRIPTED
from poke.envs.showdown.server.places import LOGIN, PASSWORD, USERNAME

_BATTLES = 1000
_SECONDS = 10.0  # for a decision, where somebody waits for it


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments; None takes the process's own.

    Returns:
        The exit status: 0 played, 1 failed, 2 where what was asked cannot be done, 128 + N after signal N.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["league"]:
        return _league(arguments[1:])
    parser = _parser()
    options = vars(parser.parse_args(arguments))
    kind = _read_kind(parser, options)
    # After the arguments are known to be right: it imports torch.
    from poke.run.afterwards import playing

    try:
        return int(getattr(playing, kind)(options.pop("run"), **options))
    except playing.PlayingError as error:
        print(f"poke: {error}", file=sys.stderr)
        return error.status
    except OSError as error:
        return _unheard(error)


def _league(arguments: Sequence[str]) -> int:
    options = vars(_league_parser().parse_args(arguments))
    from poke.run.afterwards.league import play_league
    from poke.run.afterwards.playing import PlayingError

    try:
        return play_league(options.pop("runs"), **options)
    except PlayingError as error:
        print(f"poke: {error}", file=sys.stderr)
        return error.status
    except OSError as error:
        return _unheard(error)


def _unheard(error: OSError) -> int:
    """Say that what is printed has nowhere to go, such as on a full disk; what is left of it goes there quietly."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    print(f"poke: what is printed cannot be written: {error.strerror or error}", file=sys.stderr)
    return 1


def _read_kind(parser: argparse.ArgumentParser, options: dict[str, Any]) -> str:
    """Make of the options what `play`, `visit` or `host` takes, and return which of them."""
    if options.pop("browser"):
        return _read_host(parser, options)
    is_watched = options["watch"] or options["page"] is not None
    if options["watch"]:
        if (options["concurrency"] or 1) > 1:
            parser.error("--watch shows one battle at a time: leave out --concurrency")
        options["concurrency"] = 1
    accept, challenge, ladder = (options.pop(name) for name in ("accept", "challenge", "ladder"))
    battles = options["battles"]
    if options["server"] is None:
        if accept is not None or challenge or ladder:
            parser.error("--accept, --challenge and --ladder need --server URL")
        for name in ("server", "login", "timer"):
            del options[name]
        options["opponent"] = _opponent(parser, options["opponent"])
        options["battles"] = battles or (1 if is_watched else _BATTLES)
        options["concurrency"] = options["concurrency"] or 10
        return "play"
    if options.pop("opponent") is not None:
        parser.error("--opponent plays on a server of its own: leave out --server")
    if accept is not None:
        how, count = "accept", accept or battles
    elif challenge:
        how, count = "challenge", battles or 1
    elif ladder:
        how, count = "ladder", ladder
    else:
        parser.error("--server needs --accept, --challenge NAME or --ladder N")
    options |= {"how": how, "challenged": challenge or "", "battles": count}
    options["timer"] = options["timer"] or how == "ladder"
    options["seconds"] = options["seconds"] or _SECONDS
    options["concurrency"] = options["concurrency"] or 1
    return "visit"


def _read_host(parser: argparse.ArgumentParser, options: dict[str, Any]) -> str:
    unused = ("server", "accept", "challenge", "ladder", "timer", "opponent", "battles")
    for name in (*unused, "concurrency", "seconds", "watch"):
        if options.pop(name) not in (None, False):
            parser.error(f"--browser plays a person, battle by battle: leave out --{name}")
    del options["login"]
    return "host"


def _opponent(parser: argparse.ArgumentParser, name: str | None) -> str:
    if name is None:
        return "simple_heuristics"
    if name not in SCRIPTED and not Path(name).exists():
        parser.error(f"--opponent {name} is no run, and none of {', '.join(SCRIPTED)}")
    return name


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m poke.play",
        description="Let a trained policy battle on a local Pokemon Showdown server that is started and stopped, or "
        "with --server on any other, and print how often it wins. Teams and dice are the server's. "
        "'league RUN RUN ...' in place of RUN plays everyone against everyone: see 'league --help'.",
        epilog="Once before: pip install 'poke[showdown]' && python -m poke.envs.showdown install. "
        f"With --server the environment says who plays: {USERNAME}, and {PASSWORD} where the name is registered.",
    )
    parser.add_argument(
        "run", metavar="RUN", help="a run directory, a checkpoint or an exported file"
    )
    parser.add_argument(
        "--opponent",
        metavar="NAME|RUN",
        help=f"{', '.join(SCRIPTED)}, or another run; default: simple_heuristics",
    )
    _add_server(parser)
    parser.add_argument(
        "--browser", action="store_true", help="play a person, on a page that is served here"
    )
    parser.add_argument(
        "--battles",
        type=_count,
        metavar="N",
        help=f"default: {_BATTLES}; 1 with --challenge, --watch or --page",
    )
    parser.add_argument(
        "--watch", action="store_true", help="print what happens and what the policy thinks"
    )
    parser.add_argument(
        "--page", type=_page, metavar="FILE", help="write the same as a page, such as battle.html"
    )
    parser.add_argument(
        "--format", metavar="FORMAT", help="default: random battles of the policy's generation"
    )
    parser.add_argument("--teams", metavar="FILE", help="for formats that draw none of their own")
    parser.add_argument(
        "--seconds",
        type=_seconds,
        metavar="S",
        help="for a decision, after which the choice of simple_heuristics is made; "
        f"default: {_SECONDS:g} with --server, else as long as it takes",
    )
    parser.add_argument(
        "--concurrency",
        type=_count,
        metavar="N",
        help="battles at a time; 1 with --server, else 10",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the opponent's random choices, not of the server's"
    )
    _add_loading(parser)
    return parser


def _league_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m poke.play league",
        description="Let everyone play everyone in battles of fixed seeds, without a server, and print who wins how "
        "often and the Elo that this makes. What is finished is kept: the same command goes on from there.",
    )
    parser.add_argument(
        "runs", metavar="RUN", nargs="+", help=f"as above, or {', '.join(SCRIPTED)}: at least two"
    )
    parser.add_argument(
        "--battles", type=_count, default=200, metavar="N", help="of each two; default: 200"
    )
    parser.add_argument(
        "--out",
        default="outputs/league",
        metavar="FOLDER",
        help="of league.csv and league.html; default: outputs/league",
    )
    parser.add_argument(
        "--format", metavar="FORMAT", help="default: random battles of the first run's generation"
    )
    parser.add_argument("--teams", metavar="FILE", help="for formats that draw none of their own")
    parser.add_argument("--seed", type=_seed, default=0, help="of teams and dice")
    parser.add_argument(
        "--workers", type=_count, default=2, metavar="N", help="processes that play; default: 2"
    )
    _add_loading(parser)
    return parser


def _add_server(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("on another server")
    group.add_argument("--server", metavar="URL", help="such as wss://sim3.psim.us")
    how = group.add_mutually_exclusive_group()
    how.add_argument(
        "--accept",
        type=_count,
        nargs="?",
        const=0,
        metavar="N",
        help="accept N challenges, or all until Ctrl-C",
    )
    how.add_argument("--challenge", metavar="NAME", help="challenge somebody, --battles times")
    how.add_argument("--ladder", type=_count, metavar="N", help="play N battles on the ladder")
    group.add_argument(
        "--timer", action="store_true", help="ask for the server's timer; the ladder always does"
    )
    group.add_argument(
        "--login", default=LOGIN, metavar="URL", help="the login server that knows the password"
    )


def _add_loading(parser: argparse.ArgumentParser) -> None:
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


def _page(text: str) -> str:
    if Path(text).is_dir() or not Path(text).parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no place for a file")
    return text


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def _seed(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is less than 0")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no time")
    return number


if __name__ == "__main__":
    sys.exit(main())
