"""The cache that makes a second look cheap: one SQLite file at the root of the searched folder.

Fast path: it saves opening and parsing the files of every run, and must tell what these do.

An entry holds what was read of one run under the identity of the files it was read from. It is used
only if those are unchanged and were older than two seconds when it was written, since a file may
change twice within one tick of its file system's clock. A transaction makes each writing whole or
nothing. An index that is damaged, of another version or of another program is thrown away; where
none can be kept, everything is simply read again.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from poke.comparison.reading.discovery import Fingerprint, RunFiles
from poke.comparison.reading.rows.history import History
from poke.comparison.reading.rows.incremental import Position
from poke.comparison.reading.rows.summary import Summary
from poke.comparison.reading.run import Run

FILE_NAME = ".poke-index.sqlite"
APPLICATION_ID = 0x706F6B65
VERSION = 3
MOST_KEPT_BYTES = 1 << 28  # of one run's rows; SQLite takes a little less than 1 GB in one piece

SCHEMA = """
create table runs (
    path text primary key, fingerprint text not null, settled integer not null, text text not null,
    numbers blob not null
) without rowid;
create table histories (
    path text primary key, fingerprint text not null, names text not null, problems text not null,
    num_rows integer not null, matrix blob not null
);
"""


class Index:
    """What earlier looks at a folder read.

    Args:
        root: the searched folder, which holds the index.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._path = os.path.join(root, FILE_NAME)
        self._database = self._open()

    def close(self) -> None:
        """Release the file."""
        if self._database:
            self._database.close()
            self._database = None

    def runs(self, found: Sequence[RunFiles]) -> tuple[dict[str, Run], dict[str, Run]]:
        """Return the entries of these runs, by directory: those still true, and those since overtaken."""
        current: dict[str, Run] = {}
        overtaken: dict[str, Run] = {}
        with self._guard():
            if not self._database:
                return current, overtaken
            rows = self._database.execute("select * from runs order by path").fetchall()
            texts = json.loads(f"[{','.join(row[3] for row in rows)}]")
            entries = {row[0]: (row, text) for row, text in zip(rows, texts, strict=True)}
            for files in found:
                entry = entries.get(self._key(files))
                if entry is None:
                    continue
                (_, known, settled, _, numbers), text = entry
                now = files.fingerprint()
                same = settled and now.identity == known
                run = _decode(files, now._replace(identity=known), text, numbers)
                (current if same else overtaken)[files.directory] = run
        return current, overtaken

    def store(self, runs: Iterable[Run], present: Sequence[RunFiles]) -> None:
        """Keep these runs' entries, and drop those of runs that are gone."""
        with self._guard():
            if not self._database:
                return
            now = time.time_ns()
            rows = [(self._key(run.files), *_encode(run, now)) for run in runs]
            known = {row[0] for row in self._database.execute("select path from runs")}
            gone = [(path,) for path in known - {self._key(files) for files in present}]
            if not rows and not gone:
                return
            with self._database as transaction:
                transaction.executemany("delete from runs where path = ?", gone)
                transaction.executemany("delete from histories where path = ?", gone)
                transaction.executemany("insert or replace into runs values (?, ?, ?, ?, ?)", rows)

    def histories(self, runs: Sequence[Run]) -> Iterator[tuple[Run, History]]:
        """Yield the rows of those runs whose rows are kept and still true."""
        with self._guard():
            if not self._database:
                return
            wanted = {self._key(run.files): run for run in runs}
            # Runs of one kind have the same names: a text is parsed once, not once a run.
            lists: dict[str, list[str]] = {}
            for path, fingerprint, names, problems, num_rows, matrix in self._database.execute(
                "select * from histories"
            ):
                run = wanted.get(path)
                if run is not None and run.fingerprint.identity == fingerprint:
                    for text in (names, problems):
                        if text not in lists:
                            lists[text] = json.loads(text)
                    rows = np.frombuffer(matrix).reshape(-1, num_rows)
                    yield run, History(list(lists[names]), rows, list(lists[problems]))

    def store_histories(self, histories: Iterable[tuple[Run, History]]) -> None:
        """Keep the rows of runs that have long settled, unless they are too many."""
        now = time.time_ns()
        rows = (
            (
                self._key(run.files),
                run.fingerprint.identity,
                json.dumps(history.names),
                json.dumps(history.problems),
                history.matrix.shape[1],
                history.matrix.tobytes(),
            )
            for run, history in histories
            if run.fingerprint.is_settled(now) and 0 < history.matrix.nbytes <= MOST_KEPT_BYTES
        )
        with self._guard():
            if self._database:
                with self._database as transaction:
                    transaction.executemany(
                        "insert or replace into histories values (?, ?, ?, ?, ?, ?)", rows
                    )

    def _key(self, files: RunFiles) -> str:
        """Return where a run lies below the root; a name that is no text with its bytes written out."""
        below = files.directory[len(self.root) :].lstrip(os.sep)
        return below if below.isascii() else os.fsencode(below).decode("utf-8", "backslashreplace")

    def _open(self) -> sqlite3.Connection | None:
        for _ in range(2):
            try:
                return self._connect()
            except (
                sqlite3.OperationalError
            ):  # a folder or file that may not be written, or is locked
                return None
            except sqlite3.DatabaseError:  # damaged, or not ours: begin again
                try:
                    os.unlink(self._path)
                except OSError:
                    return None
        return None

    def _connect(self) -> sqlite3.Connection | None:
        if not os.access(self.root, os.W_OK):
            return None
        database = sqlite3.connect(self._path, timeout=2.0)
        try:
            identity = tuple(
                database.execute(f"pragma {name}").fetchone()[0]
                for name in ("application_id", "user_version")
            )
            if identity == (APPLICATION_ID, VERSION):
                return database
            if os.path.getsize(self._path):
                raise sqlite3.DatabaseError("another program's or another version's")
            # large pages read rows of 100 kB twice as fast
            database.executescript(
                "pragma page_size = 65536; begin exclusive;"
                f"pragma application_id = {APPLICATION_ID}; pragma user_version = {VERSION};"
                f"{SCHEMA} commit;"
            )
            return database
        except BaseException:
            database.close()
            raise

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        """Give the index up at the first sign of damage; what it would have told is read from the runs."""
        try:
            yield
        except (sqlite3.OperationalError, sqlite3.DataError):
            self.close()  # locked by a slow neighbour, a full disk, or too large an entry: no damage
        except (sqlite3.DatabaseError, ValueError, KeyError, TypeError, IndexError):
            self.close()
            with contextlib.suppress(OSError):
                os.unlink(self._path)


def _encode(run: Run, now: int) -> tuple[str, int, str, bytes]:
    summary = run.summary
    position = run.position
    text = json.dumps(
        [
            run.record,
            run.config,
            run.problems,
            summary.names,
            summary.step,
            [position.end, position.rows, position.header, position.edges],
        ]
    )
    return (
        run.fingerprint.identity,
        int(run.fingerprint.is_settled(now)),
        text,
        summary.numbers.tobytes(),
    )


def _decode(files: RunFiles, fingerprint: Fingerprint, text: list, numbers: bytes) -> Run:
    record, config, problems, names, step, (end, rows, header, edges) = text
    summary = Summary(names, np.frombuffer(numbers).reshape(6, len(names)), step)
    position = Position(end, rows, header, edges)
    return Run(files, record, config, summary, position, problems, fingerprint)
