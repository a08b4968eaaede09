"""Import logs of battles as demonstrations, and say what was found. Imports no torch."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poke.run.afterwards.stopping import stops

if TYPE_CHECKING:
    from poke.envs.showdown.replays import Summary

_PRINT_SECONDS = 10.0


def import_replays(config: Mapping[str, Any]) -> int:
    """Import what a config asks for, say so, and return the exit status: 0, or 128 + N after signal N.

    Args:
        config: of `python -m poke.record`, validated.

    Raises:
        ValueError, RuntimeError, OSError: it failed; the message is one line.
    """
    from poke.envs.showdown.replays import Importer

    importer = Importer(
        format=config["format"],
        keep_names=config["keep_names"],
        min_rating=config["min_rating"],
        num_workers=(config["env"] or {}).get("num_workers", 1),
    )
    out = config["out"]
    show = _lines()
    so_far: list[Summary] = []

    def on_progress(summary: Summary) -> None:
        so_far[:] = [summary]
        show(summary)

    try:
        with stops(importer.stop) as signals:
            summary = importer.run(Path(config["replays"]), Path(out), on_progress=on_progress)
    finally:  # also where there is no file in the end: these say why
        for found in so_far:
            for left_out in found.left_out:
                print(f"left out {left_out}")
    if summary is None:
        print("stopped; what is read is kept: the same command goes on from there")
        return 128 + signals[0]
    print(f"{out} holds {_said(summary)}")
    return 0


def _said(summary: Summary) -> str:
    share = 100 * summary.unknown / max(1, summary.decisions)
    said = (
        f"{summary.decisions} decisions of {summary.battles} battles; the choice of {summary.unknown} "
        f"({share:.1f} %) is not known; {len(summary.left_out)} of {summary.files} files left out"
    )
    return f"{said}; {summary.below} players below that rating" if summary.below else said


def _lines() -> Callable[[Summary], None]:
    """Return what prints a line now and then."""
    begun = printed = time.monotonic()
    earlier: int | None = None  # decisions that were there when it began

    def show(summary: Summary) -> None:
        nonlocal printed, earlier
        now = time.monotonic()
        if earlier is None:
            earlier = summary.decisions
        if now - printed < _PRINT_SECONDS:
            return
        printed = now
        rate = (summary.decisions - earlier) / (now - begun)
        line = f"{summary.files} files, {summary.decisions} decisions, {rate:.0f}/s"
        print(f"{line}, {len(summary.left_out)} left out", file=sys.stderr, flush=True)

    return show
