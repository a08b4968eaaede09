"""How an environment's observations become one array a policy can take, whatever their structure.

An observation of one part (a Box, a Discrete, or a Dict that holds nothing else but an action mask) is that part's
array. One of several parts (Dict and Tuple, nested) is packed: the parts' bytes one after the other, in a row of
uint8, float32 numbers first. One array a step is what rollouts, files, pipes and shared memory hold; only a network
that joins parts, and what normalises numbers, look inside.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

Path = tuple[str | int, ...]


class SpaceError(ValueError):
    """An observation or action that its space does not hold; the message is one line."""


@dataclass(frozen=True)
class Entry:
    """One part of an observation.

    Args:
        path: where it stands, a key of a Dict or an index of a Tuple a level; empty where it is the whole.
        kind: ``box`` (numbers or bytes), ``discrete`` (choices, of Discrete and MultiDiscrete) or ``binary``.
        shape: of one, as the environment gives it.
        dtype: of a box, as it is kept: uint8 stays, and files keep what they have; of others float32 or int32.
        low: what no element is below; None where that is not finite or differs by element.
        high: likewise above.
        sizes: of ``discrete``: how many values each element has, in flat order.
        starts: of ``discrete``: each element's least value.
    """

    path: Path
    kind: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    low: float | None = None
    high: float | None = None
    sizes: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The path as a user would write it, `camera` or `arm.0`; `observation` for the whole."""
        return ".".join(map(str, self.path)) or "observation"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON holds them."""
        return {
            "path": list(self.path),
            "kind": self.kind,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "low": self.low,
            "high": self.high,
            "sizes": list(self.sizes),
            "starts": list(self.starts),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Entry:
        """Return what `to_dict` was taken of."""
        tuples = {name: tuple(values[name]) for name in ("path", "shape", "sizes", "starts")}
        return cls(**{**values, **tuples})


@dataclass(frozen=True)
class Field:
    """Where an entry lies in the array.

    Args:
        entry: which.
        shape: of what is kept of it.
        dtype: likewise.
        offset: in bytes; 0 where the entry is the whole array.
    """

    entry: Entry
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int

    @property
    def num_bytes(self) -> int:
        """How many bytes it takes."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class ObservationSpace:
    """What observations are made of.

    Args:
        entries: the parts, at least one.
        mask: path of the action mask within an observation; None where it is no part of it.
        layout: how the bytes of entities are read, see `poke.networks.encoding.layout`; None for others.
    """

    entries: tuple[Entry, ...]
    mask: Path | None = None
    layout: Mapping[str, Any] | None = field(default=None, hash=False)

    @classmethod
    def box(
        cls,
        shape: tuple[int, ...],
        dtype: str = "float32",
        *,
        low: float | None = None,
        high: float | None = None,
        layout: Mapping[str, Any] | None = None,
    ) -> ObservationSpace:
        """Return the space of plain arrays, which are kept in the dtype given."""
        return cls((Entry((), "box", tuple(shape), dtype, low, high),), layout=layout)

    @property
    def packed(self) -> bool:
        """Whether several parts are packed into a row of bytes."""
        return len(self.entries) > 1

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Of one observation's array."""
        if not self.packed:
            return self.fields[0].shape
        last = max(self.fields, key=lambda f: f.offset + f.num_bytes)
        # Whole float32s, so that a batch can be viewed as such.
        return (-(-(last.offset + last.num_bytes) // 4) * 4,)

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Of one observation's array."""
        return np.dtype(np.uint8) if self.packed else self.fields[0].dtype

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """Where each entry lies, in the entries' order."""
        if not self.packed:
            entry = self.entries[0]
            if entry.kind == "discrete":  # one-hot: numbers that any network takes
                return (Field(entry, (sum(entry.sizes),), np.dtype(np.float32), 0),)
            return (Field(entry, entry.shape, _kept_dtype(entry), 0),)
        found: dict[Entry, Field] = {}
        offset = 0
        for entry in sorted(self.entries, key=_by_alignment):
            found[entry] = Field(entry, entry.shape, _kept_dtype(entry), offset)
            offset += found[entry].num_bytes
        return tuple(found[entry] for entry in self.entries)

    @cached_property
    def _plain(self) -> Field | None:
        """The sole part where that is the whole observation, numbers or bytes, and kept as it comes; else None."""
        sole = self.fields[0]
        return None if self.packed or sole.entry.path or sole.entry.sizes else sole

    def empty(self, *lead: int) -> np.ndarray:
        """Return zeros of `[*lead, *shape]`."""
        return np.zeros((*lead, *self.shape), self.dtype)

    def write(self, observation: Any, out: np.ndarray) -> None:
        """Write one or a batch of observations, as the environment gives them, into `out`, `[*lead, *shape]`.

        Raises:
            SpaceError: a part is missing, has another shape or holds a value that is not in its space.
        """
        # What most environments give, and nothing of it is looked at twice.
        if self._plain is not None and type(observation) is np.ndarray:
            kind = observation.shape, observation.dtype
            if kind == (out.shape, out.dtype):
                out[...] = observation
                return
        lead = out.shape[: out.ndim - len(self.shape)]
        for place in self.fields:
            value = _part(observation, place.entry)
            # Nothing is ever broadcast: [1] written into [4] would train on nonsense.
            if value.shape != lead + place.entry.shape:
                raise SpaceError(
                    f"{place.entry.name} has shape {list(value.shape[len(lead) :])}, "
                    f"not {list(place.entry.shape)}"
                )
            if not self.packed and place.entry.kind == "discrete":
                _write_one_hot(value, place.entry, lead, out)
                continue
            if place.entry.kind == "discrete":
                value = _ids(value, place.entry, lead)
            value = _as_kept(value, place)
            if not self.packed:
                out[...] = value
                continue
            rows = np.ascontiguousarray(value.reshape(*lead, -1))
            out[..., place.offset : place.offset + place.num_bytes] = rows.view(np.uint8)

    def encode(self, observation: Any) -> tuple[np.ndarray, bool]:
        """Return observations as an array, and whether it was one of them.

        Args:
            observation: one, or a batch whose parts have a leading axis.

        Returns:
            `[batch, *shape]`, which may be the observation's own memory, and true where the batch is of one that had
            no leading axis.

        Raises:
            SpaceError: as of `write`, or it has neither shape.
        """
        if self._plain is not None:  # nothing to put together
            array = _as_kept(np.asarray(observation), self._plain)
            if array.shape == self._plain.shape:
                return array[None], True
            if array.ndim and array.shape[1:] == self._plain.shape:
                return array, False
        first = self.entries[0]
        value = _part(observation, first)
        extra = value.ndim - len(first.shape)
        if extra not in (0, 1) or value.shape[extra:] != first.shape:
            raise SpaceError(
                f"{first.name} has shape {list(value.shape)}, not {list(first.shape)} or "
                f"{['batch', *first.shape]}".replace("'", "")
            )
        single = extra == 0
        out = self.empty() if single else self.empty(len(value))
        self.write(observation, out)
        return (out[None] if single else out), single

    def mask_of(self, observation: Any) -> Any:
        """Return the action mask within an observation; None where there is none."""
        if self.mask is None:
            return None
        for key in self.mask:
            if isinstance(key, str) and key not in observation:
                return None
            observation = observation[key]
        return observation

    def numbers(self, array: np.ndarray) -> np.ndarray:
        """Return a view of an array's float32 numbers, `[batch, count]`; those are what is normalised.

        Args:
            array: `[batch, *shape]`, contiguous.
        """
        if not self.packed:
            return array.reshape(len(array), -1)
        return array[:, : 4 * self.num_numbers].view(np.float32)

    @property
    def num_numbers(self) -> int:
        """How many float32 numbers an observation has; 0 where it holds bytes or choices only."""
        floats = [f for f in self.fields if f.dtype == np.float32]
        return sum(math.prod(f.shape) for f in floats)

    def as_numbers(self) -> ObservationSpace:
        """Return this space with numbers to be normalised: they have no bounds, and a sole box of bytes is numbers."""
        if not self.packed:
            return replace(self, entries=(_unbounded(self.entries[0], "float32"),))
        entries = (
            _unbounded(e, e.dtype) if _kept_dtype(e) == np.float32 else e for e in self.entries
        )
        return replace(self, entries=tuple(entries))

    def to_dict(self) -> dict[str, Any]:
        """Return the space as JSON holds it."""
        return {
            "entries": [entry.to_dict() for entry in self.entries],
            "mask": None if self.mask is None else list(self.mask),
            "layout": self.layout,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ObservationSpace:
        """Return what `to_dict` was taken of."""
        mask = values["mask"]
        return cls(
            tuple(Entry.from_dict(entry) for entry in values["entries"]),
            None if mask is None else tuple(mask),
            values["layout"],
        )

    def __str__(self) -> str:
        parts = [f"{e.name} {_shown(e)}" if e.path else _shown(e) for e in self.entries]
        return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"


def _unbounded(entry: Entry, dtype: str) -> Entry:
    return replace(entry, dtype=dtype, low=None, high=None)


def _shown(entry: Entry) -> str:
    if entry.kind == "discrete":
        return (
            f"one of {entry.sizes[0]}" if len(entry.sizes) == 1 else f"choices {list(entry.sizes)}"
        )
    return f"{entry.dtype} {list(entry.shape)}"


def _kept_dtype(entry: Entry) -> np.dtype[Any]:
    if entry.kind == "discrete":
        return np.dtype(np.int32)
    return np.dtype(np.float32 if entry.kind == "binary" else entry.dtype)


def _by_alignment(entry: Entry) -> tuple[bool, int]:
    """Float32 numbers first, so that they are one view, then by size, so that each is aligned."""
    dtype = _kept_dtype(entry)
    return dtype != np.float32, -dtype.itemsize


def _part(observation: Any, entry: Entry) -> np.ndarray:
    for key in entry.path:
        try:
            observation = observation[key]
        except (KeyError, IndexError, TypeError) as error:
            raise SpaceError(f"the observation has no {entry.name}") from error
    try:
        value = np.asarray(observation)
    except ValueError as error:  # lists of different lengths
        raise SpaceError(f"{entry.name} is no array: {error}") from error
    if value.dtype.kind not in "fiub":
        raise SpaceError(f"{entry.name} is of {value.dtype}, not of numbers")
    return value


def _as_kept(value: np.ndarray, place: Field) -> np.ndarray:
    """Return an entry's numbers in the dtype they are kept in; bytes are only made of what are bytes already."""
    if value.dtype == place.dtype:
        return value
    with np.errstate(invalid="ignore", over="ignore"):  # infinite is what a float32 makes of 1e300
        kept = value.astype(place.dtype)
    if place.dtype.kind in "iu" and value.dtype != np.bool_:
        other = np.flatnonzero((kept != value).reshape(-1))
        if len(other):
            what = value.reshape(-1)[other[0]]
            raise SpaceError(f"{place.entry.name} holds {what}, which is no {place.dtype}")
    return kept


def _ids(value: np.ndarray, entry: Entry, lead: tuple[int, ...]) -> np.ndarray:
    """Return choices counted from 0, `[*lead, number of elements]`."""
    if value.dtype.kind == "f":
        raise SpaceError(f"{entry.name} is of {value.dtype}, not of whole numbers")
    ids = value.reshape(*lead, -1).astype(np.int64) - np.asarray(entry.starts)
    if ((ids < 0) | (ids >= np.asarray(entry.sizes))).any():
        raise SpaceError(f"{entry.name} is {value.tolist()}, which is none of its choices")
    return ids


def _write_one_hot(value: np.ndarray, entry: Entry, lead: tuple[int, ...], out: np.ndarray) -> None:
    ids = _ids(value, entry, lead)
    begins = np.concatenate([[0], np.cumsum(entry.sizes)[:-1]])
    out[...] = 0
    np.put_along_axis(out, (ids + begins).astype(np.int64), 1, axis=-1)
