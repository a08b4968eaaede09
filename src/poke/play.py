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
    if arguments[:2] == ["--help", "server"]:
        _parser("server").print_help()
        return 0
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


def _parser(page: str = "") -> argparse.ArgumentParser:
    """Return the parser.

    Args:
        page: whether its help tells of "server", or of all but that.
    """
    installing = "Once before: pip install 'poke[showdown]' && python -m poke.envs.showdown install"
    account = (
        f"The environment says who plays: {USERNAME}, and {PASSWORD} where the name is registered."
    )
    parser = argparse.ArgumentParser(
        prog="python -m poke.play",
        usage="python -m poke.play RUN [option ...]",
        description="Let a trained policy battle on a local Pokemon Showdown server and print how often it wins. "
        "'league RUN RUN ...' in place of RUN plays everyone against everyone: see 'league --help'; "
        "--help server tells of other servers.",
        epilog=account if page else installing,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)
    parser.add_argument("run", metavar="RUN", help=argparse.SUPPRESS)  # the usage has it
    here, elsewhere = _add_here(parser), _add_server(parser)
    for option in here if page else elsewhere:
        option.help = argparse.SUPPRESS
    return parser


def _add_here(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    add = parser.add_argument
    as_long = f"default: as long as it takes, with --server {_SECONDS:g}"
    return [
        add("--opponent", metavar="WHO", help=f"{', '.join(SCRIPTED)}, or a run"),
        add("--browser", action="store_true", help="play a person, on a page served here"),
        add(
            "--battles",
            type=_count,
            metavar="N",
            help=f"default: {_BATTLES}; 1 with --challenge, --watch, --page",
        ),
        add("--watch", action="store_true", help="print what happens and what it thinks"),
        add("--page", type=_page, metavar="FILE", help="write that as a page, say battle.html"),
        add("--format", metavar="FORMAT", help="default: random, of the policy's generation"),
        add("--teams", metavar="FILE", help="for formats that draw none of their own"),
        add(
            "--seconds",
            type=_seconds,
            metavar="S",
            help=f"for a decision, then simple_heuristics makes it; {as_long}",
        ),
        add(
            "--concurrency",
            type=_count,
            metavar="N",
            help="battles at a time; 1 with --server, else 10",
        ),
        add("--seed", type=int, default=0, help="of the opponent's choices, not the server's"),
        *_add_loading(parser),
    ]


def _league_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m poke.play league",
        usage="python -m poke.play league RUN RUN ... [option ...]",
        description="Let everyone play everyone in battles of fixed seeds, without a server, and print who wins how "
        "often and the Elo that this makes. What is finished is kept: the same command goes on from there.",
    )
    parser.add_argument(
        "runs", metavar="RUN", nargs="+", help=f"a run, or {', '.join(SCRIPTED)}: at least two"
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


def _add_server(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    how = parser.add_mutually_exclusive_group()
    return [
        parser.add_argument("--server", metavar="URL", help="such as wss://sim3.psim.us"),
        how.add_argument(
            "--accept",
            type=_count,
            nargs="?",
            const=0,
            metavar="N",
            help="accept N challenges, or all until Ctrl-C",
        ),
        how.add_argument("--challenge", metavar="NAME", help="challenge somebody, --battles times"),
        how.add_argument("--ladder", type=_count, metavar="N", help="play N battles on the ladder"),
        parser.add_argument(
            "--timer",
            action="store_true",
            help="ask for the server's timer; the ladder always does",
        ),
        parser.add_argument(
            "--login",
            default=LOGIN,
            metavar="URL",
            help="the login server that knows the password",
        ),
    ]


def _add_loading(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    add = parser.add_argument
    return [
        add("--checkpoint", default="best", metavar="NAME", help="best, newest or a file's name"),
        add(
            "--trust",
            action="append",
            default=[],
            metavar="PKG",
            help="a package whose classes may be built",
        ),
    ]


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
