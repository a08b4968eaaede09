"""From folders to runs: find them, look up what is known of them, read the rest."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from poke.comparison.reading.directories import read, read_rows
from poke.comparison.reading.discovery import RunFiles, find_runs
from poke.comparison.reading.index import Index
from poke.comparison.reading.rows.history import History
from poke.comparison.reading.run import Run


def read_runs(directories: Iterable[str | os.PathLike[str]], *, cache: bool = True) -> list[Run]:
    """Read every run at or below the given directories, in the order of their paths.

    Args:
        directories: folders to search, or run directories.
        cache: keep and use an index at the root of each searched folder.

    Raises:
        FileNotFoundError: a given directory does not exist.
    """
    seen: set[str] = set()
    runs: list[Run] = []
    for directory in directories:
        root = os.path.normpath(os.fspath(directory))
        if not os.path.isdir(root):
            raise FileNotFoundError(f"no such directory: {os.fspath(directory)}")
        found = list(find_runs(root, seen))
        index = Index(root) if cache and found and found[0].directory != root else None
        try:
            runs += _read_found(found, index)
        finally:
            if index:
                index.close()
    return runs


def read_histories(runs: Sequence[Run], *, cache: bool = True) -> list[History]:
    """Return every row of each run, in the order of the runs.

    Args:
        runs: from ``read_runs``.
        cache: use and keep rows in the index of the folder that each run was found in.
    """
    members: dict[str, list[Run]] = {}
    for run in runs:
        # an index never lies in a run directory
        kept = cache and run.name != run.files.root
        members.setdefault(run.files.root if kept else "", []).append(run)
    histories: dict[str, History] = {}
    for root, found in members.items():
        index = Index(root) if root else None
        if index:
            histories |= {run.name: history for run, history in index.histories(found)}
        fresh = _read_fresh([run for run in found if run.name not in histories], histories)
        if index:
            index.store_histories(fresh)  # one is stored while the next is parsed
            index.close()
        for _ in fresh:  # all that no index took
            pass
    return [histories[run.name] for run in runs]


def _read_fresh(
    runs: Sequence[Run], histories: dict[str, History]
) -> Iterator[tuple[Run, History]]:
    """Yield the rows of runs as they are read, and put them to the others."""
    waiting = iter(runs)
    for batch in read_rows(runs):
        for history in batch:
            run = next(waiting)
            histories[run.name] = history
            yield run, history


def _read_found(found: Sequence[RunFiles], index: Index | None) -> list[Run]:
    current, overtaken = index.runs(found) if index else ({}, {})
    fresh = read([files for files in found if files.directory not in current], overtaken)
    if index:
        index.store(fresh, found)
    runs = current | {run.name: run for run in fresh}
    return [runs[files.directory] for files in found if files.directory in runs]
