"""Record demonstrations: experts battle opponents in the workers, into one Parquet file.

Battle i is against opponent i modulo their number, the expert in either seat in turn; who of several experts plays it,
and all of its chances, come from the recording's seed and i: the file depends on nothing else, however often it was
interrupted, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from poke.envs.showdown import layout
from poke.envs.showdown.formats import generation
from poke.envs.showdown.installation import ShowdownError, pinned_version
from poke.envs.showdown.names import SCRIPTED, is_run
from poke.envs.showdown.pipes.records import (
    ASKED,
    ENDED,
    LOST,
    NUM_SEATS,
    Start,
    battle_seeds,
)
from poke.envs.showdown.pipes.workers import BattleWorkers
from poke.envs.showdown.recording.store import RecordedBattle, Side, Store, alone

if TYPE_CHECKING:
    from poke.envs.showdown.recording.agents import Mind, Policies

# 2^64 divided by the golden ratio, odd: the multiplier of Fibonacci hashing (Knuth, TAOCP 3, section 6.4).
_GOLDEN = 11400714819323198485
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
    """Records experts' decisions, both sides' where the opponent is an expert too, or where both are asked for.

    Decisions of a single legal action are nobody's and not recorded, nor are choices that the simulator refused.

    Args:
        format: a singles format whose teams the simulator draws, such as ``gen1randombattle``.
        experts: who is recorded, with shares of the battles: scripted players, see `poke.envs.showdown.names.SCRIPTED`,
            or places of runs, whose policies play what is most probable.
        opponents: likewise, to meet in turn; repeat one to meet it more often.
        seed: of everything.
        concurrency: battles at a time; changes speed only.
        both_sides: record opponents too.
        num_workers: processes that play them; changes speed only.
        accelerate: as of `BattleWorkers`; changes speed only.
        load: returns the policy of a run; needed where one plays.

    Raises:
        ValueError: a player that cannot play, or a format that is not as above.
    """

    def __init__(
        self,
        *,
        format: str,
        experts: Mapping[str, float],
        opponents: Sequence[str],
        seed: int,
        concurrency: int,
        both_sides: bool = False,
        num_workers: int = 1,
        accelerate: bool = True,
        load: Callable[[str], Any] | None = None,
    ) -> None:
        self._agents = list(dict.fromkeys([*experts, *opponents]))
        runs = [name for name in self._agents if is_run(name)]
        if runs and load is None:
            raise ValueError(f"no player {runs[0]} (choose from {', '.join(SCRIPTED)})")
        self._generation = generation(format)
        self._policies = _policies(runs, format, load) if runs and load is not None else None
        self._format = format
        self._experts = dict(experts)
        self._opponents = list(opponents)
        self._seed = seed
        self._concurrency = concurrency
        self._both_sides = both_sides
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
            "experts": self._experts,
            "opponents": self._opponents,
            "agents": self._agents,
            "both_sides": self._both_sides,
            "policies": {} if self._policies is None else self._policies.digests,
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
            tables = [_Table(workers, place, self._policies) for place in range(places)]
            for table in tables:
                table.begin(self._match(next(unplayed)))
            while not self._stop_requested and any(table.match for table in tables):
                # Those that are ready are answered while the others simulate.
                records = workers.exchange(wait_for_all=False)
                actions = [tables[record["battle"]].take(record) for record in records]
                is_asked = records["flags"] & ASKED != 0
                asked = records[["battle", "seat"]][is_asked]
                workers.choose(asked["battle"], asked["seat"], np.array(actions)[is_asked])
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
        expert, opponent = _drawn(self._experts, number), self._opponents[which]
        seat = turn % NUM_SEATS
        agents = (expert, opponent) if seat == 0 else (opponent, expert)
        recorded = tuple(
            n == seat or self._both_sides or opponent == expert for n in range(NUM_SEATS)
        )
        # Who is recorded or a policy is asked; of the worker's players it is told what they advise.
        is_asked = [recorded[n] or is_run(agents[n]) for n in range(NUM_SEATS)]
        players = ["asked" if is_asked[n] else agents[n] for n in range(NUM_SEATS)]
        teachers = [
            agents[n] if is_asked[n] and not is_run(agents[n]) else "" for n in range(NUM_SEATS)
        ]
        return _Match(
            number,
            agents,
            recorded,
            Start(
                battle=0,
                seed=battle_seeds(self._seed, number),
                players=(players[0], players[1]),
                teachers=(teachers[0], teachers[1]),
            ),
        )


def _policies(runs: Sequence[str], format: str, load: Callable[[str], Any]) -> Policies:
    from poke.envs.showdown.recording.agents import Policies

    return Policies(runs, format, load)


def _drawn(shares: Mapping[str, float], number: int) -> str:
    """Return who of several is it in battle `number`, so that any stretch of battles has the shares to within a few.

    Numbers times the golden ratio, modulo 1, fill the interval evenly; in 64-bit integers it is the same everywhere.
    """
    place = (number * _GOLDEN % 2**64) / 2**64 * sum(shares.values())
    for name, share in shares.items():
        place -= share
        if place < 0:
            return name
    return list(shares)[-1]


@dataclass(frozen=True)
class _Match:
    """A battle to be recorded.

    Args:
        number: of the battle in the recording.
        agents: who sits in either seat.
        recorded: whose decisions are kept, by seat.
        start: all that decides it, at any place.
    """

    number: int
    agents: tuple[str, str]
    recorded: tuple[bool, ...]
    start: Start


class _Table:
    """A place of the workers where one battle after another is played."""

    def __init__(self, workers: BattleWorkers, place: int, policies: Policies | None) -> None:
        self.match: _Match | None = None
        self._workers, self._place, self._policies = workers, place, policies
        self._sides: list[Side] = []
        self._minds: list[Mind | None] = []
        self._ended = self._lost = 0  # seats
        self._tries = 0

    def begin(self, match: _Match) -> None:
        """Begin a battle, at the next exchange."""
        if match is not self.match:
            self._tries = 0
        self.match = match
        self._sides = [Side(n, agent) for n, agent in enumerate(match.agents)]
        self._minds = [
            self._policies.mind(agent) if self._policies is not None and is_run(agent) else None
            for agent in match.agents
        ]
        self._ended = self._lost = 0
        self._workers.begin([replace(match.start, battle=self._place)])

    def take(self, record: np.void) -> int:
        """Take note of what a worker told of a seat, and return what is chosen there; -1 where nothing is asked."""
        seat, flags = int(record["seat"]), int(record["flags"])
        side = self._sides[seat]
        self._lost += flags & LOST != 0
        if not flags & LOST:
            side.hear_refused(int(record["refused"]))
        if flags & ENDED:
            self._ended += 1
            side.outcome = int(record["outcome"])
        if not flags & ASKED:
            return -1
        observation, mask, mind = (
            record["observation"].copy(),
            int(record["mask"]),
            self._minds[seat],
        )
        action = int(record["advice"]) if mind is None else mind.choose(observation, mask)
        if mask & (mask - 1):  # else it is what was left after a refusal
            side.add(observation, mask, action)
        return action

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
        sides = [side for side in self._sides if match.recorded[side.player]]
        return RecordedBattle(match.number, match.agents, sides)
