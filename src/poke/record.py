"""`python -m poke.record`: compose the config, validate it, record. Imports no torch."""

from __future__ import annotations

from poke.run.signals import guard_the_door

if __name__ == "__main__":
    guard_the_door()  # before anything else is imported: a signal may come at any moment

import sys
from collections.abc import Sequence

from poke.config import composing
from poke.config.validation import validate_recording
from poke.run.afterwards.recording import RecordingError, record, show

HELP = """\
Record demonstrations: an expert battles opponents in the real simulator, into
one Parquet file. The same command goes on with a recording that was stopped.

  python -m poke.record out=FILE [key=value ...]
  python -m poke.record show FILE     what a file holds, who played, how it went

Knobs; --help policy, --help replays: of trained policies, of others' battles
  format=gen1randombattle      a random battle format, gen1 to gen9
  battles=1000                 in all, those of earlier sessions included
  expert=simple_heuristics     simple_heuristics, max_base_power, random, a run
  experts='[{player: random, share: .8}, {player: RUN, share: .2}]'   several
  opponents=[random,...]       in turn; with the expert itself both are recorded
  both_sides=true              opponents' decisions are recorded too
  out=FILE                     the file; FILE.parts until it is whole
  seed=0                       the same seed gives the same file, bit for bit
  concurrency=64               battles at a time; changes speed only
  env=showdown env.num_workers=2      where, and processes that play
Once before: pip install 'poke[showdown]'; python -m poke.envs.showdown install
Examples
  python -m poke.record out=data/gen1.parquet battles=2400
  python -m poke.record env=cartpole policy=RUN_DIR out=data/cartpole.parquet
  python -m poke.record replays=logs format=gen1randombattle out=replays.parquet
"""
TOPICS = {
    "policy": """\
A trained policy is recorded in its environment, by its most probable actions
or by draws

  policy=RUN_DIR               in battles, against opponents=
  env=cartpole policy=RUN_DIR  in the environment of its run
  episodes=100                 in all, of such
  explore=true                 draws, as a learner meets it while it learns
  out=minari:NAME              a Minari dataset on this machine, not a file
  trust=[my_package]           whose classes may be built, of parts of your own
""",
    "replays": """\
Replays, logs of battles that others have played, are imported

  replays=FOLDER               or a file: text, JSON, a saved page; gzip
  format=gen1ou                any singles format; others are left out
  min_rating=1500              only players with at least this one
  keep_names=true              the file says who played
""",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments without the program's name; those of the process by default.

    Returns:
        The exit status: 0 recorded, 1 failed, 2 mistyped, 128 + N after signal N.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    return composing.answer(lambda: _main(given))


def _main(argv: list[str]) -> int:
    if {"-h", "--help"} & set(argv):
        print(TOPICS.get(argv[-1], HELP), end="")
        return 0
    if argv[:1] == ["show"]:
        return _show(argv[1:])
    composed = composing.to_plain(composing.compose("record", argv))
    validate_recording(composed)
    try:
        return record(composed)
    except RecordingError as error:
        print(f"poke: {error}", file=sys.stderr)
        return 1


def _show(files: list[str]) -> int:
    if not files:
        print("poke: show which file? as in: python -m poke.record show FILE", file=sys.stderr)
        return 2
    try:
        for file in files:
            show(file)
    except RecordingError as error:
        print(f"poke: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
