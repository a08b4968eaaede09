"""`python -m poke`: the commands, a line each."""

import os
import sys

COMMANDS = {
    "train": "train an agent, or sweep with -m",
    "record": "write demonstrations of an expert",
    "play": "let a policy battle on a real server, and count its wins",
    "compare": "compare runs: tables, differences, a report",
    "export": "write a run's policy as a file for others",
    "checkpoints": "list, verify or prune a run's checkpoints",
    "verify": "replay a run between two of its checkpoints and compare bit for bit",
    "doctor": "look at what is installed, and say what to type",
}


def main() -> None:
    """Print the commands."""
    print("poke: an experiment runner for agents that learn to play\n")
    for name, purpose in COMMANDS.items():
        print(f"  python -m poke.{name:<12} {purpose}")
    print("\nEach answers --help.")


def train() -> int:
    """`poke-train`: as `python -m poke.train`."""
    from poke.run.signals import guard_the_door

    # Before what takes time to import: a signal may come at any moment.
    guard_the_door(of_runs=True)
    _find_modules_here()
    from poke.train import main as run

    return run()


def compare() -> int:
    """`poke-compare`: as `python -m poke.compare`."""
    from poke.run.signals import guard_the_door

    guard_the_door()
    from poke.compare import main as run

    return run()


def record() -> int:
    """`poke-record`: as `python -m poke.record`."""
    from poke.run.signals import guard_the_door

    guard_the_door()
    _find_modules_here()
    from poke.record import main as run

    return run()


def _find_modules_here() -> None:
    """Look for modules in the working directory first, as `python -m` does and an installed script does not."""
    if not sys.flags.safe_path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


if __name__ == "__main__":
    main()
