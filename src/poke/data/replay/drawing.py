"""Which transitions are drawn: any alike, or rather those that an algorithm was wrong about.

Schaul et al., "Prioritized Experience Replay", ICLR 2016: proportional prioritisation, section 3.3, importance weights,
section 3.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

EPSILON = 1e-6  # what is not wrong at all is drawn at times all the same


class Uniform:
    """Draws any transition with the same chance, with replacement."""

    def draw(
        self, count: int, size: int, generator: np.random.Generator
    ) -> tuple[np.ndarray, None]:
        """Return `count` places below `size`; all count alike."""
        return generator.integers(size, size=count), None

    def add(self, places: np.ndarray) -> None:
        """Take note of new transitions: nothing to do."""

    def tell(self, places: np.ndarray, error: np.ndarray) -> None:
        """Take note of errors: nothing to do."""

    def get_state(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take nothing back."""


class Prioritized:
    """Draws transition i with chance p_i^alpha / sum p^alpha, where p is how wrong the algorithm was about it last.

    What is new has the greatest priority so far. A sum tree, as the paper's appendix B.2.1 has it; a batch goes
    through it level by level, in numpy.

    Args:
        capacity: of the buffer.
        alpha: how much errors matter; 0: not at all.
        beta: how much of the bias weights take away, `(1 / (N P(i)))^beta` over the greatest of the batch.
    """

    def __init__(self, capacity: int, alpha: float, beta: float) -> None:
        self._alpha = alpha
        self.beta = beta
        self._depth = max(1, (capacity - 1).bit_length())
        self._first = 1 << self._depth  # the first leaf
        # Fast path: nodes of this level and below are kept. A running sum over the level replaces what is above it,
        # which is half the work of a draw and of an update; where a mass lies must be as in the whole tree.
        self._top = self._depth // 2
        self._capacity = capacity
        self._tree = np.zeros(2 * self._first)
        self._greatest = 1.0

    def draw(
        self, count: int, size: int, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return `count` places below `size`, one of each of as many ranges of equal mass, and their weights."""
        tree, width = self._tree, 1 << self._top
        sums = np.concatenate([[0.0], np.cumsum(tree[width : 2 * width])])
        total = sums[-1]
        mass = (np.arange(count) + generator.random(count)) * (total / count)
        mass = np.minimum(mass, np.nextafter(total, 0))
        number = np.searchsorted(sums, mass, side="right") - 1
        mass -= sums[number]
        node = number + width
        for _ in range(self._depth - self._top):
            node *= 2
            left = tree[node]
            # Rounding must not lead to where no mass is.
            right = (mass >= left) & (tree[node + 1] > 0)
            mass -= left * right
            node += right
        places = node - self._first
        chance = tree[node] / total
        weight = (size * chance) ** -self.beta
        return places, (weight / weight.max()).astype(np.float32)

    def add(self, places: np.ndarray) -> None:
        """Give new transitions the greatest priority so far."""
        self._set(places, np.full(len(places), self._greatest))

    def tell(self, places: np.ndarray, error: np.ndarray) -> None:
        """Take note of absolute errors, `[batch]`; of a transition that is there twice the last counts."""
        # A device's update that met what is not finite is skipped, and said later: no draw may come of it.
        known = np.isfinite(error)
        if not known.all():
            places, error = places[known], error[known]
        priority = (error.astype(np.float64) + EPSILON) ** self._alpha
        self._greatest = max(self._greatest, float(priority.max(initial=0.0)))
        self._set(places, priority)

    def get_state(self) -> dict[str, Any]:
        """Return the priorities; sums are made of them."""
        leaves = self._tree[self._first : self._first + self._capacity]
        return {"priority": torch.from_numpy(leaves), "greatest": self._greatest}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned."""
        self._greatest = state["greatest"]
        self._tree.fill(0)
        self._tree[self._first : self._first + self._capacity] = state["priority"].numpy()
        for level in range(self._depth - 1, self._top - 1, -1):
            nodes = slice(1 << level, 2 << level)
            below = self._tree[2 << level : 4 << level]
            self._tree[nodes] = below[::2] + below[1::2]

    def _set(self, places: np.ndarray, priority: np.ndarray) -> None:
        tree, node = self._tree, places + self._first
        tree[node] = priority
        # Fast path: what a step of one environment adds, as below, in a fifth of the time.
        if len(node) == 1:
            number = int(node[0])
            for _ in range(self._depth - self._top):
                number //= 2
                tree[number] = tree[2 * number] + tree[2 * number + 1]
            return
        for _ in range(self._depth - self._top):
            node = node // 2  # one may come twice, and is the same sum each time
            tree[node] = tree[2 * node] + tree[2 * node + 1]
