"""How long until training begins? From a command's start to the end of its first update, beside `import torch`.

    python benchmarks/startup.py [--rounds 7]

The command is the default run of behaviour cloning, `python -m poke.train algo=bc`, with its 77,324 decisions read and
its checkpoint of step 0 under way; it is ended after its first update. Both processes take turns, after one each that
is not counted.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FIRST_UPDATE = """
import os, sys
from poke import train

class Ended:
    def find_spec(self, name, path=None, target=None):
        if name == "poke.run.experiment":
            sys.meta_path.remove(self)
            from poke.algorithms.bc import BehaviourCloning
            update = BehaviourCloning.update
            def first(*arguments):
                update(*arguments)
                os._exit(0)
            BehaviourCloning.update = first

sys.meta_path.insert(0, Ended())
sys.argv = ["poke.train", "algo=bc", *sys.argv[1:]]
sys.exit(train.main() or 9)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("overrides", nargs="*", help="key=value of the run")
    given = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory() as folder:
        ours = [sys.executable, "-c", FIRST_UPDATE, *given.overrides]
        theirs = [sys.executable, "-c", "import torch"]
        rounds = [(wall(ours, folder), wall(theirs, folder)) for _ in range(given.rounds + 1)][1:]
    ratio = statistics.median(a / b for a, b in rounds)
    a, b = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"start to first update {a:.2f} s, import torch {b:.2f} s: {ratio:.2f}x (target <= 1.8x)")


def wall(command: list[str], folder: str) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=Path(folder), check=True, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
