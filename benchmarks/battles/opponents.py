"""Do the worker's scripted players decide as poke-env's, where these see right: a table by generation.

`rules`: equal to poke-env's player on what the worker sees, its rules alone. `own eyes`: equal to poke-env's player on
its own Battle, fed with the same lines. `misled`: this Battle saw something otherwise, whether it mattered or not.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from battles.command import Command

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "envs" / "showdown"))


def run_opponents(options: argparse.Namespace) -> None:
    from agreement import compare

    unexplained = 0
    print(
        "format            player             positions  rules  own eyes  misled  by what, where it decided otherwise"
    )
    for generation in options.generations:
        battle_format = f"gen{generation}randombattle"
        found = compare(battle_format, options.positions, options.seed)
        for player, agreement in found.items():
            reasons = "; ".join(f"{n} {why}" for why, n in agreement.reasons.most_common())
            print(
                f"{battle_format:17} {player:18} {agreement.positions:9,}  {agreement.seeing:5,}"
                f"  {agreement.own_eyes:8,}  {agreement.misled:6,}  {reasons}",
                flush=True,
            )
            unexplained += len(agreement.unexplained)
    if unexplained:
        raise SystemExit(f"{unexplained} decisions are not explained")


opponents = Command(
    "do the worker's players decide as poke-env's",
    run_opponents,
    generations=list(range(1, 10)),
    positions=2000,
    seed=11,
)
