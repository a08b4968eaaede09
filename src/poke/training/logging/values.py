"""Reading logged values: plain numbers now, device tensors later and all at once. Imports no torch.

A row maps names to python numbers. A value on an accelerator is copied there, in stream order, and
its place in the row taken by a `Held`, until `fetch` brings the held values of many rows over in one
transfer.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from enum import Enum
from itertools import islice
from numbers import Real
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

from poke.training.logging.naming import printable

Number = int | float
PLAIN = frozenset((float, int, bool))
# What python numbers alone sum up to: one call in C tells whether a row is made of them.
SUMS = frozenset((float, int))
ELSEWHERE = object()  # no number: a sum fails at it


class Held:
    """A number still on its device.

    Args:
        numbers: 1-d tensor, a copy nobody else writes to.
        index: which of them.
    """

    __slots__ = ("index", "number", "numbers")

    def __init__(self, numbers: Tensor, index: int) -> None:
        self.numbers = numbers
        self.index = index
        self.number: Number = 0  # once fetched


class Kind(Enum):
    """What the values of a row were, which is what those of the next will be."""

    NUMBERS = "python numbers alone"
    TENSORS = "CPU tensors alone"
    MIXED = "anything"


def read_row(metrics: Any, refuse: Callable[[str, str], None]) -> tuple[dict[Any, Any], Kind, bool]:
    """Read possibly nested metrics.

    Args:
        metrics: names to numbers, numpy scalars, one-element tensors and mappings of these.
        refuse: told the name of every value that is left out, and why.

    Returns:
        Names to python numbers, or `Held` where a number is still on its device; what the values
        were; whether some are held.
    """
    # Fast path: one comprehension and one sum see to a row of numbers and one-element CPU tensors, which nearly all
    # are. It saves a look at every value, and must read what `_read_closely` would.
    try:
        values: dict[Any, Any] = {
            name: v if type(v) in PLAIN else v.item() if v.is_cpu else ELSEWHERE
            for name, v in metrics.items()
        }
        if type(sum(values.values())) in SUMS:
            return values, _kind(metrics, values), False
    except Exception:
        pass  # something has to be looked at more closely
    if not isinstance(metrics, Mapping):
        refuse("*", f"metrics are a mapping, not a {type(metrics).__name__}")
        return {}, Kind.MIXED, False
    row, held = _read_closely(metrics, refuse)
    return row, Kind.MIXED, held


def _kind(metrics: Mapping[Any, Any], values: Mapping[Any, Any]) -> Kind:
    if all(map(operator.is_, values.values(), metrics.values())):
        return Kind.NUMBERS
    return Kind.TENSORS if PLAIN.isdisjoint(map(type, metrics.values())) else Kind.MIXED


def _read_closely(
    metrics: Mapping[Any, Any], refuse: Callable[[str, str], None]
) -> tuple[dict[Any, Any], bool]:
    """Read value by value; also return whether some are held."""
    row: dict[Any, Any] = {}
    distant: dict[Any, list[Any]] = {}
    for name, value in _flatten(metrics):
        try:
            row[name] = number = _read(value)
        except Exception:
            refuse(printable(str(name)), f"a {type(value).__name__} is no single number")
        else:
            if number is value and type(value) not in PLAIN:
                distant.setdefault((value.device, value.dtype), []).append(name)
    for names in distant.values():
        import torch

        # A copy, since the tensors may be written to again before the flush; one kernel, no wait.
        numbers = torch.stack([row[name].detach().reshape(()) for name in names])
        row.update((name, Held(numbers, index)) for index, name in enumerate(names))
    return row, bool(distant)


def _flatten(metrics: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[Any, Any]]:
    for key, value in metrics.items():
        name = f"{prefix}{key}" if prefix else key
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{name}/")
        else:
            yield name, value


def _read(value: Any) -> Any:
    """A python number, or the value itself where that is a one-element tensor elsewhere."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor) and not value.is_cpu:
        if value.numel() != 1 or value.is_complex():
            raise TypeError
        return value
    number = value.item() if hasattr(value, "item") else value
    if type(number) in PLAIN:
        return number
    if isinstance(number, Real | Decimal):
        return float(number)
    raise TypeError


def read_numbers(metrics: Any) -> dict[str, float]:
    """Return metrics of every kind that is logged, as floats by flat names, without what is no single number."""
    row, _, _ = read_row(metrics, lambda name, reason: None)
    fetch([row])
    return {str(name): float(number) for name, number in row.items()}


def fetch(rows: Iterable[dict[str, Any]]) -> None:
    """Replace every held value of the rows by its number, in one transfer a device."""
    places = [
        (row, name, value) for row in rows for name, value in row.items() if type(value) is Held
    ]
    by_device: dict[Any, dict[Any, list[Tensor]]] = {}
    for tensor in {id(held.numbers): held.numbers for *_, held in places}.values():
        by_device.setdefault(tensor.device, {}).setdefault(tensor.dtype, []).append(tensor)
    arrived: dict[int, list[Number]] = {}
    for device, by_dtype in by_device.items():
        import torch

        widest = torch.float32 if device.type == "mps" else torch.float64
        joined = torch.cat([torch.cat(tensors).to(widest) for tensors in by_dtype.values()])
        numbers = iter(joined.tolist())
        for tensors in by_dtype.values():
            for tensor in tensors:
                arrived[id(tensor)] = list(islice(numbers, len(tensor)))
    for row, name, held in places:
        row[name] = held.number = arrived[id(held.numbers)][held.index]


def whole_step(step: Any) -> int:
    """Return a step as an int.

    Raises:
        ValueError: it is no non-negative whole number.
    """
    try:
        whole = operator.index(step)
    except TypeError:
        whole = -1
    if whole < 0 or isinstance(step, bool):
        raise ValueError(f"a step is a non-negative int, not {step!r}")
    return whole
