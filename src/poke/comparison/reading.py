"""From folders to runs: find, look up what is known, read the rest side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from poke.comparison.discovery import RunFiles, find_runs
from poke.comparison.history import History
from poke.comparison.index import Index
from poke.comparison.run import Run, read_run, read_run_history

T = TypeVar("T")
R = TypeVar("R")
FEW = 4  # below this a thread pool costs more than it saves


def read_runs(directories: Iterable[str | os.PathLike[str]], *, cache: bool = True) -> list[Run]:
    """Read every run at or below the given directories, in the order of their paths.

    Args:
        directories: folders to search, or run directories.
        cache: keep and use an index at the root of each searched folder.

    Raises:
        FileNotFoundError: a given directory does not exist.
    """
    seen: set[tuple[int, int]] = set()
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


def _read_found(found: Sequence[RunFiles], index: Index | None) -> list[Run]:
    current, overtaken = index.runs(found) if index else ({}, {})
    missing = [files for files in found if files.directory not in current]
    fresh = dict(
        _side_by_side(lambda files: (files.directory, _try_read(files, overtaken)), missing)
    )
    read = {directory: run for directory, run in fresh.items() if run}
    if index:
        index.store(read.values(), found)
    both = current | read
    return [both[files.directory] for files in found if files.directory in both]


def read_histories(runs: Sequence[Run], *, cache: bool = True) -> list[History]:
    """Return every row of each run, in the order of the runs.

    Args:
        runs: from ``read_runs``.
        cache: use and keep rows in the index of the folder each run lies in, where there is one.
    """
    histories: dict[str, History] = {}
    indexes: dict[str, list[Run]] = {}
    for run in runs if cache else ():
        if run.files.directory != run.files.root:
            indexes.setdefault(run.files.root, []).append(run)
    for root, members in indexes.items():
        index = Index(root)
        histories |= {run.name: history for run, history in index.histories(members)}
        index.close()
    missing = [run for run in runs if run.name not in histories]
    fresh = dict(
        zip((run.name for run in missing), _side_by_side(read_run_history, missing), strict=True)
    )
    for root, members in indexes.items():
        index = Index(root)
        index.store_histories((run, fresh[run.name]) for run in members if run.name in fresh)
        index.close()
    histories |= fresh
    return [histories[run.name] for run in runs]


def _side_by_side(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    if len(items) < FEW:
        return [function(item) for item in items]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, items))


def _try_read(files: RunFiles, overtaken: dict[str, Run]) -> Run | None:
    try:
        return read_run(files, overtaken.get(files.directory))
    except FileNotFoundError:  # deleted since it was found
        return None
