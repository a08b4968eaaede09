"""Reading logged values: plain numbers now, device tensors later and all at once. Imports no torch.

A row maps names to python numbers. A value on an accelerator is held as a `Held` place in the row, copied on the
device in stream order, until `fetch` brings every held value of many rows over in one transfer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from numbers import Real
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

Number = int | float
PLAIN = frozenset((float, int, bool))
RESERVED_NAMES = frozenset(("step", "time", "epoch"))


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


def read_row(
    metrics: Mapping[Any, Any], refuse: Callable[[str, str], None]
) -> tuple[dict[str, Any], bool, bool]:
    """Return the numbers of possibly nested metrics, whether they were plain, and whether some are held.

    Args:
        metrics: names to numbers, numpy scalars, one-element tensors and mappings of these.
        refuse: told the name of every value that is left out, and why.
    """
    row: dict[str, Any] = {}
    distant: dict[Any, list[str]] = {}
    plain = True
    for name, value in _flatten(metrics):
        kind = type(value)
        if kind in PLAIN:
            row[name] = value
            continue
        plain = False
        try:
            number = _reader(kind)(value)
        except Exception:
            refuse(name, f"a {kind.__name__} is no single number")
            continue
        row[name] = number
        if number is value:
            distant.setdefault((value.device, value.dtype), []).append(name)
    for names in distant.values():
        import torch

        # A copy, since the tensors may be written to again before the flush; one kernel, no synchronisation.
        numbers = torch.stack([row[name].detach().reshape(()) for name in names])
        row.update((name, Held(numbers, index)) for index, name in enumerate(names))
    return row, plain, bool(distant)


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


def read_array(values: Any) -> Any:
    """Return an array or tensor of any shape as a numpy array."""
    import numpy as np

    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float() if values.dtype.is_floating_point else values
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{array.dtype} is no type of numbers")
    return array


def printable(name: str) -> str:
    """Return the name with whatever UTF-8 cannot hold written out."""
    return name.encode("utf-8", "backslashreplace").decode()


def _flatten(metrics: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in metrics.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{name}/")
        else:
            yield name, value


_readers: dict[type, Callable[[Any], Any]] = {}


def _reader(kind: type) -> Callable[[Any], Any]:
    """The function that reads values of a type, chosen at the type's first sight."""
    reader = _readers.get(kind)
    if reader is None:
        torch = sys.modules.get("torch")
        tensor = torch is not None and issubclass(kind, torch.Tensor)
        reader = _readers[kind] = _read_tensor if tensor else _read_other
    return reader


def _read_tensor(value: Tensor) -> Any:
    """A CPU tensor's number; a tensor elsewhere as it is."""
    if value.is_cpu:
        return _real(value.item())
    if value.numel() != 1 or value.is_complex():
        raise TypeError
    return value


def _read_other(value: Any) -> Number:
    return _real(value.item() if hasattr(value, "item") else value)


def _real(value: Any) -> Number:
    if type(value) in PLAIN:
        return value
    if isinstance(value, Real) or type(value).__name__ == "Decimal":
        return float(value)
    raise TypeError
