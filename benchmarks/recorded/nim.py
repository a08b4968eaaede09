"""A game of two with action masks, won or lost at its end: Nim, against an opponent that errs half of the time.

Heaps of 3, 4 and 5; who takes the last one wins. An action is a heap and how many to take of it.
"""

from __future__ import annotations

import gymnasium
import numpy as np

HEAPS = (3, 4, 5)
MOVES = [(heap, count) for heap, size in enumerate(HEAPS) for count in range(1, size + 1)]
ERRS = 0.5  # the opponent's share of random moves


def legal(heaps: np.ndarray) -> np.ndarray:
    """Return `[12] bool`: which moves there are."""
    return np.array([count <= heaps[heap] for heap, count in MOVES])


def best(heaps: np.ndarray) -> int | None:
    """Return a move that wins whatever comes, Bouton 1901: one after which the heaps' exclusive or is 0."""
    for number in np.flatnonzero(legal(heaps)):
        heap, count = MOVES[number]
        after = heaps.copy()
        after[heap] -= count
        if np.bitwise_xor.reduce(after) == 0:
            return int(number)
    return None


class Nim(gymnasium.Env):
    """What is seen are the heaps, one-hot. The opponent answers within a step; heaps and who begins are drawn."""

    observation_space = gymnasium.spaces.Box(0, 1, (sum(HEAPS) + len(HEAPS),), np.float32)
    action_space = gymnasium.spaces.Discrete(len(MOVES))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.heaps = np.array([self.np_random.integers(1, size + 1) for size in HEAPS])
        if self.np_random.random() < 0.5 and self.heaps.sum() > 1:
            self._answer()
        if not self.heaps.any():
            self.heaps = np.array(HEAPS)
        return self._seen(), {"action_mask": legal(self.heaps)}

    def step(self, action):
        heap, count = MOVES[action]
        assert self.heaps[heap] >= count, "illegal"
        self.heaps[heap] -= count
        if not self.heaps.any():
            return self._ended(1.0)
        self._answer()
        if not self.heaps.any():
            return self._ended(-1.0)
        return self._seen(), 0.0, False, False, {"action_mask": legal(self.heaps)}

    def _answer(self):
        good = best(self.heaps)
        if good is None or self.np_random.random() < ERRS:
            good = int(self.np_random.choice(np.flatnonzero(legal(self.heaps))))
        heap, count = MOVES[good]
        self.heaps[heap] -= count

    def _ended(self, reward):
        mask = np.ones(len(MOVES), np.bool_)
        return self._seen(), reward, True, False, {"action_mask": mask}

    def _seen(self):
        parts = [
            np.eye(size + 1, dtype=np.float32)[n] for n, size in zip(self.heaps, HEAPS, strict=True)
        ]
        return np.concatenate(parts)


def heaps_of(observation: np.ndarray) -> np.ndarray:
    """Return the heaps that an observation shows."""
    parts = np.split(observation, np.cumsum([size + 1 for size in HEAPS])[:-1])
    return np.array([part.argmax() for part in parts])


gymnasium.register("Nim-v0", Nim, max_episode_steps=20)
