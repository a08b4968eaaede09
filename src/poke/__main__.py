"""`python -m poke`: the commands, a line each, and where runs are."""

import os
import sys

import poke

FOLDERS = ("outputs", "multirun")
COMMANDS = {
    "train": "train an agent, or sweep with -m",
    "record": "write demonstrations of an expert",
    "play": "let a policy battle, and count its wins",
    "compare": "compare runs: tables, differences, a report",
    "export": "write a run's policy as a file for others",
    "checkpoints": "list, verify or prune a run's checkpoints",
    "verify": "replay a run between two checkpoints, bit for bit",
    "doctor": "look at what is installed, and say what to type",
}


def main() -> None:
    """Print the commands, and where the runs of the working directory are."""
    print(f"poke {poke.__version__}: an experiment runner for agents that learn to play\n")
    for name, purpose in COMMANDS.items():
        print(f"  python -m poke.{name:<12} {purpose}")
    print(f"\nEach answers --help.\n\n{_runs()}")


def _runs() -> str:
    """Say how many runs there are in each of the folders they are written to, and which was worked on last."""
    from poke.comparison.reading.discovery import find_runs

    found = {name: list(find_runs(name)) for name in FOLDERS}
    counted = ", ".join(f"{len(runs) or 'none'} in {name}/" for name, runs in found.items())
    everything = [run for runs in found.values() for run in runs]
    if not everything:
        return f"Runs here: {counted}"
    newest = max(everything, key=lambda run: run.fingerprint().modified)
    return f"Runs here: {counted}\nNewest:    {newest.directory}"


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
