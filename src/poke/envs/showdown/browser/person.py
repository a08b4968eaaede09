"""A person who plays by clicks, as a policy: asked like one, in a thread that waits for the click."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from poke.envs.showdown.browser.board import Board
from poke.envs.showdown.browser.preview import preview
from poke.envs.showdown.pipes.lines import LineDecision
from poke.envs.showdown.watching.chronicle import Chronicle, Moment
from poke.envs.showdown.watching.scenes import scene, spelled
from poke.envs.showdown.watching.words import narrated, visible


class GivenUp(Exception):
    """The person plays on no longer."""


class Sight(Chronicle):
    """What a person is told of a battle: a chronicle that also keeps what was asked last, and why a choice was refused.

    Attributes:
        request: the last one.
        refusal: what the server said of the last choice; '' where it took it.
    """

    request: dict[str, Any]
    refusal: str

    def __init__(self, battle_format: str, player: str) -> None:
        super().__init__(battle_format, player)
        self.request, self.refusal = {}, ""

    def line(self, line: str) -> None:
        """Take a line of the protocol as this player was sent it, requests and refusals included."""
        if line.startswith("|request|") and len(line) > len("|request|"):
            self.request = json.loads(line.removeprefix("|request|")) or {}
        elif line.startswith("|error|"):
            self.refusal = visible(line.removeprefix("|error|").partition("] ")[2])
        super().line(line)


class Person:
    """Shows each decision on a board, and waits for a click. One battle at a time; any thread may click.

    Args:
        board: what the person looks at.
        opponent: how the other is called there.
    """

    def __init__(self, board: Board, opponent: str) -> None:
        self._board = board
        self._opponent = opponent
        self._changed = threading.Condition()
        self._number = 0  # of the decision that is asked, over all battles
        self._clicked: tuple[int, ...] | None = None
        self._most = 0  # that may be chosen at once
        self._has_given_up = False
        self._sight: Sight | None = None
        self._scene: dict[str, Any] | None = None

    def begin(self) -> None:
        """Take note that a battle is to begin."""
        with self._changed:
            self._sight, self._scene, self._has_given_up = None, None, False
        self._post("starting")

    def watch(self, battle_format: str, player: str) -> Chronicle:
        """Return what is to be told of the battle that begins."""
        self._sight = Sight(battle_format, player)
        self._sight.on_change = lambda _: self._post("waiting")
        return self._sight

    def initial_state(self) -> None:
        """Return None: what a person remembers is no concern of poke's."""

    def act(
        self,
        observation: np.ndarray,
        *,
        action_mask: np.ndarray,
        state: Any,
        return_info: bool = True,
    ) -> tuple[int, dict[str, Any]]:
        """Wait for the click that chooses one of the legal actions; what the person thought is not told.

        Raises:
            GivenUp: the person, or who ends the game, has given the battle up.
        """
        assert self._sight is not None
        decision = LineDecision(observation, action_mask, "", bool(self._sight.refusal))
        drawn = scene(Moment(decision, None, None, "", len(self._sight.lines)))
        with_details(drawn, self._sight.request)
        return self._ask("choose", drawn, most=1)[0], {}

    def order(self) -> str:
        """Wait for the clicks that order the team at its preview, the lead first; return it as a server takes it.

        Raises:
            GivenUp: as of `act`.
        """
        assert self._sight is not None
        drawn = preview(self._sight.request, self._sight.lines, self._sight.player)
        places = self._ask("order", drawn, most=drawn["most"])
        return "team " + ",".join(str(place + 1) for place in places)

    def choose(self, number: int, actions: Sequence[int]) -> None:
        """Choose at a decision; a click that comes late or does not fit changes nothing.

        Args:
            number: of the decision, as the board has it.
            actions: the one chosen; at a preview the places of the team in their new order, as many as matter.
        """
        with self._changed:
            options = self._scene["options"] if self._scene else ()
            legal = {option["action"] for option in options}
            fits = 1 <= len(set(actions)) == len(actions) <= self._most and legal >= set(actions)
            if number == self._number and fits and self._clicked is None:
                self._clicked = tuple(actions)
                self._changed.notify_all()

    def give_up(self) -> None:
        """Play the battle no further."""
        with self._changed:
            self._has_given_up = True
            self._changed.notify_all()

    def end(self, thoughts: int | None, note: str) -> None:
        """Show that the battle is over.

        Args:
            thoughts: number of the page of what the agent thought; None where there is none.
            note: what else is to be said.
        """
        self._post("over", thoughts=thoughts, note=note)

    def _ask(self, phase: str, drawn: dict[str, Any], *, most: int) -> tuple[int, ...]:
        assert self._sight is not None
        with self._changed:
            self._scene, self._most, self._clicked = drawn, most, None
            self._number += 1
        self._post(phase, options=drawn["options"], most=most, refusal=self._sight.refusal)
        self._sight.refusal = ""
        with self._changed:
            self._changed.wait_for(lambda: self._clicked is not None or self._has_given_up)
            if self._has_given_up:
                raise GivenUp("the battle was given up")
            assert self._clicked is not None
            return self._clicked

    def _post(self, phase: str, **more: Any) -> None:
        sight = self._sight
        log, _, turns = narrated(sight.lines, sight.player) if sight is not None else ([], [0], [0])
        state = {
            "phase": phase,
            "number": self._number,
            "names": ["You", self._opponent],
            "format": "" if sight is None else sight.battle_format,
            "turn": turns[-1],
            "log": log,
            "scene": self._scene,
            "outcome": None if sight is None else sight.outcome,
            "thoughts": None,
            "options": [],
            "most": 0,
            "refusal": "",
            "note": "",
        }
        self._board.post(state | more)


def with_details(drawn: dict[str, Any], request: dict[str, Any]) -> None:
    """Add to a person's scene what its own request tells more exactly.

    HP of the own team, PP, what a gimmick makes of a move.

    Args:
        drawn: of `scene`; each option gains a ``detail`` and a ``type``.
        request: of the same decision.
    """
    team = request.get("side", {}).get("pokemon", [])
    active = (request.get("active") or [{}])[0]
    maxed = active.get("maxMoves", {}).get("maxMoves", [])
    for option in drawn["options"]:
        option |= {"detail": "", "type": ""}
        slot = option["action"]
        if option["kind"] == "switch":
            condition = team[slot]["condition"] if slot < len(team) else ""
            option["detail"] = condition.partition(" ")[0]
            continue
        slot = (slot - 6) % 4
        moves: list[dict[str, Any]] = next(
            (one["moves"] for one in drawn["own"] if one["active"]), []
        )
        option["type"] = moves[slot]["type"] if slot < len(moves) else ""
        asked = active.get("moves", [])
        asked = asked[slot] if slot < len(asked) else {}
        if "pp" in asked:
            option["detail"] = f"{asked['pp']}/{asked['maxpp']} PP"
        z_moves = active.get("canZMove") or []
        if option["kind"] == "z_move" and slot < len(z_moves) and z_moves[slot]:
            option["label"] = z_moves[slot]["move"]
        elif option["kind"] == "mega" and active.get("canUltraBurst"):
            option["verb"] = "Ultra Burst"
        elif slot < len(maxed) and (option["kind"] == "dynamax" or not active.get("canDynamax")):
            option["label"] = spelled("move", maxed[slot]["move"])  # also while it is dynamaxed
