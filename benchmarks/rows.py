"""Rows of a benchmark's results, with the command that made them."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def write(name: str, rows: Sequence[Mapping[str, Any]], about: str = "") -> None:
    """Write rows to `results/NAME.csv`, below the command and the date; what is a path of this machine is left out.

    Args:
        name: without its ending.
        rows: by column; of columns that only some have the others' are empty.
        about: what else is to be known of how they came about.
    """
    path = RESULTS / f"{name}.csv"
    given = [argument if "/" not in argument else "PATH" for argument in sys.argv[1:]]
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *given])
    noted = ", ".join(filter(None, [about, time.strftime("%Y-%m-%d")]))
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with open(path, "w", newline="", encoding="utf-8") as file:
        file.write(f"# {command}   ({noted})\n")
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(path)
