"""From folders to runs: find them, look up what is known of them, read the rest."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

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
    for run in runs if cache else ():
        if run.name != run.files.root:  # an index never lies in a run directory
            members.setdefault(run.files.root, []).append(run)
    histories: dict[str, History] = {}
    for root, found in members.items():
        index = Index(root)
        histories |= {run.name: history for run, history in index.histories(found)}
        index.close()
    missing = [run for run in runs if run.name not in histories]
    fresh = dict(zip((run.name for run in missing), read_rows(missing), strict=True))
    for root, found in members.items():
        if any(run.name in fresh for run in found):
            index = Index(root)
            index.store_histories((run, fresh[run.name]) for run in found if run.name in fresh)
            index.close()
    histories |= fresh
    return [histories[run.name] for run in runs]


def _read_found(found: Sequence[RunFiles], index: Index | None) -> list[Run]:
    current, overtaken = index.runs(found) if index else ({}, {})
    fresh = read([files for files in found if files.directory not in current], overtaken)
    if index:
        index.store(fresh, found)
    runs = current | {run.name: run for run in fresh}
    return [runs[files.directory] for files in found if files.directory in runs]
