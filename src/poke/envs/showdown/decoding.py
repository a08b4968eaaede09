"""Read an observation's bytes back by the names of its layout, for people and to check recordings."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from poke.envs.showdown import layout


class ObservationError(ValueError):
    """Bytes that are no observation of the layout; the message is one line."""


def _power(byte: int) -> float:
    """Undo halving and rounding up: powers are multiples of 5, but for a few that are even, and 1."""
    return 2 * byte - (2 * byte % 10 == 6 or byte == 1)


# What a byte means in its natural unit, where it is not the byte itself.
_GLOBAL_UNITS: dict[str, Callable[[int], float]] = dict.fromkeys(
    ("physical_ratio", "special_ratio", "opponent_physical_ratio", "opponent_special_ratio"),
    lambda byte: 2 ** (byte / 16),
)
_POKEMON_UNITS: dict[str, Callable[[int], float]] = {
    "stats": lambda byte: 8 * byte,
    "base_stats": lambda byte: 2 * byte,
    "offence": lambda byte: byte / 16,
    "defence": lambda byte: byte / 16,
    "matchup": lambda byte: byte / 24,
}
_MOVE_UNITS: dict[str, Callable[[int], float]] = {
    "effectiveness": lambda byte: byte / 16,
    "damage": lambda byte: 16 * (2 ** (byte / 20) - 1),
    "base_power": _power,
    "expected_hits": lambda byte: byte / 10,
}


def decode(
    observation: npt.NDArray[np.int8], described: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return what an observation says: ``global``, ``own`` and ``opponent``, JSON-able.

    Features are in their natural units: percent, stages, layers, stats (to the next 8) and base stats (to the next 2)
    as the games have them, effectiveness as a multiplier, ``damage`` as `layout` defines its d. Those of several parts
    are objects of the parts that are not 0. Of the teams, known Pokemon are listed, each with its known moves; ids are
    Showdown's, None where unknown. An own Pokemon's place is its slot, which the actions count.

    Args:
        observation: ``[layout.SIZE]`` int8.
        described: `layout.describe`'s, as the metadata of a recording has it; of any generation by default.

    Raises:
        ObservationError: another layout, or bytes of another number.
    """
    described = _current(described)
    if observation.shape != (described["size"],) or observation.dtype != np.int8:
        raise ObservationError(
            f"an observation is [{described['size']}] int8, not {list(observation.shape)} {observation.dtype}"
        )
    said: dict[str, Any] = {}
    for group in described["groups"]:
        kind = described["kinds"][group["kind"]]
        starts = [group["offset"] + slot * group["size"] for slot in range(group["count"])]
        if group["kind"] == "global":
            said[group["name"]] = _entity(observation, starts[0], kind, _GLOBAL_UNITS)
        else:
            team = [_pokemon(observation, start, kind) for start in starts]
            said[group["name"]] = [pokemon for pokemon in team if pokemon["known"]]
    return said


def check_ranges(observations: npt.NDArray[np.int8], described: Mapping[str, Any]) -> None:
    """Make sure that every value is one that its feature can have.

    Args:
        observations: ``[num, layout.SIZE]`` int8.
        described: as of `decode`.

    Raises:
        ObservationError: the first that is not.
    """
    described = _current(described)
    low, high = _bounds(described["generation"])
    wrong = (observations < low) | (observations > high)
    if wrong.any():
        row, at = (int(n) for n in np.argwhere(wrong)[0])
        name = next(
            name for name, start, size, *_ in _fields(described) if start <= at < start + size
        )
        raise ObservationError(
            f"an observation's {name} has byte {observations[row, at]}, not {low[at]} to {high[at]}"
        )
    for name, start, size, _, table in _fields(described):
        if table:
            ids = np.ascontiguousarray(observations[:, start : start + size]).view("<u2")
            if (ids >= described["tables"][table]).any():
                raise ObservationError(
                    f"an observation's {name} is {ids.max()}, of {described['tables'][table]} ids"
                )


def _current(described: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if described is None:
        return layout.describe(9)
    if older := layout.outdated(described):
        raise ObservationError(f"the observations are in {older}")
    return described


def _pokemon(
    observation: npt.NDArray[np.int8], start: int, kind: Mapping[str, Any]
) -> dict[str, Any]:
    moves = kind["moves"]
    starts = [start + moves["offset"] + slot * moves["size"] for slot in range(moves["count"])]
    said = _entity(observation, start, kind, _POKEMON_UNITS)
    known = [
        move for at in starts if (move := _entity(observation, at, moves, _MOVE_UNITS))["known"]
    ]
    # By `id` people look for a move; its other id is a type's.
    said["moves"] = [{"id": move.pop("move"), **move} for move in known]
    return said


def _entity(
    observation: npt.NDArray[np.int8],
    start: int,
    kind: Mapping[str, Any],
    units: Mapping[str, Callable[[int], float]],
) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for field in kind["ids"]:  # who it is comes first
        at = start + field["offset"]
        number = int(observation[at : at + 2].view("<u2")[0])
        said[field["name"]] = _names()[field["table"]].get(number)
    for field in kind["dense"]:
        unit = units.get(field["name"], float)
        at = start + field["offset"]
        values = [_tidy(unit(byte)) for byte in observation[at : at + field["size"]].tolist()]
        parts = dict(zip(field["parts"], values, strict=True)) if field["parts"] else None
        said[field["name"]] = (
            values[0] if parts is None else {name: value for name, value in parts.items() if value}
        )
    return said


def _tidy(value: float) -> float:
    return int(value) if value == int(value) else round(value, 3)


@functools.cache
def _names() -> dict[str, dict[int, str]]:
    return {t: {number: name for name, number in ids.items()} for t, ids in layout.tables().items()}


def _fields(described: Mapping[str, Any]) -> Iterator[tuple[str, int, int, tuple[int, int], str]]:
    """Yield each field's name, offset, size, range of its bytes and table ('' for none)."""

    def entity(name: str, start: int, kind: Mapping[str, Any]) -> Iterator[Any]:
        for f in kind["dense"]:
            yield f"{name}.{f['name']}", start + f["offset"], f["size"], (f["low"], f["high"]), ""
        for f in kind["ids"]:
            at = start + f["offset"]
            yield f"{name}.{f['name']}", at, f["size_bytes"], (-128, 127), f["table"]

    for group in described["groups"]:
        kind = described["kinds"][group["kind"]]
        for slot in range(group["count"]):
            name = group["name"] if group["count"] == 1 else f"{group['name']}[{slot}]"
            start = group["offset"] + slot * group["size"]
            yield from entity(name, start, kind)
            moves = kind.get("moves", {"count": 0})
            for move in range(moves["count"]):
                at = start + moves["offset"] + move * moves["size"]
                yield from entity(f"{name}.moves[{move}]", at, moves)


@functools.cache
def _bounds(generation: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]:
    low, high = (np.zeros(layout.SIZE, np.int8) for _ in range(2))
    for _, start, size, (least, most), _ in _fields(layout.describe(generation)):
        low[start : start + size], high[start : start + size] = least, most
    return low, high
