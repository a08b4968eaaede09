"""What a player sees of battles that are played elsewhere: lines and requests in, observations and choices out."""

from __future__ import annotations

import itertools
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from poke.envs.showdown import layout
from poke.envs.showdown.formats import generation, read_teams, refusal
from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.pipes.process import WorkerLost, WorkerProcess, first_settings
from poke.envs.showdown.pipes.records import unpack_masks

_HEAD = struct.Struct("<BBI")
_NONE = 0


class LineError(ValueError):
    """Lines that are no battle's, or a choice that is not asked for; the message is one line."""


@dataclass(frozen=True)
class LineDecision:
    """What a player has to choose.

    Args:
        observation: ``[layout.SIZE]`` int8; zeros at team preview.
        mask: ``[num_actions]`` bool: the legal actions; none at team preview.
        forced: the choice to send without asking anybody, where there is only one: the order of the team at its
            preview, a single legal action. Else empty.
        refused: the last choice was refused, and the mask has lost it.
    """

    observation: npt.NDArray[np.int8]
    mask: npt.NDArray[np.bool_]
    forced: str
    refused: bool


class LineWorker:
    """A process that follows battles by their lines, any number at a time; a context manager.

    Args:
        timeout_seconds: a worker that takes longer for an answer hangs; of its own processor time, as of
            `WorkerProcess.expect`.

    Raises:
        ShowdownError: node or the package is missing; later: the worker has died, or hangs.
    """

    def __init__(self, timeout_seconds: float = 60.0) -> None:
        self.timeout_seconds = timeout_seconds
        self._numbers = itertools.count()
        self._process = WorkerProcess(first_settings({"mode": "lines"}, generation=9))

    def __enter__(self) -> LineWorker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def close(self) -> None:
        """End the process; may be called twice."""
        self._process.close()

    def follow(
        self, battle_format: str, player: str, requests_first: bool | None = None
    ) -> LineTracker:
        """Return a tracker of a battle that has yet to begin.

        Args:
            battle_format: such as ``gen1randombattle``, or a generation alone: ``gen1``.
            player: who looks: ``p1`` or ``p2``.
            requests_first: whether requests come before the lines of their update; None where the first one shows it.

        Raises:
            FormatError: the format is not played.
        """
        if player not in ("p1", "p2"):
            raise ValueError(f"player is {player}, not p1 or p2")
        number = next(self._numbers)
        settings = {
            "battle": number,
            "format": battle_format,
            "player": player,
            "requestsFirst": requests_first,
        }
        of = int(json.loads(self._ask(b"O", settings))["generation"])
        return LineTracker(self, number, of)

    def teams(self, battle_format: str, teams: str | Path | None) -> list[str]:
        """Return packed teams for a format, as servers take them; none where the format draws its own.

        Args:
            battle_format: such as ``gen1ou``.
            teams: a file of teams in Showdown's export or packed format; None without one.

        Raises:
            FormatError: the format is not played, is played with another number of files of teams than this, or the
                teams are not valid in it.
        """
        generation(battle_format)  # refuses what is no singles format in its own words
        file = None if teams is None else read_teams(teams)
        return list(json.loads(self._ask(b"T", {"format": battle_format, "teams": file})))

    def _ask(self, kind: bytes, question: dict[str, Any]) -> bytearray:
        self._process.send(kind, json.dumps(question).encode())
        try:
            said, payload = self._process.answer(self.timeout_seconds)
            return self._answer(kind, said, payload)
        except WorkerLost as error:
            self._process.kill()
            raise ShowdownError(f"the worker that reads battles {error}") from None

    def _answer(self, asked: bytes, said: bytes, payload: bytearray) -> bytearray:
        if said == asked:
            return payload
        if said != b"E":
            raise WorkerLost("wrote garbage")
        error = json.loads(payload)
        raise refusal(error) if error["refused"] else LineError(error["message"])


class LineTracker:
    """One player's view of one battle: of `LineWorker.follow`.

    Feed it all lines of the player's channel, `|request|` and `|error|` lines included, in the order in which a server
    sends them; then ask for the decision.
    """

    def __init__(self, worker: LineWorker, number: int, generation: int) -> None:
        self.generation = generation
        self.num_actions = layout.num_actions(generation)
        self._worker, self._number = worker, number
        self._lines: list[str] = []  # read at the next question: one trip for all of them

    def read(self, line: str) -> None:
        """Take a line of the protocol, with or without its end of line."""
        self._lines.append(line.rstrip("\r\n"))

    def decision(self) -> LineDecision | None:
        """Return what has to be chosen now, or None.

        Call it when the lines of an update and the request that belongs to it have both been read: a server may send
        either first.

        Raises:
            LineError: the lines are no battle's.
        """
        answer = self._ask(b"D")
        state, refused, mask = _HEAD.unpack_from(answer)
        if state == _NONE:
            return None
        observation = np.frombuffer(answer, np.int8, layout.SIZE, _HEAD.size)
        forced = answer[_HEAD.size + layout.SIZE :].decode()
        masks = unpack_masks(np.array(mask, np.uint32), self.num_actions)
        return LineDecision(observation, masks, forced, bool(refused))

    def choice(self, action: int) -> str:
        """Return an action as a server takes it, such as ``move 2 mega``: it is what will have been chosen.

        Raises:
            LineError: nothing is to be chosen, or not this; the lines are no battle's.
        """
        return str(json.loads(self._ask(b"C", action=int(action))))

    def advice(self, player: str) -> int:
        """Return the action that a scripted player would choose now: for who has no time to choose.

        Args:
            player: ``random``, ``max_base_power`` or ``simple_heuristics``.

        Raises:
            LineError: nothing is to be chosen but the order of a team; the lines are no battle's.
        """
        return int(json.loads(self._ask(b"P", player=player)))

    def _ask(self, kind: bytes, **question: Any) -> bytearray:
        lines, self._lines = self._lines, []
        return self._worker._ask(kind, {"battle": self._number, "lines": lines, **question})

    def close(self) -> None:
        """Forget the battle."""
        self._worker._process.send(b"X", json.dumps({"battle": self._number}).encode())
