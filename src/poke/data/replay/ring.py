"""The newest transitions, in columns that are saved by what is new."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from poke.data.experience import Transitions
from poke.spaces import ActionSpace, ObservationSpace

Row = Mapping[str, Any]


class Ring:
    """Transitions, the oldest overwritten by the newest.

    Both observations of a transition are kept: the next one once more, so that nothing has to be known of where an
    episode goes on.

    Args:
        capacity: how many there are at most.
        observation_space: decides shape and dtype of observations, which are kept as they came.
        action_space: likewise of actions.
        masked: whether there are action masks.
        n_step: how many rewards a transition may have.
    """

    def __init__(
        self,
        capacity: int,
        observation_space: ObservationSpace,
        action_space: ActionSpace,
        *,
        masked: bool,
        n_step: int,
    ) -> None:
        self.capacity = capacity
        self.num_appended = 0
        arrays = {
            "observation": observation_space.empty(capacity),
            "next_observation": observation_space.empty(capacity),
            "action": np.zeros((capacity, *action_space.action_shape), action_space.action_dtype),
            "reward": np.zeros((capacity, n_step), np.float32),
            "length": np.zeros(capacity, np.int64),
            "terminated": np.zeros(capacity, np.bool_),
        }
        if masked:
            for name in ("action_mask", "next_action_mask"):
                arrays[name] = np.ones((capacity, action_space.mask_size), np.bool_)
        self._arrays = arrays  # the same memory as the columns
        self.columns = {name: torch.from_numpy(array) for name, array in arrays.items()}

    def __len__(self) -> int:
        return min(self.num_appended, self.capacity)

    def append(self, row: Row) -> int:
        """Take a transition, by the names of the columns, and return its place."""
        place = self.num_appended % self.capacity
        for name, array in self._arrays.items():
            array[place] = row[name]
        self.num_appended += 1
        return place

    def extend(self, rows: Mapping[str, np.ndarray]) -> np.ndarray:
        """Take many at once, `[count, ...]` each, and return their places; of more than fit the last are kept."""
        count = len(rows["length"])
        numbers = np.arange(self.num_appended, self.num_appended + count)[-self.capacity :]
        places = numbers % self.capacity
        for name, array in self._arrays.items():
            array[places] = rows[name][-self.capacity :]
        self.num_appended += count
        return places

    def select(self, places: np.ndarray) -> Transitions:
        """Return the transitions at places `[batch] int64`."""
        index = torch.from_numpy(places)
        chosen: dict[str, Any] = {
            name: column.index_select(0, index) for name, column in self.columns.items()
        }
        chosen.setdefault("action_mask", None)
        chosen.setdefault("next_action_mask", None)
        return Transitions(**chosen, rows=index)

    def get_state(self) -> dict[str, Any]:
        """Return the columns as checkpoints save them: by the rows that are new since the save before."""
        return {"ring_columns": self.columns, "num_appended": self.num_appended, "generation": 0}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned.

        Raises:
            ValueError: it is of another capacity, or of other columns.
        """
        theirs: Mapping[str, Tensor] = state["ring_columns"]
        capacity = len(theirs["length"])
        if capacity != self.capacity:
            raise ValueError(
                f"data.capacity was {capacity} and is {self.capacity}: init_from= starts anew"
            )
        if theirs["reward"].shape != self.columns["reward"].shape:
            was, now = theirs["reward"].shape[1], self.columns["reward"].shape[1]
            raise ValueError(f"data.n_step was {was} and is {now}: init_from= starts anew")
        self.num_appended = state["num_appended"]
        used = slice(len(self))  # memory that is not used yet stays unused
        for name, column in self.columns.items():
            column[used] = theirs[name][used]
