"""Which checkpoint is the best, and which ones stay."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from poke.training.checkpointing.index import Entry


@dataclass(frozen=True)
class Monitor:
    """Which metric makes a checkpoint the best.

    Args:
        name: the metric's full name.
        mode: ``min`` or ``max``.

    Raises:
        ValueError: another mode.
    """

    name: str
    mode: str

    def __post_init__(self) -> None:
        if self.mode not in ("min", "max"):
            raise ValueError(f"mode must be min or max, not {self.mode!r}")

    def value(self, metrics: Mapping[str, float]) -> float | None:
        """Return the metric so that more is better, or None where it is missing or NaN."""
        value = metrics.get(self.name)
        if value is None or math.isnan(value):
            return None
        return -value if self.mode == "min" else value

    def best(self, entries: Sequence[Entry]) -> Entry | None:
        """Return the best entry, or None where none is eligible.

        That is the newest that ``save`` was told is best, else the oldest with the best value.
        """
        if told := [entry for entry in entries if entry.is_best]:
            return max(told, key=lambda entry: entry.age)
        valued = [
            (value, entry)
            for entry in sorted(entries, key=lambda entry: entry.age)
            if entry.is_best is None and (value := self.value(entry.metadata.metrics)) is not None
        ]
        return max(valued, key=lambda pair: pair[0])[1] if valued else None


class BestSoFar:
    """The best of all that was saved, known before it is written and after it is deleted.

    Args:
        monitor: what makes one the best.
    """

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        # What was the best in its turn, oldest first: a rewind makes an earlier one the best again.
        self._records: list[Entry] = []

    @property
    def entry(self) -> Entry | None:
        """The best, or None where none is eligible."""
        return self._monitor.best(self._records)

    def add(self, entry: Entry) -> None:
        """Take note of a save, in place of one of the same step and epoch."""
        self.forget(entry.age)
        older = [record for record in self._records if record.age < entry.age]
        if self._monitor.best([*older, entry]) is entry:
            self._records = sorted([*self._records, entry], key=lambda record: record.age)

    def forget(self, age: tuple[int, int]) -> None:
        """Forget the save of this step and epoch."""
        self._records = [record for record in self._records if record.age != age]

    def rewind(self, age: tuple[int, int]) -> None:
        """Forget every newer save."""
        self._records = [record for record in self._records if record.age <= age]


@dataclass(frozen=True)
class Retention:
    """Which checkpoints stay.

    Args:
        max_to_keep: how many of the newest; None keeps all.
        keep_best: whether the best stays, whatever its age.
        keep_every: the first checkpoint at or past each multiple of this many steps stays for
            good; None for none.

    Raises:
        ValueError: a number below 1.
    """

    max_to_keep: int | None
    keep_best: bool
    keep_every: int | None

    def __post_init__(self) -> None:
        for name in ("max_to_keep", "keep_every"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise ValueError(f"{name} must be >= 1 or null, not {number}")

    def kept(self, entries: Sequence[Entry], best: Entry | None) -> list[Entry]:
        """Return the entries that stay, oldest first.

        Args:
            entries: oldest first.
            best: the best of them.
        """
        newest = entries if self.max_to_keep is None else entries[-self.max_to_keep :]
        keep = {entry.file.name for entry in newest} | self._milestones(entries)
        if self.keep_best and best is not None:
            keep.add(best.file.name)
        return [entry for entry in entries if entry.file.name in keep]

    def _milestones(self, entries: Sequence[Entry]) -> set[str]:
        if self.keep_every is None:
            return set()
        names, reached = set(), 0
        for entry in entries:
            multiple = entry.metadata.step // self.keep_every
            if multiple > reached:
                names.add(entry.file.name)
                reached = multiple
        return names
