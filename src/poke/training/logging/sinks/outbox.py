"""Calls to a writer, made in order and as well as the writer lets them be made."""

from __future__ import annotations

import logging
import textwrap
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from poke.protocols import Writer

MAX_REASON_LENGTH = 240
MAX_WAITING_CALLS = 10_000
MAX_UNSETTLED_CALLS = 500
MAX_WAITING_BYTES = 1 << 26
FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS = 1.0, 60.0
_log = logging.getLogger("poke")


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A call that is to be made: a method, what it is given, and when that was, in seconds since the epoch."""

    method: str
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    time: float = field(default_factory=time.time)

    @property
    def is_row(self) -> bool:
        """Whether it writes metrics."""
        return self.method == "write"

    @property
    def size_bytes(self) -> int:
        """About what it holds in memory."""
        return sum(_size_bytes(argument) for argument in self.arguments)


class Outbox:
    """Calls to a writer that are yet to be made.

    A call that raises stays, those after it stay behind it, and it is tried again after 1, 2, 4, ... 60 seconds; that
    is said once. One whose successor works is at fault itself and is left out. Of too many that wait the oldest are
    dropped and counted. `put`, and what only looks, may be called while another thread is in `deliver`.

    Args:
        writer: what is called.
        name: its name, in messages.
        attempts: how often a call is tried before there is a pause.
        catches: what a call may raise and be tried again.
        settles: flush the writer once nothing waits, and count only that as written: what it was handed since counts
            as waiting, and `state` is what the writer's was then, so that nobody has to ask the writer for it.
        clock: returns seconds; never goes back.
    """

    def __init__(
        self,
        writer: Writer,
        name: str,
        *,
        attempts: int = 3,
        catches: type[BaseException] = Exception,
        settles: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state: Mapping[str, Any] | None = None  # the writer's last good one
        self.num_lost = 0  # rows, so far
        self.failures = 0  # in a row, each after its attempts
        self.busy_since: float | None = None  # when the call that is being made began
        self._writer = writer
        self._name = name
        self._attempts = attempts
        self._catches = catches
        self._settles = settles
        self._clock = clock
        self._due = 0.0
        self._calls: deque[Call] = deque()
        self._unsettled: list[Call] = []  # made since the last flush
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._told: set[str] = set()
        self._is_silent = False

    def __len__(self) -> int:
        return len(self._unsettled) + len(self._calls)

    @property
    def delay_seconds(self) -> float:
        """How long it is until the next try makes sense."""
        return max(0.0, self._due - self._clock())

    def put(self, call: Call) -> None:
        """Have a call made after all others."""
        with self._lock:
            self._calls.append(call)
            self._waiting_bytes += call.size_bytes
            while len(self._calls) > 2 and (
                len(self._calls) > MAX_WAITING_CALLS or self._waiting_bytes > MAX_WAITING_BYTES
            ):
                # The first may be on its way, and what restores a state goes before all rows.
                place = 2 if self._calls[1].method == "set_state" else 1
                self._drop(self._calls[place])

    def restore(self, state: Mapping[str, Any]) -> None:
        """Forget what waits: the writer is to be in a state of `saved`, and to write the rows that waited then."""
        rows = [
            Call("write", (dict(metrics), step, category), time=at)
            for step, category, at, metrics in state["waiting"]
        ]
        first = [Call("set_state", (state["writer"],))] if state["writer"] is not None else []
        with self._lock:
            self._calls = deque([*first, *rows])
            self._unsettled = []
            self._waiting_bytes = sum(call.size_bytes for call in self._calls)
            self.state = state["writer"]

    def saved(self) -> dict[str, Any]:
        """Return the writer's state, and the rows that it lacks, from one moment, as plain values."""
        with self._lock:
            state, calls = self.state, [*self._unsettled, *self._calls]
        rows = [
            [*call.arguments[1:], call.time, call.arguments[0]] for call in calls if call.is_row
        ]
        return {"writer": state, "waiting": rows}

    def remember(self) -> None:
        """Ask the writer for its state; where it has none, the last good one stands."""
        try:
            state = self._writer.get_state()
        except self._catches as error:
            message = "%s has no state to save, its last one is kept: %s"
            self.tell(logging.WARNING, "state", message, self._name, describe(error))
        else:
            self.state = state

    def hurry(self) -> None:
        """End the present pause."""
        self._due = 0.0

    def deliver(self, *, settling: bool = True) -> bool:
        """Make the calls that wait until one keeps raising, and return whether all were made.

        Args:
            settling: flush where that is to be done, before the return.
        """
        while True:
            with self._lock:
                call = self._calls[0] if self._calls else None
            if call is None or len(self._unsettled) >= MAX_UNSETTLED_CALLS:
                if self._unsettled and settling and not self._settle():
                    return False
                if call is None:
                    return True
            error = self._attempt(call, self._attempts)
            if error is not None:
                later = self._that_works_behind(call)
                error = self._attempt(call, 1) if later else error
                if error is not None and not later:
                    self.pause(error)
                    return False
            self._made(call, error)

    def close_writer(self, status: str) -> None:
        """Tell the writer how the run ended, where it can show that, and close it."""
        calls = [Call("log_end", (status,))] if hasattr(self._writer, "log_end") else []
        for call in [*calls, Call("close")]:
            error = self._attempt(call, 1)
            if error is not None and not self.failures:
                message = "%s could not be closed: %s"
                self.tell(logging.WARNING, "close", message, self._name, describe(error))

    def give_up(self, reason: str = "") -> None:
        """Forget what waits, say how many rows were lost in all, and nothing more from then on."""
        with self._lock:
            self.num_lost += sum(call.is_row for call in self._calls)
            self._calls.clear()
            self._waiting_bytes = 0
        if self.num_lost or reason:
            lost = f"lacks {self.num_lost} rows" if self.num_lost else "was not closed"
            why = f": {reason}" if reason else ""
            self.tell(logging.WARNING, "lost", "%s %s%s", self._name, lost, why)
        self._is_silent = True

    def tell(self, level: int, key: str, message: str, *arguments: Any) -> None:
        """Log a message: on the terminal the first with its key, in train.log the others too."""
        if not self._is_silent:
            _log.log(logging.DEBUG if key in self._told else level, message, *arguments)
            self._told.add(key)

    def _attempt(self, call: Call, attempts: int) -> BaseException | None:
        """Make a call, and return what it raised each time."""
        raised: BaseException | None = None
        for _ in range(attempts):
            self.busy_since = self._clock()
            try:
                if hasattr(self._writer, "row_time"):
                    self._writer.row_time = call.time
                getattr(self._writer, call.method)(*call.arguments, **call.options)
                return None
            except self._catches as error:
                raised = error
            finally:
                self.busy_since = None
        return raised

    def _that_works_behind(self, call: Call) -> bool:
        """Make a row that waits behind a call which does not work, and return whether that one did."""
        with self._lock:
            waiting = islice(self._calls, 1, None)
            later = next((other for other in waiting if other.is_row), None)
        is_new = (
            self.failures == 0
        )  # most are no fault of the call: to ask twice may take twice as long
        if (
            is_new
            or later is None
            or call.method == "set_state"
            or self._attempt(later, 1) is not None
        ):
            return False
        self._made(later, None)
        return True

    def _made(self, call: Call, error: BaseException | None) -> None:
        """Take a call out that was made, or is left out for its error."""
        with self._lock:
            if call in self._calls:  # unless it was dropped, or another state restored, meanwhile
                self._calls.remove(call)
                self._waiting_bytes -= call.size_bytes
                if self._settles:
                    self._unsettled.append(call)
        if error is not None:
            self.num_lost += call.is_row
            message = "%s leaves out a call of %s: %s"
            self.tell(
                logging.WARNING, call.method, message, self._name, call.method, describe(error)
            )
        if self.failures:
            self.failures = 0
            self.tell(logging.INFO, "works", "%s works again: what waited follows", self._name)

    def _settle(self) -> bool:
        """Have the writer bring into safety what it was handed."""
        handed = self._unsettled
        error = self._attempt(Call("flush"), 1)
        if error is not None:
            self.pause(error)
            return False
        state = None
        with suppress(self._catches):
            state = self._writer.get_state()
        with self._lock:
            if handed is self._unsettled:  # no other state was restored meanwhile
                self._unsettled = []
                self.state = state or self.state
        return True

    def pause(self, error: BaseException) -> None:
        """Try again later only, each time after a longer while."""
        self.failures += 1
        delay = min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(self.failures - 1, 10))
        self._due = self._clock() + delay
        if self.failures == 1:
            message = "%s does not work, training goes on and its rows wait in memory: %s"
            self.tell(
                logging.WARNING,
                "waits",
                message,
                self._name,
                textwrap.shorten(describe(error), MAX_REASON_LENGTH, placeholder=" ..."),
            )

    def _drop(self, call: Call) -> None:
        self._calls.remove(call)
        self._waiting_bytes -= call.size_bytes
        self.num_lost += call.is_row


def describe(error: BaseException) -> str:
    """Return an exception in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _size_bytes(argument: Any) -> int:
    if isinstance(argument, Mapping):
        return 100 * len(argument)
    return int(getattr(argument, "nbytes", 50))
