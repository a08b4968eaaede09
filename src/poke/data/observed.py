"""What was seen when decisions were made, by row, as it is served."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from poke.data.files.steps import Finals, Trajectories
from poke.data.moving import moved

Read = tuple[Tensor, Tensor | None]  # observations and masks
CLIP = 10.0  # of normalised observations
_BYTES_AT_ONCE = 4 << 20  # of observations that are learned from or normalised together


class Observed:
    """Observations and their action masks, kept on a device.

    Args:
        observation: `[N, *shape]`, is written to where observations are normalised.
        action_mask: `[N, mask_size] bool`; None where every action always is legal.
        device: where they are kept and served.
    """

    def __init__(
        self, observation: np.ndarray, action_mask: np.ndarray | None, device: str | torch.device
    ) -> None:
        self._device = device
        self._observation = torch.from_numpy(observation).to(device)
        self._mask = None if action_mask is None else torch.from_numpy(action_mask).to(device)
        self._normalizer: Any = None
        self._normalized = False

    def append(self, finals: Finals) -> None:
        """Put final observations behind all others, so that each has a row."""
        seen = torch.from_numpy(finals.observation).to(self._device)
        self._observation = torch.cat([self._observation, seen])
        if self._mask is not None and finals.action_mask is not None:
            legal = torch.from_numpy(finals.action_mask).to(self._device)
            self._mask = torch.cat([self._mask, legal])

    def teach(self, normalizer: Any, rows: Tensor) -> None:
        """Let a normaliser learn of rows, and from the first `take` on serve what it makes of observations.

        Args:
            normalizer: `poke.spaces.ObservationNormalizer`. What it knows when the first rows are taken is what they
                are normalised by: its own statistics, or those of a checkpoint that were restored since.
            rows: `[count] int64`.
        """
        self._normalizer = normalizer
        for some in rows.split(self._at_once()):  # a copy of all would take as much again
            normalizer.learn(self._raw(some))

    def expect(self, following: Callable[[], Sequence[Tensor]]) -> None:
        """Take note of what will be taken next.

        Args:
            following: returns the rows of each `take` that is to come; may be called in another thread, or not at all.
        """

    def forget(self) -> None:
        """Expect nothing any more."""

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return observations and their masks.

        Args:
            rows: `[count] int64`.
        """
        if self._normalizer is not None and not self._normalized:
            self._normalize()
        # A fifth of what indexing by a tensor takes.
        mask = None if self._mask is None else self._mask.index_select(0, rows)
        return self._observation.index_select(0, rows), mask

    def _raw(self, rows: Tensor) -> np.ndarray:
        return np.asarray(self._observation.index_select(0, rows).cpu())

    def _normalize(self) -> None:
        """Normalise all, once: a batch at a time it would be done again every epoch."""
        self._normalized = True
        for some in self._observation.split(self._at_once()):
            some.copy_(torch.from_numpy(self._normalizer(some.cpu().numpy())))

    def _at_once(self) -> int:
        row = self._observation[0].numel() * self._observation.element_size()
        return max(1, _BYTES_AT_ONCE // row)


class MappedObserved(Observed):
    """The same of arrays that lie in a file: a batch reads its own rows, and is normalised by itself.

    Fast path: what is expected is read by a thread meanwhile, so that nobody waits for the disk; what comes instead is
    read when it is asked for, and served the same.

    Args:
        observation, action_mask: as of `Observed`; are not written to.
        device: where they are served.
    """

    def __init__(
        self, observation: np.ndarray, action_mask: np.ndarray | None, device: str | torch.device
    ) -> None:
        self._device = device
        self._seen, self._legal = observation, action_mask
        self._finals: Finals | None = None
        self._normalizer = None
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="poke-reading")
        self._coming: Future[list[tuple[Tensor, Read]]] | None = None

    def append(self, finals: Finals) -> None:
        """As of `Observed`; there are few of them, and they stay where they are."""
        self._finals = finals

    def expect(self, following: Callable[[], Sequence[Tensor]]) -> None:
        """As of `Observed`."""
        self._coming = self._reading.submit(
            lambda: [(rows, self._read(rows)) for rows in following()]
        )

    def forget(self) -> None:
        """As of `Observed`."""
        self._coming = None

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """As of `Observed`."""
        read: Read | None = None
        if self._coming is not None:
            read = next((read for r, read in self._coming.result() if torch.equal(r, rows)), None)
        observation, mask = read or self._read(rows)
        return moved(observation, self._device), None if mask is None else moved(mask, self._device)

    def _read(self, rows: Tensor) -> Read:
        observation = self._raw(rows)
        if self._normalizer is not None:
            observation = self._normalizer(observation)
        mask = None
        if self._legal is not None:
            finals = None if self._finals is None else self._finals.action_mask
            mask = torch.from_numpy(_gathered(self._legal, finals, rows))
        return torch.from_numpy(observation), mask

    def _raw(self, rows: Tensor) -> np.ndarray:
        finals = None if self._finals is None else self._finals.observation
        return _gathered(self._seen, finals, rows)

    def _at_once(self) -> int:
        return max(1, _BYTES_AT_ONCE // self._seen[0].nbytes)


def _gathered(array: np.ndarray, behind: np.ndarray | None, rows: Tensor) -> np.ndarray:
    """Return rows of an array, and of what stands behind it."""
    places = rows.cpu().numpy()
    found = array[np.minimum(places, len(array) - 1)]
    if behind is not None:
        after = places >= len(array)
        found[after] = behind[places[after] - len(array)]
    return found


def forget_filled(data: Trajectories) -> None:
    """Make what was not known 0, in place: some rows at a time, a second copy would take too much."""
    flat = data.observation.reshape(len(data), -1)
    for start in range(0, len(data), 4096):
        rows = slice(start, start + 4096)
        flat[rows] *= data.is_known(rows)
