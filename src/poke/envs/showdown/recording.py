"""Record demonstrations: an expert battles opponents on a local server, into one Parquet file.

Battles are numbered, and number i is against opponent i modulo their number, so that a recording
that stopped knows what is missing. What is recorded is kept beside the file in FILE.parts until the
file is whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import random
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from poke.data import trajectories
from poke.data.trajectories import DataError, Trajectories
from poke.envs.showdown import layout
from poke.envs.showdown.arena import Match, Seat, Side, play
from poke.envs.showdown.installation import ShowdownError, pinned_version
from poke.envs.showdown.players import POLICIES
from poke.envs.showdown.server import ShowdownServer

_BATTLES_A_PART = 200

Results = dict[str, dict[str, int]]


@dataclass(frozen=True)
class RecordedBattle:
    """One battle's decisions of the expert.

    Args:
        number: of the battle in the recording.
        opponent: the policy it was played against.
        sides: the expert's, both where it met itself.
    """

    number: int
    opponent: str
    sides: list[Side]


@dataclass
class Progress:
    """How far a recording is.

    Args:
        battles: recorded so far, earlier sessions included.
        decisions: recorded in this session.
        dropped: battles that went wrong in this session and were played again.
        last_fault: why the last of them did.
    """

    battles: int = 0
    decisions: int = 0
    dropped: int = 0
    last_fault: str = ""


class Recorder:
    """Records the expert's decisions, both sides' where the expert meets itself.

    Args:
        format: a singles format whose teams the server draws, such as ``gen1randombattle``.
        expert: the policy to record, one of `POLICIES`.
        opponents: policies to play against in turn; repeat one to meet it more often.
        seed: of the players' own random choices. Teams and dice are the server's.
        concurrency: battles at a time.

    Raises:
        ValueError: a policy that does not exist, or a format that is not as above.
    """

    def __init__(
        self, *, format: str, expert: str, opponents: Sequence[str], seed: int, concurrency: int
    ) -> None:
        unknown = [name for name in (expert, *opponents) if name not in POLICIES]
        if unknown:
            raise ValueError(f"no player {unknown[0]} (choose from {', '.join(POLICIES)})")
        if not format.endswith("randombattle") or not format[3:4].isdigit():
            raise ValueError(f"format must be genNrandombattle, not '{format}'")
        self._format = format
        self._expert = expert
        self._opponents = list(opponents)
        self._seed = seed
        self._concurrency = concurrency
        self._stop_requested = False
        self._interrupt: Callable[[], object] | None = None

    def record(
        self,
        out: str | Path,
        battles: int,
        *,
        on_progress: Callable[[Progress], None],
    ) -> bool:
        """Play until the file holds that many battles; return whether it does.

        Args:
            out: the file; what it and its parts hold already counts.
            battles: how many in all.
            on_progress: called at the start and after every battle.

        Raises:
            DataError: the file or its parts hold something else, or are being written.
            ShowdownError: the server does not run, or the battles stall.
        """
        with _alone(Path(out)) as folder:
            store = _Store(Path(out), folder, self._setup())
            progress = Progress(battles=len(store.recorded))
            on_progress(progress)
            unplayed = (n for n in itertools.count() if n not in store.recorded)
            missing = list(itertools.islice(unplayed, max(0, battles - len(store.recorded))))
            if missing:
                random.seed(f"{self._seed}/{len(store.recorded)}")
                with ShowdownServer() as server, contextlib.closing(store):
                    url = server.websocket_url
                    asyncio.run(self._play(url, missing, store, progress, on_progress))
            if len(store.recorded) < battles:
                return False
            store.finish()
            return True

    def stop(self) -> None:
        """Make `record` keep what is recorded and return; safe from signal handlers and threads."""
        self._stop_requested = True
        if self._interrupt is not None:
            self._interrupt()

    def _setup(self) -> dict[str, Any]:
        generation = int(self._format[3])
        actions = layout.num_actions(generation)
        return {
            "observation": {"dtype": "int8", "shape": [layout.SIZE]},
            "action": {"kind": "discrete", "num_actions": actions},
            "env": "showdown",
            "format": self._format,
            "expert": self._expert,
            "opponents": self._opponents,
            "seed": self._seed,
            "versions": {"pokemon-showdown": pinned_version(), "poke-env": version("poke-env")},
            "layout": layout.describe(generation),
        }

    async def _play(
        self,
        url: str,
        missing: list[int],
        store: _Store,
        progress: Progress,
        on_progress: Callable[[Progress], None],
    ) -> None:
        def on_result(match: Match, sides: tuple[Side, Side]) -> None:
            kept = [side for side in sides if side.decisions]
            store.add(RecordedBattle(match.number, self._opponent(match.number), kept))
            progress.battles += 1
            progress.decisions += sum(len(side.decisions) for side in kept)
            on_progress(progress)

        def on_fault(fault: Exception) -> None:
            progress.dropped += 1
            progress.last_fault = f"{type(fault).__name__}: {fault}"
            if progress.dropped > 10 + progress.battles // 20:
                raise ShowdownError(f"too many battles fail: {progress.last_fault}")

        stopping = asyncio.Event()
        self._interrupt = functools.partial(
            asyncio.get_running_loop().call_soon_threadsafe, stopping.set
        )
        if self._stop_requested:
            stopping.set()
        playing = asyncio.create_task(
            play(
                map(self._match, missing),
                websocket_url=url,
                battle_format=self._format,
                concurrency=min(self._concurrency, len(missing)),
                on_result=on_result,
                on_fault=on_fault,
            )
        )
        stopped = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({playing, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if playing.done():
                playing.result()
        finally:
            self._interrupt = None
            playing.cancel()
            stopped.cancel()
            await asyncio.gather(playing, stopped, return_exceptions=True)

    def _opponent(self, number: int) -> str:
        return self._opponents[number % len(self._opponents)]

    def _match(self, number: int) -> Match:
        opponent = self._opponent(number)
        expert = Seat(POLICIES[self._expert], record=True)
        return Match(number, (expert, Seat(POLICIES[opponent], record=opponent == self._expert)))


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[Path]:
    """Yield the folder of the file's parts, held by no other process; gone afterwards if empty.

    Raises:
        DataError: another process holds it.
    """
    folder = out.with_name(f"{out.name}.parts")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            try:
                yield folder
            finally:
                if not any(folder.glob("part-*")):
                    shutil.rmtree(folder, ignore_errors=True)
    except Timeout:
        raise DataError(f"{out} is being recorded by another process") from None


class _Store:
    """What is recorded of one file: the file itself if it is there, parts beside it, and a buffer.

    Args:
        out: the file.
        folder: where its parts are.
        setup: metadata of the recording; what lies on the disk must agree.

    Raises:
        DataError: what lies on the disk is another recording.
    """

    def __init__(self, out: Path, folder: Path, setup: dict[str, Any]) -> None:
        self._out = out
        self._folder = folder
        self._setup = setup
        self._buffer: list[RecordedBattle] = []
        self._sources: list[Path] = []
        self._results: Results = {}
        self.recorded: set[int] = set()
        parts = sorted(self._folder.glob("part-*.parquet"))
        for source in [out, *parts] if out.exists() else parts:
            metadata = trajectories.read_metadata(source)
            for key, value in setup.items():
                if metadata.get(key) != value:
                    raise DataError(
                        f"{source} holds another recording (its {key} differs): "
                        f"choose another out, or remove it"
                    )
            if "battles" not in metadata:
                raise DataError(
                    f"{source} does not say which battles it holds: choose another out, or remove it"
                )
            numbers = _from_ranges(metadata["battles"])
            if not numbers <= self.recorded:  # else left over by a stop right after the joining
                self._take(source, numbers, metadata["results"])

    def add(self, battle: RecordedBattle) -> None:
        """Take a battle; every so many are written to a part."""
        self._buffer.append(battle)
        self.recorded.add(battle.number)
        if len(self._buffer) >= _BATTLES_A_PART:
            self.close()

    def close(self) -> None:
        """Write what is not yet on the disk."""
        if not self._buffer:
            return
        numbers, results = [battle.number for battle in self._buffer], _results(self._buffer)
        metadata = {**self._setup, "battles": _to_ranges(numbers), "results": results}
        part = self._folder / f"part-{min(numbers):08d}.parquet"
        trajectories.write(part, _to_trajectories(self._buffer, metadata), compression_level=3)
        self._take(part, numbers, results)
        self._buffer = []

    def finish(self) -> None:
        """Join the parts into the file, and remove them."""
        if self._sources != [self._out]:
            battles = {"battles": _to_ranges(self.recorded), "results": self._results}
            metadata = {**self._setup, **battles}
            trajectories.join(self._out, self._sources, metadata, compression_level=15)
        for part in self._folder.glob("part-*.parquet"):
            part.unlink()

    def _take(self, source: Path, numbers: Iterable[int], results: Results) -> None:
        self._sources.append(source)
        self.recorded.update(numbers)
        for opponent, counts in results.items():
            total = self._results.setdefault(opponent, dict.fromkeys(counts, 0))
            for name, count in counts.items():
                total[name] += count


def _results(battles: Sequence[RecordedBattle]) -> Results:
    """Count battles, and the recorded sides' decisions and outcomes, by opponent."""
    results: Results = {}
    for battle in battles:
        counts = results.setdefault(
            battle.opponent, dict.fromkeys(("battles", "decisions", "won", "drawn", "lost"), 0)
        )
        counts["battles"] += 1
        for side in battle.sides:
            counts["decisions"] += len(side.decisions)
            counts[("drawn", "won", "lost")[side.outcome]] += 1
    return results


