"""Battles of Pokemon Showdown, measured beside their peers in the same run.

    python benchmarks/showdown.py throughput     # decisions a second, against poke-env; needs poke[showdown]
    python benchmarks/showdown.py truth          # every feature and mask against the simulator's state
    python benchmarks/showdown.py memory         # of a worker over 10,000 battles
    python benchmarks/showdown.py equality       # are battles of the accelerated simulator the same, over 10,000
    python benchmarks/showdown.py opponents      # do the worker's players decide as poke-env's; needs poke[showdown]
    python benchmarks/showdown.py cost           # processor time a decision, with and without acceleration
    python benchmarks/showdown.py start          # what a worker takes to start, with and without acceleration
    python benchmarks/showdown.py replays        # imported logs against what the players saw and chose
    python benchmarks/showdown.py recording      # poke.record beside that of 0.1.0; needs poke[showdown]
    python benchmarks/showdown.py cloning        # from imported replays and from a recording
    python benchmarks/showdown.py learning       # PPO beside the battles that it learns from

`... COMMAND --help` says what each takes.
"""

from __future__ import annotations

import argparse

from battles import (
    acceleration,
    cloning,
    learning,
    memory,
    opponents,
    recording,
    replays,
    throughput,
    truth,
)

COMMANDS = {
    "throughput": throughput.throughput,
    "memory": memory.memory,
    "equality": acceleration.equality,
    "cost": acceleration.cost,
    "start": acceleration.start,
    "truth": truth.truth,
    "opponents": opponents.opponents,
    "learning": learning.learning,
    "replays": replays.replays,
    "recording": recording.recording,
    "cloning": cloning.cloning,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    subparsers = parser.add_subparsers(required=True)
    for name, command in COMMANDS.items():
        command.add_to(subparsers.add_parser(name, help=command.help))
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
