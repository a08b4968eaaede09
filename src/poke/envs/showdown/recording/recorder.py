"""Record demonstrations: an expert battles opponents in the workers, into one Parquet file.

Battle i is against opponent i modulo their number, the expert in either seat in turn, and all of its chances come from
the recording's seed and i: the file depends on nothing else, however often it was interrupted, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from poke.envs.showdown import layout
from poke.envs.showdown.formats import generation
from poke.envs.showdown.installation import ShowdownError, pinned_version
from poke.envs.showdown.names import SCRIPTED
from poke.envs.showdown.pipes.records import (
    ASKED,
    ENDED,
    LOST,
    NUM_SEATS,
    REFUSED,
    Start,
    battle_seeds,
)
from poke.envs.showdown.pipes.workers import BattleWorkers
from poke.envs.showdown.recording.store import RecordedBattle, Side, Store, alone

_TRIES = 3  # of a battle that is lost with its worker


@dataclass
class Progress:
    """How far a recording is.

    Args:
        battles: recorded so far, earlier sessions included.
        decisions: recorded in this session.
        dropped: times that a battle was lost with its worker, and begun anew.
        last_fault: what was said of the last of them.
    """

    battles: int = 0
    decisions: int = 0
    dropped: int = 0
    last_fault: str = ""


class Recorder:
    """Records the expert's decisions, both sides' where the expert meets itself.

    Decisions of a single legal action are nobody's and not recorded, nor are choices that the simulator refused.

    Args:
        format: a singles format whose teams the simulator draws, such as ``gen1randombattle``.
        expert: the scripted player to record, one of `poke.envs.showdown.names.SCRIPTED`.
        opponents: scripted players to meet in turn; repeat one to meet it more often.
        seed: of everything.
        concurrency: battles at a time; changes speed only.
        num_workers: processes that play them; changes speed only.
        accelerate: as of `BattleWorkers`; changes speed only.

    Raises:
        ValueError: a player that does not exist, or a format that is not as above.
    """

    def __init__(
        self,
        *,
        format: str,
        expert: str,
        opponents: Sequence[str],
        seed: int,
        concurrency: int,
        num_workers: int = 1,
        accelerate: bool = True,
    ) -> None:
        unknown = [name for name in (expert, *opponents) if name not in SCRIPTED]
        if unknown:
            raise ValueError(f"no player {unknown[0]} (choose from {', '.join(SCRIPTED)})")
        self._generation = generation(format)
        self._format = format
        self._expert = expert
        self._opponents = list(opponents)
        self._seed = seed
        self._concurrency = concurrency
        self._num_workers = num_workers
        self._accelerate = accelerate
        self._stop_requested = False

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
            ShowdownError: the workers do not run, or lose one battle again and again.
        """
        with alone(Path(out)) as folder:
            store = Store(Path(out), folder, self._setup())
            progress = Progress(battles=store.num_battles)
            on_progress(progress)
            if store.num_battles < battles:
                self._play(battles, store, progress, on_progress)
            if store.num_battles < battles:
                return False
            store.finish()
            return True

    def stop(self) -> None:
        """Make `record` keep what is recorded and return; safe from signal handlers and threads."""
        self._stop_requested = True

    def _setup(self) -> dict[str, Any]:
        return {
            "observation": {"dtype": "int8", "shape": [layout.SIZE]},
            "action": {
                "kind": "discrete",
                "num_actions": layout.num_actions(self._generation),
            },
            "env": "showdown",
            "format": self._format,
            "expert": self._expert,
            "opponents": self._opponents,
            "seed": self._seed,
            "versions": {"pokemon-showdown": pinned_version()},
            "layout": layout.describe(self._generation),
        }

    def _play(
        self,
        battles: int,
        store: Store,
        progress: Progress,
        on_progress: Callable[[Progress], None],
    ) -> None:
        numbers = range(store.num_battles, battles)
        places = min(self._concurrency, len(numbers))
        workers = BattleWorkers(
            self._format,
            num_battles=places,
            num_workers=self._num_workers,
            accelerate=self._accelerate,
        )
        unplayed = iter(numbers)
        with workers, store:
            tables = [_Table(workers, place) for place in range(places)]
            for table in tables:
                table.begin(self._match(next(unplayed)))
            while not self._stop_requested and any(table.match for table in tables):
                # Those that are ready are answered while the others simulate.
                records = workers.exchange(wait_for_all=False)
                for record in records:
                    tables[record["battle"]].take(record)
                asked = records[records["flags"] & ASKED != 0]
                workers.choose(asked["battle"], asked["seat"], asked["advice"])
                progress.dropped = workers.num_lost
                for place in np.unique(records["battle"]).tolist():
                    recorded = tables[place].finish()
                    if recorded is None:
                        continue
                    store.add(recorded)
                    progress.battles += 1
                    progress.decisions += sum(len(side.actions) for side in recorded.sides)
                    on_progress(progress)
                    number = next(unplayed, None)
                    if number is not None:
                        tables[place].begin(self._match(number))

    def _match(self, number: int) -> _Match:
        turn, which = divmod(number, len(self._opponents))
        opponent, seat = self._opponents[which], turn % NUM_SEATS
        players, teachers = [opponent, opponent], ["", ""]
        for n in range(NUM_SEATS):
            if n == seat or opponent == self._expert:
                players[n], teachers[n] = "asked", self._expert
        return _Match(
            number,
            opponent,
            Start(
                battle=0,
                seed=battle_seeds(self._seed, number),
                players=(players[0], players[1]),
                teachers=(teachers[0], teachers[1]),
            ),
        )


@dataclass(frozen=True)
class _Match:
    """A battle to be recorded.

    Args:
        number: of the battle in the recording.
        opponent: who is met.
        start: all that decides it, at any place.
    """

    number: int
    opponent: str
    start: Start


class _Table:
    """A place of the workers where one battle after another is played."""

    def __init__(self, workers: BattleWorkers, place: int) -> None:
        self.match: _Match | None = None
        self._workers, self._place = workers, place
        self._sides: list[Side] = []
        self._ended = self._lost = 0  # seats
        self._tries = 0

    def begin(self, match: _Match) -> None:
        """Begin a battle, at the next exchange."""
        if match is not self.match:
            self._tries = 0
        self.match = match
        self._sides = [Side(n) for n in range(NUM_SEATS)]
        self._ended = self._lost = 0
        self._workers.begin([replace(match.start, battle=self._place)])

    def take(self, record: np.void) -> None:
        """Take note of what a worker told of a seat; an advice that comes is followed."""
        side, flags = self._sides[record["seat"]], int(record["flags"])
        self._lost += flags & LOST != 0
        if flags & ENDED:
            self._ended += 1
            side.outcome = int(record["outcome"])
        elif flags & ASKED:
            if flags & REFUSED:
                side.forget_last()
            side.add(record["observation"].copy(), int(record["mask"]), int(record["advice"]))

    def finish(self) -> RecordedBattle | None:
        """Return the battle once it has ended; one that was lost with its worker begins anew.

        Raises:
            ShowdownError: one was lost again and again.
        """
        match = self.match
        if match is None or not (self._ended or self._lost):
            return None
        if self._lost:
            self._tries += 1
            if self._tries == _TRIES:
                raise ShowdownError(f"battle {match.number} was lost {_TRIES} times: {match.start}")
            self.begin(match)
            return None
        self.match = None
        return RecordedBattle(match.number, match.opponent, [s for s in self._sides if s.actions])
