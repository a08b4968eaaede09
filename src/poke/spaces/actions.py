"""What a policy chooses among, and how its choice becomes what the environment takes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from poke.spaces.observations import SpaceError

KINDS = ("discrete", "multi_discrete", "multi_binary", "continuous")


@dataclass(frozen=True)
class ActionSpace:
    """What a policy chooses among.

    A policy's own actions are counted from 0 and flat: `[batch]` int64 of ``discrete``, `[batch, parts]` int64 of
    ``multi_discrete`` and ``multi_binary`` (0 or 1), `[batch, size]` float32 of ``continuous``.

    Args:
        kind: ``discrete``, ``multi_discrete``, ``multi_binary`` or ``continuous``.
        sizes: of the discrete kinds: how many values each part has, in flat order.
        starts: likewise each part's least value, as the environment counts.
        shape: of an action as the environment takes it.
        dtype: likewise.
        low: of ``continuous``: each number's bounds, flat; infinite where there are none.
        high: likewise.
        bounds: how a continuous action is brought within them: ``clip``, or ``squash`` by a hyperbolic tangent.
    """

    kind: str
    sizes: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()
    dtype: str = "int64"
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    bounds: str = "clip"

    @classmethod
    def discrete(cls, num_actions: int, start: int = 0) -> ActionSpace:
        """Return the space of one choice among `num_actions`."""
        return cls("discrete", (num_actions,), (start,))

    @classmethod
    def continuous_box(
        cls,
        shape: tuple[int, ...],
        low: Any = -math.inf,
        high: Any = math.inf,
        *,
        bounds: str = "clip",
        dtype: str = "float32",
    ) -> ActionSpace:
        """Return the space of arrays of numbers.

        Args:
            shape: of an action.
            low: number or array of that shape.
            high: likewise.
            bounds: as of the class.
            dtype: as the environment takes it.
        """
        ends = (np.broadcast_to(end, shape).reshape(-1).tolist() for end in (low, high))
        lows, highs = (tuple(float(number) for number in end) for end in ends)
        return cls(
            "continuous", shape=tuple(shape), dtype=dtype, low=lows, high=highs, bounds=bounds
        )

    @property
    def continuous(self) -> bool:
        """Whether an action is numbers, not choices."""
        return self.kind == "continuous"

    @property
    def num_outputs(self) -> int:
        """How many numbers a network puts out for a policy: a logit a choice, or the means of numbers."""
        if self.kind == "continuous":
            return math.prod(self.shape)
        return len(self.sizes) if self.kind == "multi_binary" else sum(self.sizes)

    @property
    def mask_size(self) -> int:
        """How wide an action mask is; 0 where none makes sense."""
        return sum(self.sizes) if self.kind in ("discrete", "multi_discrete") else 0

    @property
    def action_shape(self) -> tuple[int, ...]:
        """Of a policy's own action."""
        if self.kind == "discrete":
            return ()
        return (math.prod(self.shape) if self.continuous else len(self.sizes),)

    @property
    def action_dtype(self) -> np.dtype[Any]:
        """Of a policy's own action."""
        return np.dtype(np.float32 if self.continuous else np.int64)

    @cached_property
    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        # In the environment's own precision, so that no rounding puts a number beyond its bounds.
        low, high = (np.asarray(end, self.dtype) for end in (self.low, self.high))
        return low, high

    @cached_property
    def _bounded(self) -> bool:
        return any(map(math.isfinite, self.low + self.high))

    @cached_property
    def _counts_from(self) -> np.ndarray | None:
        return np.asarray(self.starts).reshape(self.action_shape) if any(self.starts) else None

    @cached_property
    def _dtype(self) -> np.dtype[Any]:
        return np.dtype(self.dtype)

    def draw(
        self, generator: np.random.Generator, count: int, action_mask: np.ndarray | None = None
    ) -> np.ndarray:
        """Draw actions without any preference.

        Choices are uniform over what is legal; numbers uniform within their bounds, as the environment takes them, and
        standard normal where they have none on one side.

        Args:
            generator: is drawn from.
            count: how many.
            action_mask: `[count, mask_size]` bool, true where legal; None where everything is.

        Returns:
            `[count, *action_shape]`, a policy's own.
        """
        if not self.continuous:
            return self._draw_choices(generator, count, action_mask)
        low, high = (np.asarray(end, np.float64) for end in (self.low, self.high))
        bounded = np.isfinite(low) & np.isfinite(high)
        uniform = generator.random((count, len(low)))
        normal = generator.standard_normal((count, len(low)))
        with np.errstate(invalid="ignore"):
            drawn = np.where(bounded, low + uniform * (high - low), normal)
        return self.from_environment(drawn.astype(np.float32))

    def _draw_choices(
        self, generator: np.random.Generator, count: int, action_mask: np.ndarray | None
    ) -> np.ndarray:
        sizes = (2,) * len(self.sizes) if self.kind == "multi_binary" else self.sizes
        weight = generator.random((count, sum(sizes)))
        if action_mask is not None:
            weight = np.where(action_mask, weight, -1.0)
        parts = np.split(weight, np.cumsum(sizes)[:-1], axis=1)
        # The greatest of independent uniform numbers is any of them with the same chance.
        action = np.stack([part.argmax(axis=1) for part in parts], axis=1)
        return action.reshape(count, *self.action_shape)

    def to_environment(self, action: np.ndarray) -> np.ndarray:
        """Return a policy's actions as the environment takes them: within bounds, in its shape, counted as it counts.

        Args:
            action: `[batch, *action_shape]`.

        Returns:
            `[batch, *shape]` of `dtype`.
        """
        if self.continuous:
            low, high = self._ends
            if self.bounds == "squash":
                action = low + (np.tanh(action) + 1) / 2 * (high - low)
            if self._bounded:
                action = np.minimum(np.maximum(action, low), high)
        elif self._counts_from is not None:
            action = action + self._counts_from
        return action.reshape(len(action), *self.shape).astype(self._dtype, copy=False)

    def log_slope(self, action: np.ndarray) -> np.ndarray:
        """Return the logarithm of how much `to_environment` stretches around a policy's squashed actions.

        Subtracted from the log-density of a policy's own action it makes the one of the environment's.

        Args:
            action: `[batch, size]` float32, of ``continuous`` actions with ``squash``.

        Returns:
            `[batch]` float32.
        """
        low, high = self._ends
        # log(1 - tanh(a)^2), which is 0 too soon where it is computed as it stands.
        bent = 2 * (math.log(2) - action - np.logaddexp(0, -2 * action))
        return (
            (bent + np.log(np.where(high > low, high - low, 1) / 2)).sum(axis=1).astype(np.float32)
        )

    def from_environment(self, action: np.ndarray) -> np.ndarray:
        """Return actions of the environment as a policy's own; squashed ones a hair within the bounds.

        Args:
            action: `[batch, *shape]`.

        Returns:
            `[batch, *action_shape]` of `action_dtype`.
        """
        action = np.asarray(action).reshape(len(action), *self.action_shape)
        if self.continuous and self.bounds == "squash":
            low, high = self._ends
            span = np.where(high > low, high - low, 1)
            unit = np.clip((action - low) / span * 2 - 1, -1 + 1e-6, 1 - 1e-6)
            action = np.arctanh(unit)
        elif self._counts_from is not None:
            action = action - self._counts_from
        return action.astype(self.action_dtype, copy=False)

    def read_mask(self, mask: Any, *lead: int) -> np.ndarray:
        """Return an action mask as `[*lead, mask_size]` bool.

        Args:
            mask: numbers that are true where legal, or for several choices a tuple of one such array each, nested as
                the choices are.
            lead: the axes before, none or the batch.

        Raises:
            SpaceError: this space takes no mask, or it has another width.
        """
        if not self.mask_size:
            raise SpaceError(f"an action mask is of choices, and these actions are {self}")
        try:
            parts = list(_flat(mask)) if isinstance(mask, tuple | list) else []
            if len(self.sizes) > 1 and len(parts) == len(self.sizes):
                mask = np.concatenate(parts, axis=-1)
            array = np.asarray(mask)
        except ValueError as error:  # lists of different lengths
            raise SpaceError(f"an action mask is no array: {error}") from error
        if array.shape != (*lead, self.mask_size):
            raise SpaceError(
                f"an action mask has shape {list(array.shape)}, not {[*lead, self.mask_size]}"
            )
        return array.astype(np.bool_)

    def to_dict(self) -> dict[str, Any]:
        """Return the space as JSON holds it; an infinite bound as null."""
        values = {name: list(getattr(self, name)) for name in ("sizes", "starts", "shape")}
        ends = {
            name: [number if math.isfinite(number) else None for number in getattr(self, name)]
            for name in ("low", "high")
        }
        return {"kind": self.kind, "dtype": self.dtype, "bounds": self.bounds, **values, **ends}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ActionSpace:
        """Return what `to_dict` was taken of."""
        rest = {name: tuple(values[name]) for name in ("sizes", "starts", "shape")}
        low = tuple(-math.inf if number is None else number for number in values["low"])
        high = tuple(math.inf if number is None else number for number in values["high"])
        return cls(
            values["kind"],
            dtype=values["dtype"],
            bounds=values["bounds"],
            low=low,
            high=high,
            **rest,
        )

    def __str__(self) -> str:
        if self.continuous:
            return f"numbers {list(self.shape)}"
        if self.kind == "discrete":
            return f"one of {self.sizes[0]}"
        return f"{self.kind} {list(self.sizes)}"


def _flat(mask: Any) -> Iterator[Any]:
    """Yield the arrays of nested tuples."""
    for part in mask:
        if isinstance(part, tuple):
            yield from _flat(part)
        else:
            yield np.asarray(part)
