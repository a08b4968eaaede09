"""Runs that are looked at again and again: held in memory, and read only where they grew."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from poke.comparison.reading.collection import read_runs
from poke.comparison.reading.directories import read
from poke.comparison.reading.discovery import RunFiles, find_runs
from poke.comparison.reading.rows.history import History
from poke.comparison.reading.rows.incremental import Position, read_lines
from poke.comparison.reading.rows.parsing import parse
from poke.comparison.reading.run import ACTIVE, Run


@dataclass(slots=True)
class _Rows:
    """The rows of a run at one of its states."""

    identity: str
    position: Position
    history: History


class Follower:
    """The runs at or below some folders.

    Args:
        directories: the folders; one that is not there yet is looked for each time.
        cache: use and keep an index for the first look.
    """

    def __init__(self, directories: Sequence[str], *, cache: bool = True) -> None:
        self._roots = [os.path.normpath(directory) for directory in directories]
        self._cache = cache
        self._runs: dict[str, Run] = {}
        self._unsettled: set[str] = set()
        self._rows: dict[str, _Rows] = {}

    def look(self) -> list[Run]:
        """Return the runs as they are now, in the order of their paths; one that did not change is the same object."""
        roots = [root for root in self._roots if os.path.isdir(root)]
        if self._runs:
            runs = self._look_again(roots)
        else:
            runs = read_runs(roots, cache=self._cache)
        now = time.time_ns()
        self._runs = {run.name: run for run in runs}
        self._unsettled = {run.name for run in runs if not run.fingerprint.is_settled(now)}
        self._rows = {name: rows for name, rows in self._rows.items() if name in self._runs}
        return runs

    def rows(self, run: Run) -> History:
        """Return every row of a run, of which only new ones are read; none where they cannot be read."""
        kept = self._rows.get(run.name)
        if kept is None or kept.identity != run.fingerprint.identity:
            kept = _Rows(run.fingerprint.identity, Position(), History())
            if run.files.metrics:
                with suppress(Exception):  # as for `read_rows`: the run's problems name it
                    kept = self._read_rows(run, self._rows.get(run.name) or kept)
            self._rows[run.name] = kept
        return kept.history

    def _read_rows(self, run: Run, kept: _Rows) -> _Rows:
        path = run.files.path(run.files.metrics or "")
        text, position, continues = read_lines(path, kept.position)
        history = parse([text])[0]
        if continues and history.names != kept.history.names:
            text, position, continues = read_lines(path)
            history = parse([text])[0]
        position.rows += history.matrix.shape[1]
        if continues:
            history.matrix = np.hstack([kept.history.matrix, history.matrix])
        return _Rows(run.fingerprint.identity, position, history)

    def _look_again(self, roots: Sequence[str]) -> list[Run]:
        # the files of a run that has ended do not become others: its folder is not listed again
        ended = {
            run.name: run.files
            for run in self._runs.values()
            if run.files.record and run.files.metrics and run.record.get("status") not in ACTIVE
        }
        seen: set[str] = set()
        found = [files for root in roots for files in find_runs(root, seen, ended)]
        changed = [files for files in found if not self._is_current(files)]
        fresh = {run.name: run for run in read(changed, self._runs)}
        gone = {files.directory for files in changed} - fresh.keys()
        runs = self._runs | fresh
        return [runs[files.directory] for files in found if files.directory not in gone]

    def _is_current(self, files: RunFiles) -> bool:
        run = self._runs.get(files.directory)
        if run is None or run.files != files or run.name in self._unsettled:
            return False
        if files.fingerprint().identity != run.fingerprint.identity:
            return False
        run.ask_status()  # a process may have died without a trace in any file
        return True
