"""What a run's ``checkpoints.json`` says; checkpoints themselves are never opened."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass

from poke.comparison.errors import ComparisonError
from poke.comparison.reading.discovery import find_runs
from poke.comparison.reading.files import read_text
from poke.comparison.reading.metrics import infer_mode

INDEX_FILE = os.path.join("checkpoints", "checkpoints.json")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint of a run.

    Args:
        path: its file.
        epoch: passes over the dataset.
        step: gradient updates offline, environment transitions online.
        metrics: values by full name.
        is_best: whether ``best.pt`` is this one.
    """

    path: str
    epoch: int
    step: int
    metrics: dict[str, float]
    is_best: bool


def read_checkpoints(directory: str) -> list[Checkpoint]:
    """Return a run's checkpoints, oldest first; none where the run has no index of them.

    Raises:
        ComparisonError: the index is damaged.
    """
    try:
        index = json.loads(read_text(os.path.join(directory, INDEX_FILE)))
        return sorted(
            (
                Checkpoint(
                    os.path.join(directory, "checkpoints", entry["file"]),
                    int(entry["epoch"]),
                    int(entry["step"]),
                    {name: float(value) for name, value in entry["metrics"].items()},
                    entry["file"] == index.get("best"),
                )
                for entry in index["checkpoints"]
            ),
            key=lambda checkpoint: (checkpoint.step, checkpoint.epoch),
        )
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ComparisonError(f"{os.path.join(directory, INDEX_FILE)} cannot be read") from None


def best_checkpoints(
    directories: Iterable[str | os.PathLike[str]], metric: str, mode: str | None = None
) -> list[tuple[str, Checkpoint]]:
    """Return the best checkpoint of each run by a metric, best first; NaN is never best.

    Args:
        directories: folders to search, or run directories.
        metric: a name in the checkpoints' metrics.
        mode: ``min`` or ``max``; None takes it from the name.

    Raises:
        FileNotFoundError: a given directory does not exist.
        ComparisonError: the name does not tell which way is better, or an index is damaged.
    """
    mode = mode or infer_mode(metric)
    if mode is None:
        raise ComparisonError(f"is more or less {metric} better? give the mode, max or min")
    sign = 1.0 if mode == "min" else -1.0
    seen: set[str] = set()
    best: list[tuple[str, Checkpoint]] = []
    for root in directories:
        if not os.path.isdir(root):
            raise FileNotFoundError(f"no such directory: {os.fspath(root)}")
        for files in find_runs(os.path.normpath(os.fspath(root)), seen):
            measured = [
                checkpoint
                for checkpoint in read_checkpoints(files.directory)
                if not math.isnan(checkpoint.metrics.get(metric, math.nan))
            ]
            if measured:
                best.append(
                    (files.directory, min(measured, key=lambda one: sign * one.metrics[metric]))
                )
    return sorted(best, key=lambda pair: sign * pair[1].metrics[metric])
