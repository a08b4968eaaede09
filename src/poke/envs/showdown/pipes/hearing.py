"""When a player is to decide: a battle's lines and requests come in the order in which the server sends them."""

from __future__ import annotations

from poke.envs.showdown.pipes.lines import LineDecision, LineError, LineTracker

# Of what happens in battle; minor lines begin with a hyphen.
_HAPPENS = {"cant", "drag", "faint", "move", "start", "switch", "teampreview", "turn", "upkeep"}


class Hearing:
    """Hands a player's channel to a tracker, and asks it for the decision when that is due.

    A decision is due when both a request and the lines of its update are there. Servers send either first, always the
    same: which it is shows in the beginning. Where requests come first, an update's lines end where the next update or
    request begins, or, where one is told, with the message.

    Attributes:
        request: the last one as sent, JSON; empty before the first.
        turn: the number of the turn begun last.
        result: the battle's last line, ``|win|NAME`` or ``|tie``; empty until then.
        requests_first: whether a request comes before the lines of its update; None until that shows.

    Args:
        tracker: of this player and battle.
        requests_first: whether they do, where that is known from hearing the battle before: what comes first now is
            its whole log, and then the request that stands. None where the battle begins.
    """

    def __init__(self, tracker: LineTracker, requests_first: bool | None = None) -> None:
        self.request = ""
        self.turn = 0
        self.result = ""
        self._tracker = tracker
        self.requests_first = requests_first
        self._is_log = requests_first is not None
        self._is_due = False
        self._has_lines = False  # that the last request belongs to
        # The request to come is the last one as it is now known: no lines belong to it.
        self._is_update = False

    def read(self, line: str) -> LineDecision | None:
        """Take a line, and return the decision that was due before it, or is now.

        Raises:
            LineError: the lines are no battle's.
        """
        kind, _, rest = line.removeprefix("|").rstrip().partition("|")
        if kind == "request":
            return self._read_request(line, rest)
        decision = self.pause() if kind == "t:" else None  # every update begins with the time
        if kind in _HAPPENS or kind.startswith("-"):
            self._has_lines = True
        if kind == "turn":
            if not rest.isdecimal():
                raise LineError(f"cannot read the line '{line.rstrip()[:80]}': it has no number")
            self.turn = int(rest)
        elif kind in ("win", "tie"):
            self.result, self._is_due = line.rstrip(), False
        elif kind == "error" and rest.startswith("[Unavailable choice]"):
            self._is_update = True
        self._tracker.read(line)
        return decision

    def pause(self) -> LineDecision | None:
        """Return the decision that is due if no further lines belong to the last request: at a message's end."""
        if not (self._is_due and self._has_lines):
            return None
        self._is_due = False
        return self._tracker.decision()

    def _read_request(self, line: str, request: str) -> LineDecision | None:
        if not request:  # some servers say at first that there is none
            return None
        if self.requests_first is None:
            self.requests_first = not self._has_lines
        before = self.pause()
        self.request = request
        self._tracker.read(line)
        self._is_due = True
        self._has_lines = not self.requests_first or self._is_update or self._is_log
        is_due_now = not self.requests_first or self._is_log
        self._is_update = self._is_log = False
        return before or (self.pause() if is_due_now else None)