def _to_ranges(numbers: Iterable[int]) -> list[list[int]]:
    """Return numbers as `[first, past the last]` pairs."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number:
            ranges[-1][1] += 1
        else:
            ranges.append([number, number + 1])
    return ranges


def _from_ranges(ranges: Iterable[Sequence[int]]) -> set[int]:
    return {number for start, stop in ranges for number in range(start, stop)}


def _to_trajectories(battles: Sequence[RecordedBattle], metadata: dict[str, Any]) -> Trajectories:
    sides = [
        (episode, side)
        for episode, battle in enumerate(battles)
        for side in sorted(battle.sides, key=lambda side: side.player)
    ]
    lengths = [len(side.decisions) for _, side in sides]
    flat = [decision for _, side in sides for decision in side.decisions]
    result = np.repeat(np.array([side.outcome for _, side in sides], dtype=np.int8), lengths)
    terminated = np.zeros(len(flat), dtype=bool)
    terminated[np.cumsum(lengths) - 1] = True
    return Trajectories(
        observation=np.stack([d.observation for d in flat]),
        action=np.array([d.action for d in flat], dtype=np.int64),
        action_mask=np.stack([d.action_mask for d in flat]),
        reward=np.where(terminated, result, 0).astype(np.float32),
        terminated=terminated,
        truncated=np.zeros(len(flat), dtype=bool),
        episode=np.repeat(np.array([episode for episode, _ in sides], dtype=np.int64), lengths),
        player=np.repeat(np.array([side.player for _, side in sides], dtype=np.int8), lengths),
        timestep=np.concatenate([np.arange(n, dtype=np.int32) for n in lengths]),
        outcome=result,
        metadata=metadata,
    )
