"""Demonstrations held in memory, split by episode, served in shuffled batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from poke.data import trajectories
from poke.data.fingerprint import file_digest, fingerprint, held_out
from poke.data.trajectories import DataError, Trajectories


@dataclass(frozen=True)
class DemonstrationBatch:
    """Decisions of a teacher.

    Args:
        observation: `[batch, *observation_shape]` in the dtype it was recorded in.
        action: `[batch]` int64.
        action_mask: `[batch, num_actions]` bool, true where legal; None where everything is.
        num_steps: 1, for one gradient update.
    """

    observation: Tensor
    action: Tensor
    action_mask: Tensor | None
    num_steps: int = 1

    @property
    def num_samples(self) -> int:
        """How many decisions these are."""
        return len(self.action)


class Demonstrations:
    """Source: a file of demonstrations, shuffled anew every epoch.

    Which episodes are held out does not depend on the run's seed: runs with different seeds are judged on the same
    decisions, and after episodes were appended on the old ones still. The incomplete last batch of an epoch is left
    out. `fingerprint` says what was read and how it was split.

    Args:
        path: a file in poke's schema, ``sample:NAME`` for one shipped with poke, or what was read already.
        batch_size: decisions an update.
        val_fraction: share of the episodes held out.
        seed: of the order in which decisions are served.
        device: where the decisions are kept.

    Raises:
        DataError: the file is missing or wrong, or one side of the split is empty.
    """

    def __init__(
        self,
        path: str | Trajectories,
        *,
        batch_size: int,
        val_fraction: float,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        # Before the rows, so that a file replaced in between looks changed afterwards and not the same.
        file = None if isinstance(path, Trajectories) else file_digest(path)
        data = path if isinstance(path, Trajectories) else trajectories.read(path)
        path = data.metadata.get("name", "the data") if isinstance(path, Trajectories) else path
        if data.action.ndim != 1:
            raise DataError(
                f"{path} holds continuous actions, behaviour cloning here takes discrete ones"
            )
        self.observation_space = data.observation_space
        self.action_space = data.action_space
        self.masked = data.action_mask is not None
        self.observation_clip = None  # recorded observations are taken as they are
        layout = self.observation_space.layout
        self.action_kinds = _action_kinds(layout, self.action_space.num_outputs, device)
        self.epoch = 0

        kept_back = held_out(data.num_episodes, val_fraction)[data.episode]
        if not kept_back.any() or kept_back.all():
            side = "training" if kept_back.all() else "validation"
            raise DataError(
                f"{path} has {data.num_episodes} episodes: "
                f"with data.val_fraction={val_fraction} the {side} split is empty"
            )
        self.fingerprint = fingerprint(data, str(path), val_fraction, file=file)
        # One copy of the data, and the rows of either side: a copy of each side would take it twice.
        self._decisions = _all_decisions(data, device)
        self._training = torch.from_numpy(np.flatnonzero(~kept_back)).to(device)
        self._validation = torch.from_numpy(np.flatnonzero(kept_back)).to(device)
        self._batch_size = min(batch_size, self.num_training)
        self._device = device
        self._generator = torch.Generator().manual_seed(seed)
        self._begin_epoch()

    @property
    def num_training(self) -> int:
        """How many decisions are trained on."""
        return len(self._training)

    @property
    def num_validation(self) -> int:
        """How many decisions are held out."""
        return len(self._validation)

    def sample(self) -> DemonstrationBatch:
        """Return the next `batch_size` decisions of the epoch."""
        if self._position + self._batch_size > len(self._order):
            self.epoch += 1
            self._begin_epoch()
        index = self._order[self._position : self._position + self._batch_size]
        self._position += self._batch_size
        return self._select(index)

    def validation_batches(self, batch_size: int) -> Iterator[DemonstrationBatch]:
        """Yield every held-out decision once, in the file's order."""
        for start in range(0, self.num_validation, batch_size):
            yield self._select(self._validation[start : start + batch_size])

    def get_state(self) -> dict[str, Any]:
        """Return the position, and the generator as it was when this epoch's order was drawn."""
        return {
            "epoch": self.epoch,
            "position": self._position,
            "generator_at_epoch_start": self._generator_at_epoch_start,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Draw the epoch's order again and go to the position in it."""
        self.epoch = state["epoch"]
        self._generator.set_state(state["generator_at_epoch_start"])
        self._begin_epoch()
        self._position = state["position"]

    def _begin_epoch(self) -> None:
        self._generator_at_epoch_start = self._generator.get_state()
        order = torch.randperm(self.num_training, generator=self._generator)
        self._order = self._training[order.to(self._device)]
        self._position = 0

    def _select(self, rows: Tensor) -> DemonstrationBatch:
        whole, mask = self._decisions, self._decisions.action_mask
        # A fifth of what indexing by a tensor takes.
        return DemonstrationBatch(
            observation=whole.observation.index_select(0, rows),
            action=whole.action.index_select(0, rows),
            action_mask=None if mask is None else mask.index_select(0, rows),
        )


def _all_decisions(data: Trajectories, device: str | torch.device) -> DemonstrationBatch:
    mask = data.action_mask
    return DemonstrationBatch(
        observation=torch.from_numpy(data.observation).to(device),
        action=torch.from_numpy(data.action).to(device),
        action_mask=None if mask is None else torch.from_numpy(mask).to(device),
    )


def _action_kinds(
    layout: Mapping[str, Any] | None, num_actions: int, device: str | torch.device
) -> dict[str, Tensor]:
    """Which actions are switches and which are moves, in whatever way; nothing where there is no layout."""
    kinds: dict[str, Tensor] = {}
    for action in (layout or {}).get("actions", []):
        name = "switch" if action["name"] == "switch" else "move"
        mask = kinds.setdefault(name, torch.zeros(num_actions, dtype=torch.bool, device=device))
        mask[action["offset"] : action["offset"] + action["count"]] = True
    return kinds
