"""MetricsLogger: takes metrics at every step and decides when each sink is told of them.

Not thread-safe: one thread logs. Imports no torch and no sink's library.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self

from poke.protocols import Writer
from poke.training.logging import exits
from poke.training.logging.arrays import read_pixels, read_samples
from poke.training.logging.naming import Naming, printable
from poke.training.logging.sinks.delivery import Delivery, Probe
from poke.training.logging.sinks.outbox import describe
from poke.training.logging.values import ELSEWHERE, Kind, fetch, read_row, whole_step
from poke.training.logging.windows import (
    REDUCTIONS,
    Conflict,
    Stream,
    checked_frequency,
    finish,
    fold_rows,
)

STATE_VERSION = 2
STATUSES = ("finished", "failed", "interrupted")
_, _TENSORS, _MIXED = Kind  # a global is found faster than an attribute


class MetricsLogger:
    """Sums metrics up over windows of steps and writes each sink's rows at that sink's frequency.

    Args:
        console: told of windows of `cli_frequency` steps, or None.
        backends: told of windows of `backend_frequency` steps.
        cli_frequency: steps between console rows; 0 or None: the console is told nothing.
        backend_frequency: steps between rows of every backend; 0 or None: they are told nothing.
        event_categories: categories without windows: every call is one row at once, on every sink.
        reduce: patterns of `category/name` or name to mean, last, sum, min, max or count; the first
            that fits decides, and the mean where none does.
        strict: two values for one (category, name, step) raise, instead of being warned of and
            counted in `num_conflicts`.
        close_seconds: how long `close` waits for the backends that write in the background, all together.
        rank: this process's rank, by default the environment's RANK; ranks other than 0 take
            everything and write nothing.

    Raises:
        ValueError: a negative frequency or an unknown reduction.
    """

    def __init__(
        self,
        *,
        console: Writer | None = None,
        backends: Sequence[Writer] = (),
        cli_frequency: int | None = 1000,
        backend_frequency: int | None = 100,
        event_categories: Sequence[str] = ("val", "eval"),
        reduce: Mapping[str, str] | None = None,
        strict: bool = False,
        close_seconds: float = 30,
        rank: int | None = None,
    ) -> None:
        self._reduce = dict(reduce or {})
        for pattern, how in self._reduce.items():
            if how not in REDUCTIONS:
                choices = ", ".join(REDUCTIONS)
                raise ValueError(f"reduce['{pattern}'] must be one of {choices}, not {how!r}")
        every = {
            "console": checked_frequency("cli_frequency", cli_frequency),
            "backend": checked_frequency("backend_frequency", backend_frequency),
        }
        rank = int(os.environ.get("RANK", "0")) if rank is None else rank
        self._delivery = Delivery(
            {
                "console": [console] if console and every["console"] and rank == 0 else [],
                "backend": list(backends) if every["backend"] and rank == 0 else [],
            }
        )
        self._frequencies = {window: every[window] for window in self._delivery.windows}
        self._event_categories = frozenset(event_categories)
        self._strict = strict
        self._close_seconds = close_seconds
        self.num_conflicts = 0  # times one (category, name, step) was given two values
        self._streams: dict[str, Stream] = {}
        self._events: dict[str, Stream] = {}
        self._closed = False
        self._first_write = True
        self._sigterm = exits.TerminationGuard()
        exits.keep(self)

    @property
    def nonfinite(self) -> Sequence[str]:
        """Full names of the metrics that were NaN or infinite, in the order in which that was met."""
        return self._delivery.nonfinite

    def log(self, metrics: Mapping[str, Any], step: int, category: str = "train") -> None:
        """Take one step's metrics; may be called several times a step.

        Args:
            metrics: names to bools, ints, floats, numpy scalars, one-element tensors, and mappings of
                these. A value of any other kind is skipped, which is said once a name.
            step: the step they belong to; never less than the category's last.
            category: the metrics' category.

        Raises:
            ValueError: the step is no non-negative int or goes back; the category is empty or holds a
                `/`; or, when strict, a name gets a second value for its step.
            RuntimeError: the logger is closed.
        """
        stream = self._streams.get(category)
        # Fast path: a dict with the keys of the last one, of python numbers or of CPU tensors alone, at a later step.
        # What nearly every call is takes none of the turns of `_log_closely`, which does the same for every other.
        if (
            stream is not None
            and stream.kind is not _MIXED
            and type(metrics) is dict
            and type(step) is int
        ):
            try:
                row = stream.pick(metrics)
                if stream.kind is _TENSORS:
                    row = tuple([v.item() if v.is_cpu else ELSEWHERE for v in row])
                kind = type(sum(row))
            except Exception:
                kind = None
            if (kind is float or kind is int) and len(row) == len(metrics) and step > stream.step:
                if step >= stream.wake:
                    self._turn(stream, step, category)
                stream.step = step
                stream.current = row
                rows = stream.rows
                rows.append(row)
                if len(rows) >= stream.full:
                    stream.fold_full()
                return
        self._log_closely(metrics, step, category)

    def _log_closely(self, metrics: Any, step: int, category: str) -> None:
        """Take one step's metrics, whatever they are."""
        stream = self._streams.get(category)
        if stream is None:
            stream = self._open_stream(category)
            if stream is None:
                self._log_event(metrics, step, category)
                return
        step = whole_step(step)
        row, stream.kind, held = read_row(metrics, stream.naming.refuse)
        if step > stream.step:
            if step >= stream.wake:
                self._turn(stream, step, category)
            stream.step = step
            stream.current = row
        else:
            self._log_again(row, step, stream, category)
        if row and not held and type(metrics) is dict and stream.kind is not _MIXED:
            stream.rows.append(stream.follow(row))
        else:
            stream.add(row)
        if held:
            stream.held = True
        if len(stream.rows) >= stream.full:
            stream.fold_full()

    def log_config(self, config: Mapping[str, Any]) -> None:
        """Hand the resolved config, plain containers, to the sinks that can show it."""
        self._check_open()
        self._delivery.offer("backend", "log_config", config)

    def log_histogram(self, name: str, values: Any, step: int, category: str = "train") -> None:
        """Show the distribution of values, an array or tensor of any shape, on the sinks that can."""
        self._show("log_histogram", name, partial(read_samples, values), step, category)

    def log_image(self, name: str, image: Any, step: int, category: str = "train") -> None:
        """Show a picture on the sinks that can.

        Args:
            name: its name within the category.
            image: `[height, width]` or `[height, width, 1, 3 or 4]`, uint8 or floats from 0 to 1.
            step: the step it belongs to.
            category: its category.
        """
        self._show("log_image", name, partial(read_pixels, image, 3), step, category)

    def log_video(
        self,
        name: str,
        frames: Any,
        step: int,
        category: str = "train",
        *,
        frames_per_second: float = 10,
    ) -> None:
        """Show a film on the sinks that can.

        Args:
            name: its name within the category.
            frames: `[time, height, width]` or `[time, height, width, 1, 3 or 4]`, as in `log_image`.
            step: the step it belongs to.
            category: its category.
            frames_per_second: its pace.
        """
        read = partial(read_pixels, frames, 4)
        self._show("log_video", name, read, step, category, frames_per_second=frames_per_second)

    def add_probe(self, probe: Probe) -> None:
        """Have a function asked for metrics whenever a window of `train` goes to the backends.

        Args:
            probe: returns categories, each with names to numbers, written at the window's step.
        """
        self._delivery.probes.append(probe)

    def set_epoch(self, epoch: int) -> None:
        """Tell the console which epoch it is."""
        self._delivery.offer("console", "set_epoch", epoch)

    def claim(self) -> None:
        """Have the sinks make sure that their places are free for a new run.

        Raises:
            ValueError: one is another run's.
        """
        self._delivery.claim()

    def begin_again(self) -> None:
        """Tell the sinks that an earlier attempt at the very same run left no state: its rows are to go."""
        self._delivery.offer("backend", "begin_again")

    def flush(self) -> None:
        """Write every window as it stands, without waiting for its boundary, and flush every sink."""
        for category, stream in self._streams.items():
            self._write_windows(stream, list(stream.windows), category)
        for window in self._delivery.windows:
            self._delivery.flush(window)

    def close(self, status: str = "finished") -> None:
        """Write every partial window and close every sink; may be called twice.

        Args:
            status: how the run ended, for sinks that can show it: finished, failed or interrupted.
        """
        if self._closed:
            return
        if status not in STATUSES:
            raise ValueError(f"a run ends {', '.join(STATUSES)}, not {status!r}")
        try:
            self.flush()
        finally:
            self._closed = True
            self._streams.clear()
            self._delivery.close(status, self._close_seconds)
            self._sigterm.lift()
            exits.release(self)

    def abandon(self) -> None:
        """Forget what is pending and every sink: in a forked child they are its parent's."""
        self._delivery.abandon()
        self._frequencies = {}
        self._streams = {name: self._new_stream(name) for name in self._streams}

    def get_state(self) -> dict[str, Any]:
        """Return the windows, and what each sink needs to forget what is written from now on."""
        self._check_open()
        state = {
            "version": STATE_VERSION,
            "streams": {name: stream.get_state() for name, stream in self._streams.items()},
            "events": {name: stream.step for name, stream in self._events.items()},
            "num_conflicts": self.num_conflicts,
            "sinks": self._delivery.get_state(),
        }
        for category, stream in self._streams.items():
            self._report(stream.settle(), stream.step, category)
        return state

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state: windows and steps as they were, and what sinks wrote later cut off.

        Args:
            state: what `get_state` returned, in this or another process.

        Raises:
            ValueError: the state is of a newer version.
        """
        self._check_open()
        if state["version"] > STATE_VERSION:
            raise ValueError(f"logger state of version {state['version']} is newer than this poke")
        self._streams = {name: self._new_stream(name) for name in state["streams"]}
        for name, stream in self._streams.items():
            stream.set_state(state["streams"][name])
        self._events = {name: self._new_event_stream(name) for name in state["events"]}
        for name, step in state["events"].items():
            self._events[name].step = step
        self.num_conflicts = state["num_conflicts"]
        self._delivery.set_state(state["sinks"], with_waiting=state["version"] > 1)

    def __enter__(self) -> Self:
        self._sigterm.set()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.close("failed" if issubclass(kind, Exception) else "interrupted")

    def _open_stream(self, category: str) -> Stream | None:
        """Return a new stream for a category without one, None for an event category."""
        self._check_open()
        if not isinstance(category, str) or not category or "/" in category:
            raise ValueError(f"a category is a non-empty name without '/', not {category!r}")
        if category in self._event_categories:
            if category not in self._events:
                self._events[category] = self._new_event_stream(category)
            return None
        stream = self._streams[category] = self._new_stream(category)
        self._delivery.begin()
        return stream

    def _new_stream(self, category: str) -> Stream:
        refuse = partial(self._delivery.refuse, category)
        return Stream(self._frequencies, Naming(category, self._reduce, refuse))

    def _new_event_stream(self, category: str) -> Stream:
        return Stream({}, self._delivery.naming(category))

    def _log_event(self, metrics: Any, step: int, category: str) -> None:
        stream = self._events[category]
        step = whole_step(step)
        row, _, _ = read_row(metrics, stream.naming.refuse)
        fetch([row])
        if step > stream.step:
            stream.step, stream.current = step, row
        else:
            self._log_again(row, step, stream, category)
        record = finish(fold_rows([row], stream.naming), stream.naming)
        for window in ("backend", "console"):
            self._delivery.write(window, record, step, category)
            self._delivery.flush(window)

    def _turn(self, stream: Stream, step: int, category: str) -> None:
        """Leave the stream's step, which is complete now: write the windows it ended."""
        ended = stream.ended()
        if ended:
            self._write_windows(stream, ended, category)
        stream.advance(step)

    def _log_again(self, row: dict[str, Any], step: int, stream: Stream, category: str) -> None:
        """Check a call that does not move its category forward."""
        step = whole_step(step)
        if step < stream.step:
            raise ValueError(f"step {step} of '{category}' lies before its step {stream.step}")
        self._report(stream.conflicts(row), step, category)
        stream.add_to_current(row)

    def _report(self, conflicts: Sequence[Conflict], step: int, category: str) -> None:
        """Count the names that were given two values."""
        for name, earlier, value in conflicts:
            self.num_conflicts += 1
            message = f"{category}/{name} has two values at step {step}: {earlier} and {value}"
            if self._strict:
                raise ValueError(message)
            self._delivery.notices.tell(f"conflict {category}/{name}", message)

    def _write_windows(self, stream: Stream, windows: Sequence[str], category: str) -> None:
        rows = stream.take(windows)
        for window, row in rows.items():
            self._delivery.write(window, row, stream.step, category)
        if category == "train" and "backend" in rows:
            self._delivery.ask_probes(stream.step)
            self._delivery.offer("console", "set_progress", stream.step)
        if rows and self._first_write:
            self._first_write = False
            exits.run_first()
        self._report(stream.settle(), stream.step, category)

    def _show(
        self,
        method: str,
        name: str,
        read: Callable[[], Any],
        step: int,
        category: str,
        **options: Any,
    ) -> None:
        self._check_open()
        step = whole_step(step)
        try:
            array = read()
        except Exception as error:
            self._delivery.refuse(category, name, describe(error))
            return
        name = printable(name)
        self._delivery.offer("backend", method, name, array, step, category, **options)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the logger is closed")
