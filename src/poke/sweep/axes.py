"""What the overrides of a sweep say: one axis each, with all that it may be in a job.

Hydra's grammar has many forms of an override. They are read here and nowhere else: the check before all jobs, the grid
and the search go by these axes, so that they never differ on what a job is.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import (
    ChoiceSweep,
    IntervalSweep,
    Override,
    Quote,
    QuotedString,
    RangeSweep,
    Sweep,
    Transformer,
)
from hydra.errors import HydraException

from poke.config import composing
from poke.config.knobs import ConfigError

# More than one sweep can see to; an axis may be endless, as range(0,inf) is.
MAX_JOBS = 1_000_000


@dataclass(frozen=True)
class Axis:
    """One override of a sweep, and what it may be in a job; a constant is an axis of one value.

    Args:
        override: as Hydra reads it.
        values: what the key may be; an interval's two ends.
        texts: the job's override for each of these, by Hydra's grammar.
    """

    override: Override
    values: tuple[Any, ...]
    texts: tuple[str, ...]

    @property
    def key(self) -> str:
        """What a job's override begins with: ``algo.lr``, ``+algo.new``, ``~logger.csv``, ``env@eval.env``."""
        return self.override.get_key_element()

    @property
    def name(self) -> str:
        """The key or group itself."""
        return self.override.key_or_group

    @property
    def typed(self) -> str:
        """The override as the user typed it."""
        return str(self.override.input_line)

    @property
    def is_swept(self) -> bool:
        """Whether jobs may differ in it."""
        return self.override.is_sweep_override()

    @property
    def interval(self) -> IntervalSweep | None:
        """The interval, if it is one: it has no values to list."""
        value = self.override.value()
        return value if isinstance(value, IntervalSweep) else None

    @property
    def range(self) -> range | None:
        """The whole numbers, if they are a range."""
        value = self.override.value()
        numbers = value.range() if isinstance(value, RangeSweep) else None
        return numbers if isinstance(numbers, range) else None


def read_axes(overrides: Sequence[str], loader: ConfigLoader) -> list[Axis]:
    """Return the axes of a sweep, those of Hydra's own keys included.

    Args:
        overrides: as the user typed them.
        loader: knows the options of groups, which ``glob`` asks for.

    Raises:
        ConfigError: an override that cannot be read, or an axis without values, without end, or within another.
    """
    axes: list[Axis] = []
    for override in composing.parse(overrides, loader):
        axis = _read(override)
        axes = [a for a in axes if not _is_replaced(a, axis)]
        axes.append(axis)
    return axes


def combinations(axes: Sequence[Axis]) -> list[list[str]]:
    """Return the overrides of every job of a grid.

    Raises:
        ConfigError: an axis is an interval, or there are too many jobs.
    """
    for axis in axes:
        if axis.interval is not None:
            raise ConfigError(f"{axis.typed} is an interval to search: add hydra/sweeper=optuna")
    num_jobs = math.prod(len(axis.texts) for axis in axes)
    if num_jobs > MAX_JOBS:
        raise ConfigError(f"{num_jobs:,} jobs are more than a sweep takes, which is {MAX_JOBS:,}")
    return [list(point) for point in itertools.product(*(_in_order(axis) for axis in axes))]


def _is_replaced(axis: Axis, later: Axis) -> bool:
    """Whether an axis is given again; constants complement each other, as an option of a group and its values do."""
    if not axis.is_swept or axis.key != later.key:
        return False
    return _are_mappings(axis) == _are_mappings(later)


def _are_mappings(axis: Axis) -> bool:
    return all(isinstance(value, Mapping) for value in axis.values)


def _in_order(axis: Axis) -> Sequence[str]:
    shuffle = getattr(axis.override.value(), "shuffle", False)
    return random.sample(axis.texts, len(axis.texts)) if shuffle else axis.texts


def _read(override: Override) -> Axis:
    typed, key = str(override.input_line), override.get_key_element()
    if override.value_type is None:  # ~key
        return Axis(override, (None,), (key,))
    elements = list(itertools.islice(_elements(override), MAX_JOBS + 1))
    if not elements:
        raise ConfigError(f"{typed} is an empty axis: there is nothing to run")
    if len(elements) > MAX_JOBS:
        raise ConfigError(f"{typed} has more values than a sweep takes, which is {MAX_JOBS:,}")
    if any(_holds_axis(element) for element in elements):
        raise ConfigError(f"{typed} has an axis within a value: an axis stands alone")
    values = tuple(Override._convert_value(element) for element in elements)
    texts = tuple(f"{key}={Transformer.str(_kept_text(element))}" for element in elements)
    return Axis(override, values, texts)


def _elements(override: Override) -> Iterator[Any]:
    """The values as Hydra parsed them, in the order they were given even where they are to be shuffled.

    Raises:
        ConfigError: they cannot be listed.
    """
    sweep = override.value()
    if isinstance(sweep, IntervalSweep):
        yield from _ends(override, sweep)
        return
    if not override.is_sweep_override():
        yield override._value
        return
    if isinstance(sweep, ChoiceSweep | RangeSweep):
        override = dataclasses.replace(override, _value=dataclasses.replace(sweep, shuffle=False))
    try:
        yield from override.sweep_iterator(Transformer.identity)
    except (HydraException, ValueError, ArithmeticError) as error:
        is_arithmetic = isinstance(error, ArithmeticError)  # of nan, which says nothing in words
        reason = "its ends are no numbers" if is_arithmetic else str(error).splitlines()[0]
        raise ConfigError(
            f"{override.input_line} has no values that can be listed: {reason}"
        ) from error


def _ends(override: Override, interval: IntervalSweep) -> Iterator[float]:
    low, high = interval.start, interval.end
    assert low is not None
    assert high is not None
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ConfigError(f"{override.input_line} is no interval from a lower to a higher number")
    if "log" in interval.tags and low <= 0:
        raise ConfigError(f"{override.input_line} is logarithmic: it must begin above 0")
    yield low
    yield high


def _kept_text(element: Any) -> Any:
    """The element with quotes around text that would read as a number or the like, as of ``str(1,2)``."""
    if isinstance(element, Mapping):
        return {key: _kept_text(value) for key, value in element.items()}
    if isinstance(element, list):
        return [_kept_text(value) for value in element]
    return QuotedString(element, Quote.single) if _reads_otherwise(element) else element


def _reads_otherwise(element: Any) -> bool:
    if not isinstance(element, str):
        return False
    try:
        float(element)
    except ValueError:
        return element.lower() in ("true", "false", "null")
    return True


def _holds_axis(element: Any) -> bool:
    if isinstance(element, Mapping):
        return any(map(_holds_axis, element.values()))
    if isinstance(element, list):
        return any(map(_holds_axis, element))
    return isinstance(element, Sweep)
