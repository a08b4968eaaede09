"""Turn logs into demonstrations: the worker reads them, a file of trajectories holds what it found."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from poke.envs.showdown import layout
from poke.envs.showdown.formats import generation, refusal
from poke.envs.showdown.installation import ShowdownError, pinned_version
from poke.envs.showdown.pipes.process import WorkerLost, WorkerProcess, first_settings
from poke.envs.showdown.recording.store import alone
from poke.envs.showdown.replays.files import LogError, LogText, find, read
from poke.envs.showdown.replays.found import ImportedBattle, ImportedSide, LeftOut, Summary
from poke.envs.showdown.replays.store import Store

MARK_BYTES = (layout.SIZE + 7) // 8  # of one block of the marks
ROW = np.dtype(
    [
        ("mask", "<u4"),
        ("mask_known", "<u4"),
        ("mask_filled", "<u4"),
        ("turn", "<u2"),
        ("action", "u1"),
        ("flags", "u1"),
        ("observation", "i1", (layout.SIZE,)),
        ("known", "u1", (MARK_BYTES,)),
        ("filled", "u1", (MARK_BYTES,)),
    ]
)
_TIMEOUT_SECONDS = 60.0


class Importer:
    """Imports logs of battles of one format.

    Args:
        format: of the battles, such as ``gen1randombattle``; others are left out.
        keep_names: the file says who played, and with what rating.
        min_rating: only players with at least this one, by what the log says of them; None: all.
        num_workers: processes that read; changes speed only.

    Raises:
        FormatError: the format is none that is read.
    """

    def __init__(
        self,
        *,
        format: str,
        keep_names: bool = False,
        min_rating: int | None = None,
        num_workers: int = 1,
    ) -> None:
        self._format = format
        self._generation = generation(format)
        self._keep_names = keep_names
        self._min_rating = min_rating
        self._num_workers = num_workers
        self._stop_requested = False

    def run(
        self, replays: Path, out: Path, *, on_progress: Callable[[Summary], None]
    ) -> Summary | None:
        """Read all files and write what they hold, whole or not at all; None: stopped.

        What is read when it stops, or fails, is kept in parts beside the file; the next time goes on from there, and
        the file is the same as if it had never stopped, bit for bit.

        Args:
            replays: a file of `poke.envs.showdown.replays.files`, or a folder of them; looked through in order.
            out: the file; what was there before is gone.
            on_progress: called after every file.

        Raises:
            FileNotFoundError: there is no such file or folder.
            FormatError: the format is none that is read.
            DataError: no file holds a battle that is taken, or the parts are of something else.
            ShowdownError: node or the package is missing, or the workers do not run.
        """
        paths = _logs(replays, out)
        options = {"keep_names": self._keep_names, "min_rating": self._min_rating}
        with (
            alone(out) as folder,
            Store(out, folder, self._setup(), options, paths) as store,
            closing(self._readings(paths[store.summary.files :])) as readings,
        ):
            for path, found in readings:
                self._take(path, found, store)
                on_progress(store.summary)
                if self._stop_requested:
                    return None
            store.finish()
            return store.summary

    def stop(self) -> None:
        """Make `run` keep what is read and return; safe from signal handlers and threads."""
        self._stop_requested = True

    def _setup(self) -> dict[str, Any]:
        return {
            "observation": {"dtype": "int8", "shape": [layout.SIZE]},
            "action": {"kind": "discrete", "num_actions": layout.num_actions(self._generation)},
            "env": "showdown",
            "format": self._format,
            "source": "replays",
            "versions": {"pokemon-showdown": pinned_version()},
            "layout": layout.describe(self._generation),
        }

    def _take(self, path: Path, found: ImportedBattle | LeftOut, store: Store) -> None:
        if isinstance(found, LeftOut):
            store.take(found)
            return
        sides, below, reason = (
            [s for s in found.sides if len(s.rows)],
            0,
            "nobody in it had to choose",
        )
        if sides and self._min_rating is not None:
            rated = [side for side in sides if (side.rating or 0) >= self._min_rating]
            sides, below, reason = rated, len(sides) - len(rated), "no player has that rating"
        store.take(ImportedBattle(sides) if sides else LeftOut(path, 0, reason), below=below)

    def _readings(
        self, paths: list[Path]
    ) -> Generator[tuple[Path, ImportedBattle | LeftOut], None, None]:
        """Yield what each file holds, in their order; several workers read ahead."""
        readers: list[_Reader] = []
        try:
            readers = [
                _Reader(self._format, self._generation)
                for _ in range(min(self._num_workers, len(paths)))
            ]
            under_way: list[tuple[Path, _Reader | LeftOut]] = []
            free = list(readers)
            for path in paths:
                if not free:
                    yield from self._finish(under_way, free)
                try:
                    log = read(path)
                except (LogError, OSError) as error:
                    under_way.append((path, LeftOut(path, 0, str(error))))
                    continue
                reader = free.pop()
                reader.begin(path, log)
                under_way.append((path, reader))
            while under_way:
                yield from self._finish(under_way, free)
        finally:
            for reader in readers:
                reader.close()

    @staticmethod
    def _finish(
        under_way: list[tuple[Path, _Reader | LeftOut]], free: list[_Reader]
    ) -> Generator[tuple[Path, ImportedBattle | LeftOut], None, None]:
        """Yield the results up to the first one that a reader is free after."""
        while under_way:
            path, source = under_way.pop(0)
            if isinstance(source, LeftOut):
                yield path, source
                continue
            result = source.result()
            free.append(source)
            yield path, result
            return


def _logs(replays: Path, out: Path) -> list[Path]:
    """Return the files to read; what is written, and its parts, may lie among them."""
    paths = find(replays)
    root, written = replays.resolve(), out.resolve()
    if root not in written.parents:
        return paths
    depth = len(written.relative_to(root).parts)
    own = {written, written.with_name(f"{written.name}.parts")}
    return [p for p in paths if root.joinpath(*p.relative_to(replays).parts[:depth]) not in own]


class _Reader:
    """A worker that reads one log at a time; one that dies or hangs over a log is replaced, and the log left out."""

    def __init__(self, format: str, generation: int) -> None:
        self._settings = first_settings({"mode": "replays", "format": format}, generation)
        self._path, self._log = Path(), LogText("", 1)
        self._start()

    def _start(self) -> None:
        self._process = WorkerProcess(self._settings)
        said, payload = self._answer()
        if said == b"N":
            self._process.close()
            raise refusal(json.loads(payload))

    def begin(self, path: Path, log: LogText) -> None:
        self._path, self._log = path, log
        self._process.send(b"L", log.text.encode())

    def result(self) -> ImportedBattle | LeftOut:
        try:
            said, payload = self._answer()
        except ShowdownError as error:
            self._process.kill()
            self.close()
            self._start()
            return LeftOut(self._path, 0, str(error))
        if said == b"E":
            refused = json.loads(payload)
            first = self._log.first_line
            return LeftOut(
                self._path,
                refused["line"] + first - 1 if first else refused["line"],
                refused["message"],
            )
        return _parse(payload, self._log)

    def close(self) -> None:
        self._process.close()

    def _answer(self) -> tuple[bytes, bytearray]:
        try:
            return self._process.answer(_TIMEOUT_SECONDS)
        except WorkerLost as error:
            raise ShowdownError(f"the worker that reads logs {error}") from None


def _parse(payload: bytearray, log: LogText) -> ImportedBattle:
    length = int.from_bytes(payload[-4:], "little")
    players = json.loads(payload[-4 - length : -4])["players"]
    count = sum(player["decisions"] for player in players)
    rows = np.frombuffer(payload, ROW, count)
    sides = []
    for number, player in enumerate(players):
        own, rows = rows[: player["decisions"]], rows[player["decisions"] :]
        rating = player["rating"] if player["rating"] is not None else log.rating
        name = player["names"][0] if player["names"] else ""
        sides.append(ImportedSide(number, own, player["outcome"], name, rating))
    return ImportedBattle(sides)
