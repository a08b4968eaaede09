"""How far battles are: a bar on a terminal, elsewhere a line now and then. Imports no torch."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

_PRINT_SECONDS = 10.0


class Progress(Protocol):
    """What is told of battles."""

    @property
    def battles(self) -> int:
        """How many have ended."""
        ...

    @property
    def decisions(self) -> int | None:
        """Made in them; None where they are not counted."""
        ...

    @property
    def dropped(self) -> int:
        """Battles that do not count."""
        ...

    @property
    def last_fault(self) -> str:
        """Why the last of them does not."""
        ...


@contextmanager
def shown(total: int) -> Iterator[Callable[[Progress], None]]:
    """Yield what shows progress.

    Args:
        total: how many battles there will be.
    """
    if sys.stderr.isatty():
        with _bar(total) as show:
            yield show
    else:
        yield _lines(total)


@contextmanager
def _bar(total: int) -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("battles"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("battles", total=total, note="")
        yield lambda p: bar.update(task, completed=p.battles, note=_note(p))


def _lines(total: int) -> Callable[[Progress], None]:
    """Return what prints a line at the start, after the first battle, in between and at the end."""
    begun = printed = time.monotonic()
    before: int | None = None

    def show(progress: Progress) -> None:
        nonlocal printed, before
        now = time.monotonic()
        new = 0 if before is None else progress.battles - before
        before = progress.battles if before is None else before
        if new <= 1 or progress.battles == total or now - printed >= _PRINT_SECONDS:
            printed = now
            rate = new / max(now - begun, 1e-9)
            said = [f"{progress.battles}/{total} battles", f"{rate:.1f}/s", _note(progress)]
            print(", ".join(filter(None, said)), file=sys.stderr, flush=True)

    return show


def _note(progress: Progress) -> str:
    said = []
    if progress.decisions is not None:
        said.append(f"{progress.decisions} decisions")
    if progress.dropped:
        said.append(f"{progress.dropped} battles dropped (last: {progress.last_fault})")
    return ", ".join(said)
