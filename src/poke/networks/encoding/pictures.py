"""Which observations are pictures, and how one is read. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from poke.spaces import Entry

# A shorter side is none of a picture's. Two axes are more often a few vectors, stacked.
SHORTEST_SIDE = 7
SHORTEST_GREY_SIDE = 16
# Bounds further off are those of a type and tell nothing of the values in it.
LARGEST_BOUND = 1e5


@dataclass(frozen=True)
class Picture:
    """How a picture's axes are to be read.

    Args:
        order: the axes, those that are channels first, then height and width.
        channels: how many, of all frames.
        height: in pixels.
        width: likewise.
    """

    order: tuple[int, ...]
    channels: int
    height: int
    width: int


def read_picture(shape: tuple[int, ...]) -> Picture | None:
    """Return how an array of two to four axes is read as a picture; None where it is too small or has others.

    Two axes are height and width. Of three, one is channels or frames: the first or the last, whichever leaves a
    square, else the shorter, else the first. A fourth, before them, is frames.
    """
    if not 2 <= len(shape) <= 4:
        return None
    axes = tuple(range(len(shape)))
    order = axes
    if len(shape) > 2 and _channels_last(*shape[-3:]):
        order = (*axes[:-3], axes[-1], axes[-3], axes[-2])
    height, width = (shape[axis] for axis in order[-2:])
    if min(height, width) < SHORTEST_SIDE:
        return None
    return Picture(order, math.prod(shape[axis] for axis in order[:-2]), height, width)


def is_picture(entry: Entry) -> bool:
    """Whether a part of an observation is a picture rather than a vector: numbers or bytes of three or four axes.

    Of two axes it is one if its sides are longer and its bounds known, as those of bytes always are.
    """
    if entry.kind == "discrete" or read_picture(entry.shape) is None:
        return False
    if len(entry.shape) > 2:
        return True
    return min(entry.shape) >= SHORTEST_GREY_SIDE and None not in bounds(entry)


def bounds(entry: Entry) -> tuple[float | None, float | None]:
    """Return the least and the largest value; None where it is not known."""
    least, largest = (0.0, 255.0) if entry.dtype == "uint8" else (None, None)
    return (
        least if entry.low is None else entry.low,
        largest if entry.high is None else entry.high,
    )


def divisor(entry: Entry) -> float:
    """Return by what values are divided so that they lie within -1 and 1; 1 where they do or may be anything."""
    low, high = bounds(entry)
    if low is None or high is None:
        return 1.0
    largest = max(abs(low), abs(high))
    return largest if 1 < largest <= LARGEST_BOUND else 1.0


def _channels_last(first: int, middle: int, last: int) -> bool:
    if (first == middle) != (middle == last):
        return first == middle
    return last < first
