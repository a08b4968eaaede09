"""Many battles at a time in a few node processes: the real simulator, no server, no sockets."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from poke.envs.showdown.formats import generation, read_teams, refusal
from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.pipes.process import WorkerLost, WorkerProcess, first_settings, wait
from poke.envs.showdown.pipes.records import (
    ASKED,
    ENDED,
    LOST,
    NUM_SEATS,
    RECORD,
    REFUSED,
    Seeds,
    Start,
    battle_seeds,
    unpack_masks,
)

__all__ = [
    "ASKED",
    "ENDED",
    "LOST",
    "RECORD",
    "REFUSED",
    "BattleWorkers",
    "Seeds",
    "Start",
    "battle_seeds",
    "unpack_masks",
]

_NO_ACTION = 255
_START_SECONDS = 60.0
_MAX_BATTLES = 1 << 16

_logger = logging.getLogger(__name__)


class _Worker:
    """A process and the battles that it plays: ``first`` and the `count - 1` after it."""

    def __init__(self, number: int, first: int, count: int) -> None:
        self.number, self.first, self.count = number, first, count
        self.process: WorkerProcess | None = None
        self.greeted = False  # it has said that it is ready
        self.owes = False  # an answer

    @property
    def battles(self) -> slice:
        return slice(self.first, self.first + self.count)

    def plays(self, battle: int) -> bool:
        return self.first <= battle < self.first + self.count


class BattleWorkers:
    """Battles of one format, played by a number of processes; a context manager.

    Begin battles, then exchange: every record with `ASKED` wants a `choose` of its seat before the battle moves on,
    one with `ENDED` is a seat's outcome, one with `LOST` a battle that will never end. Both seats are said to have
    ended, or to be lost. A choice that the simulator refuses (a hidden trap) asks the same decision again, with
    `REFUSED` and a smaller mask. `RECORD` has the fields of a record.

    Attributes:
        players: names that a start's players may have.
        num_lost: battles lost so far.
        num_replaced: workers replaced so far.

    Args:
        battle_format: such as ``gen1randombattle``.
        num_battles: places for battles, at most 65,536.
        num_workers: processes, at most one a battle.
        accelerate: replace the simulator's hot functions by faster ones that do exactly the same.
        teams: file of teams in Showdown's export or packed format, for formats that want them.
        timeout_seconds: a worker that takes longer for its answer hangs; of its own processor time, as of
            `WorkerProcess.expect`.

    Raises:
        FormatError: the format is not played, or the teams are not valid in it.
        ShowdownError: node or the package is missing, or a worker does not start.
    """

    def __init__(
        self,
        battle_format: str,
        *,
        num_battles: int,
        num_workers: int,
        accelerate: bool = True,
        teams: str | Path | None = None,
        timeout_seconds: float = 60.0,
    ) -> None:
        if not 0 < num_battles <= _MAX_BATTLES:
            raise ValueError(f"num_battles is {num_battles}, not 1 to {_MAX_BATTLES}")
        if num_workers < 1:
            raise ValueError(f"num_workers is {num_workers}, not 1 or more")
        self.battle_format, self.num_battles = battle_format, num_battles
        self.timeout_seconds = timeout_seconds
        self.generation = generation(battle_format)
        self.players: tuple[str, ...] = ()
        self.num_lost = 0
        self.num_replaced = 0
        self._settings = _settings(battle_format, accelerate, teams)
        self._starts: list[Start | None] = [None] * num_battles
        self._logs: list[list[tuple[int, int]]] = [[] for _ in range(num_battles)]
        self._running = np.zeros(num_battles, bool)
        self._masks = np.zeros((num_battles, NUM_SEATS), np.uint32)  # 0: not asked
        self._actions = np.full((num_battles, NUM_SEATS), _NO_ACTION, np.uint8)
        self._begun: set[int] = set()
        self._said: set[str] = set()
        bounds = np.linspace(0, num_battles, min(num_workers, num_battles) + 1).astype(int).tolist()
        self._workers = [
            _Worker(i, first, end - first) for i, (first, end) in enumerate(pairwise(bounds))
        ]
        try:
            for worker in self._workers:
                self._launch(worker)
            for worker in self._workers:
                self._greet(worker)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> BattleWorkers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """The workers' processes."""
        return [worker.process.pid for worker in self._workers if worker.process]

    def begin(self, starts: Iterable[Start]) -> None:
        """Queue battles to begin at the next exchange; what is played in their places is forgotten.

        Raises:
            ValueError: there is no such place, or no such player.
        """
        for start in starts:
            battle = start.battle
            if not 0 <= battle < self.num_battles:
                raise ValueError(f"battle {battle} has no place: there are {self.num_battles}")
            for name in (*start.players, *filter(None, start.teachers)):
                if name not in self.players:
                    raise ValueError(f"player {name} is unknown: {', '.join(self.players)}")
            self._starts[battle] = start
            self._logs[battle] = list(start.replay)
            self._running[battle] = True
            self._masks[battle] = 0
            self._actions[battle] = _NO_ACTION
            self._begun.add(battle)

    def choose(self, battle: npt.ArrayLike, seat: npt.ArrayLike, action: npt.ArrayLike) -> None:
        """Queue choices of seats that were asked, for the next exchange.

        Args:
            battle: one number, or an array of them.
            seat: as many, 0 or 1 each.
            action: as many, the bit of the mask each.

        Raises:
            ValueError: a seat was not asked, or may not choose this.
        """
        battles, seats = np.atleast_1d(battle), np.atleast_1d(seat)
        actions = np.atleast_1d(action).astype(np.int64)
        legal = self._masks[battles, seats] >> (actions & 31).astype(np.uint32) & 1
        for i in np.flatnonzero((legal == 0) | (actions < 0) | (actions > 31)).tolist():
            mask = int(self._masks[battles[i], seats[i]])
            why = f"action {actions[i]} is not legal (mask {mask:#x})" if mask else "is not asked"
            raise ValueError(f"battle {battles[i]}, seat {seats[i]}: {why}")
        self._masks[battles, seats] = 0
        self._actions[battles, seats] = actions
        for b, s, a in zip(battles.tolist(), seats.tolist(), actions.tolist(), strict=True):
            self._logs[b].append((s, a))

    def state_of(self, battle: int) -> Start:
        """Return what begins a battle again where it is now: its start and the choices so far."""
        start = self._starts[battle]
        if start is None:
            raise ValueError(f"battle {battle} has not begun")
        return replace(start, replay=tuple(self._logs[battle]))

    def exchange(self, *, wait_for_all: bool = True) -> npt.NDArray[Any]:
        """Send what is queued, and return records of the seats that moved.

        Args:
            wait_for_all: wait for every worker that has something to do; else for the first that has done it, so that
                the others simulate while the caller thinks.

        Returns:
            Records of type `RECORD`, in order of battle and seat where all are waited for.

        Raises:
            ShowdownError: a worker is to be replaced, and another one does not start.
        """
        for worker in self._workers:
            self._send(worker)
        waiting = [worker for worker in self._workers if worker.owes]
        records: dict[int, list[npt.NDArray[Any]]] = {}
        while waiting and (wait_for_all or not records):
            for worker in self._await(waiting):
                if arrived := self._receive(worker):
                    records[worker.number] = arrived
            waiting = [worker for worker in waiting if worker.owes]
        # Workers have their battles in order, and so tell of them: nothing is left to sort.
        ordered = [array for number in sorted(records) for array in records[number]]
        if len(ordered) == 1:
            return ordered[0]
        return np.concatenate([np.empty(0, RECORD), *ordered])

    def close(self) -> None:
        """End the workers; may be called twice."""
        for worker in self._workers:
            if worker.process is not None:
                worker.process.close()
                worker.process = None

    def _launch(self, worker: _Worker) -> None:
        worker.process = WorkerProcess({**self._settings, "num_battles": worker.count})
        worker.greeted = False
        worker.process.expect(_START_SECONDS)
        worker.owes = True

    def _greet(self, worker: _Worker) -> None:
        while not worker.greeted:
            for one in self._await([worker]):
                self._receive(one)
        worker.owes = False

    def _send(self, worker: _Worker) -> None:
        assert worker.process is not None, "the workers are closed"
        if worker.owes:  # it still has something to do
            return
        actions = self._actions[worker.battles]
        begun = sorted(battle for battle in self._begun if worker.plays(battle))
        if not begun and (actions == _NO_ACTION).all():
            return
        if begun:
            starts = [{**asdict(self.state_of(b)), "battle": b - worker.first} for b in begun]
            worker.process.send(b"B", json.dumps(starts).encode())
            self._begun.difference_update(begun)
        worker.process.send(b"A", actions.tobytes())
        actions[:] = _NO_ACTION
        worker.process.expect(self.timeout_seconds if worker.greeted else _START_SECONDS)
        worker.owes = True

    def _await(self, waiting: list[_Worker]) -> list[_Worker]:
        """Return the workers that have something to say, or that hang."""
        processes = [worker.process for worker in waiting if worker.process]
        ready = wait(processes, min(process.deadline for process in processes))
        return [w for w in waiting if w.process and (w.process in ready or w.process.hangs())]

    def _receive(self, worker: _Worker) -> list[npt.NDArray[Any]]:
        """Return the records that have arrived from a worker: those of its battles, lost, if it is lost."""
        assert worker.process is not None
        arrived = []
        try:
            for kind, payload in worker.process.frames():
                if kind == b"H":
                    self._greeted(worker, json.loads(payload))
                elif kind == b"N":
                    raise refusal(json.loads(payload))
                elif kind == b"E":
                    self._report_error(worker, json.loads(payload))
                elif kind == b"R" and len(payload) % RECORD.itemsize == 0:
                    arrived.append(self._note(worker, np.frombuffer(payload, RECORD)))
                    worker.owes = False
                else:
                    raise WorkerLost("wrote garbage")
            if worker.owes and worker.process.hangs():
                raise WorkerLost(f"did not answer for {self.timeout_seconds:g} seconds")
        except (WorkerLost, json.JSONDecodeError) as error:
            why = str(error) if isinstance(error, WorkerLost) else "wrote garbage"
            arrived.append(self._replace(worker, why))
        return arrived

    def _greeted(self, worker: _Worker, hello: dict[str, Any]) -> None:
        worker.greeted = True
        self.players = tuple(hello["players"])
        for note in hello["notes"]:
            self._say_once(note)

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            _logger.warning("%s", line)

    def _note(self, worker: _Worker, records: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Take from a worker's records who is asked, and number its battles as ours."""
        if len(records) and (records["battle"].max() >= worker.count or records["seat"].max() > 1):
            raise WorkerLost("wrote garbage")
        records["battle"] += worker.first
        asked = records["flags"] & ASKED != 0
        self._masks[records["battle"], records["seat"]] = np.where(asked, records["mask"], 0)
        self._running[records["battle"][records["flags"] & (ENDED | LOST) != 0]] = False
        return records

    def _report_error(self, worker: _Worker, error: dict[str, Any]) -> None:
        self.num_lost += 1
        battle, message = worker.first + error["battle"], error["message"].splitlines()
        where = f" ({message[1].strip()})" if len(message) > 1 else ""
        if message[0] not in self._said:  # once a kind: `num_lost` counts the others
            self._said.add(message[0])
            _logger.warning("battle %d is lost: %s%s", battle, message[0], where)

    def _replace(self, worker: _Worker, why: str) -> npt.NDArray[Any]:
        """Start another process in a lost one's place, and return records of its battles, all lost."""
        assert worker.process is not None
        worker.process.kill()
        worker.process.close()
        if not worker.greeted:
            raise ShowdownError(f"a battle worker did not start: it {why}")
        lost = worker.first + np.flatnonzero(self._running[worker.battles])
        _logger.warning(
            "battle worker %d %s: it is replaced, %d battles are lost",
            worker.number, why, len(lost),
        )  # fmt: skip
        self.num_lost += len(lost)
        self.num_replaced += 1
        self._launch(worker)
        worker.owes = False  # nothing is asked of it yet
        self._running[worker.battles] = False
        self._masks[worker.battles] = 0
        self._actions[worker.battles] = _NO_ACTION
        records = np.zeros(len(lost) * NUM_SEATS, RECORD)
        records["battle"] = np.repeat(lost, NUM_SEATS)
        records["seat"] = np.tile(np.arange(NUM_SEATS), len(lost))
        records["flags"] = LOST
        return records


def _settings(battle_format: str, accelerate: bool, teams: str | Path | None) -> dict[str, Any]:
    settings: dict[str, Any] = {"mode": "battles", "format": battle_format}
    settings["accelerate"] = accelerate
    settings["teams"] = None if teams is None else read_teams(teams)
    return first_settings(settings, generation(battle_format))
