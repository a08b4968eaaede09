"""To whom rows go: the sinks of each window, the probes that are asked besides, and what is said on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from poke.protocols import Writer
from poke.training.logging.naming import Naming
from poke.training.logging.sinks.fanout import Notices, Sinks
from poke.training.logging.sinks.outbox import describe
from poke.training.logging.values import fetch, read_row
from poke.training.logging.windows import NONFINITE, finish, fold_rows

Probe = Callable[[], Mapping[str, Mapping[str, float]]]


class Delivery:
    """Hands rows on.

    Args:
        writers: those of each window, by its name.
    """

    def __init__(self, writers: Mapping[str, Sequence[Writer]]) -> None:
        self.notices = Notices()
        self.nonfinite: list[str] = []  # full names of metrics that were NaN or infinite
        self.probes: list[Probe] = []
        self._sinks = {name: Sinks(these, self.notices) for name, these in writers.items()}

    @property
    def windows(self) -> list[str]:
        """The windows that somebody is told of."""
        return [name for name, sinks in self._sinks.items() if sinks]

    def begin(self) -> None:
        """Have all sinks prepare for rows; may be called again.

        The first row may be written at the exit, where no thread can be started any more (from Python 3.12 on).
        """
        for sinks in self._sinks.values():
            sinks.begin()

    def write(self, window: str, row: Mapping[str, float], step: int, category: str) -> None:
        """Give a window's sinks a row, and say once a name that it was NaN or infinite."""
        if not row:
            return
        for name in row:
            if name.endswith(NONFINITE):
                metric = f"{category}/{name.removesuffix(NONFINITE)}"
                message = f"{metric} was NaN or infinite at or before step {step}"
                if self.notices.tell(f"nonfinite {metric}", message):
                    self.nonfinite.append(metric)
        self._sinks[window].write(row, step, category)

    def ask_probes(self, step: int) -> None:
        """Write what the probes return; one that raises is left out from then on."""
        for probe in list(self.probes):
            try:
                found = probe()
            except Exception as error:
                self.probes.remove(probe)
                self.notices.tell(f"probe {probe}", f"a probe is left out: {describe(error)}")
                continue
            for category, metrics in found.items():
                naming = self.naming(category)
                row, _, _ = read_row(metrics, naming.refuse)
                fetch([row])
                self.write("backend", finish(fold_rows([row], naming), naming), step, category)

    def offer(self, window: str, method: str, *arguments: Any, **options: Any) -> None:
        """Call a method that writers need not have."""
        self._sinks[window].offer(method, *arguments, **options)

    def naming(self, category: str) -> Naming:
        """Return the names of a category whose rows are not summed up."""
        return Naming(category, {"*": "last"}, partial(self.refuse, category))

    def refuse(self, category: str, name: str, reason: str) -> None:
        """Say once that a name is not logged."""
        self.notices.tell(f"skip {category}/{name}", f"{category}/{name} is not logged: {reason}")

    def claim(self) -> None:
        """Have the writers of backends make sure that their places are free.

        Raises:
            ValueError: one is another run's.
        """
        for sink in self._sinks["backend"]:
            if hasattr(sink.writer, "claim"):
                sink.writer.claim()

    def flush(self, window: str) -> None:
        """Flush a window's sinks."""
        self._sinks[window].flush()

    def close(self, status: str, seconds: float) -> None:
        """Close every sink.

        Args:
            status: how the run ended.
            seconds: how long to wait for those in the background, all together.
        """
        for sinks in self._sinks.values():
            sinks.begin_closing(status)
        deadline = time.monotonic() + seconds
        for sinks in self._sinks.values():
            sinks.finish_closing(deadline)

    def abandon(self) -> None:
        """Forget every sink: in a forked child they are its parent's."""
        for sinks in self._sinks.values():
            sinks.abandon()

    def get_state(self) -> dict[str, Any]:
        """Return the sinks' states, by window and name."""
        return {window: sinks.get_state() for window, sinks in self._sinks.items()}

    def set_state(self, states: Mapping[str, Any], *, with_waiting: bool) -> None:
        """Restore the sinks' states.

        Args:
            states: as of `get_state`.
            with_waiting: whether they hold rows that waited, as those of an older poke do not.
        """
        for window, sinks in self._sinks.items():
            found = states.get(window, {})
            if not with_waiting:
                found = {name: {"writer": s, "waiting": []} for name, s in found.items()}
            sinks.set_state(found)
