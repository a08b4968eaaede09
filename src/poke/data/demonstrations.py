"""Demonstrations held in memory, split by episode, served in shuffled batches of decisions or of sequences."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from poke.data.choosing import chosen_rows, parts_of
from poke.data.files.fingerprint import Fingerprint, files_digest, fingerprint, held_out
from poke.data.files.mapped import read_mapped
from poke.data.files.several import paths_of, read_all
from poke.data.observed import CLIP, MappedObserved, Observed, forget_filled
from poke.data.sequences import Sequences, episodes_of, side_by_side
from poke.data.trajectories import DataError, Trajectories
from poke.distributed.ranks import ALONE, Ranks
from poke.spaces import ActionSpace


@dataclass(frozen=True)
class DemonstrationBatch:
    """Decisions of a teacher.

    Args:
        observation: `[batch, *observation_shape]` in the dtype it was recorded in; `[time, batch, ...]` of sequences,
            and so of all below.
        action: `[batch, *action_shape]` int64, or float32 of continuous ones: a policy's own.
        action_mask: `[batch, mask_size]` bool, true where legal; None where everything is.
        num_steps: 1, for one gradient update.
        real: of sequences, `[time, batch]` bool: false after a sequence's end, and where the choice is not known. Each
            begins with an episode, or in its middle, and is of one episode alone.
    """

    observation: Tensor
    action: Tensor
    action_mask: Tensor | None
    num_steps: int = 1
    real: Tensor | None = None

    @property
    def num_samples(self) -> int:
        """How many decisions these are."""
        return len(self.action) if self.real is None else int(self.real.count_nonzero())

    def parts(self, count: int) -> list[DemonstrationBatch]:
        """Return the same decisions, or sequences, as batches of nearly equal size, at most so many and none empty."""
        axis = 0 if self.real is None else 1
        length = self.action.shape[axis]
        ends = [length * k // count for k in range(count + 1)]
        names = ("observation", "action", "action_mask", "real")
        columns = {n: c for n in names if (c := getattr(self, n)) is not None}
        return [
            replace(self, **{n: c.narrow(axis, a, b - a) for n, c in columns.items()})
            for a, b in itertools.pairwise(ends)
            if b > a
        ]


class Learner(Protocol):
    """An algorithm that learns from demonstrations."""

    policy: Any


class Demonstrations:
    """Source: a file of demonstrations, or several as one, shuffled anew every epoch.

    Which episodes are held out does not depend on the run's seed: runs with different seeds are judged on the same
    decisions, and after episodes were appended on the old ones still. The incomplete last batch of an epoch is left
    out. `fingerprint` says what was read and how it was split.

    Decisions whose choice nobody knows, of imported replays, are not learned from and not judged by; a policy with a
    memory sees them all the same.

    An algorithm whose policy has a memory is given sequences in place of single decisions, once it is attached.

    Args:
        path: a file in poke's schema, ``sample:NAME`` for one shipped with poke, several of these, or what was read
            already.
        batch_size: decisions an update; of sequences, as many as have so many decisions if none is cut short.
        sequence_length: decisions a sequence; an episode's last one may be shorter.
        val_fraction: share of the episodes held out; with 0 nothing is, and nothing can be validated.
        seed: of the order in which decisions are served.
        device: where the decisions are kept.
        filled: what of imported observations was not known by then, only from later lines of the log or not at all:
            ``keep`` serves it as it is, ``zero`` as 0.
        filter: which episodes are trained on: None for all, ``best:SHARE`` or ``winners``, see `poke.data.choosing`.
            What is held out stays.
        shares: of several files, how much of what is served each has; None for as much as it holds.
        action_bounds: how a policy is to keep numbers within their bounds: None for as recorded, which is ``clip``, or
            ``squash``, for algorithms that need a policy that cannot leave them.
        normalize_observation: give the policy statistics of the observations that are trained on, and serve them
            normalised.
        in_memory: false for recordings larger than memory: they are decoded once into a folder, see
            `poke.data.files.mapped`, and a batch reads its own rows there. What is served is the same.
        cache: that folder; None for one beside the first file.
        ranks: the processes that learn together. The order is that of all; each is served its share of every batch.

    Raises:
        DataError: the file is missing or wrong, or nothing is left to train on, or to validate by what is held out; or
            ranks cannot share a batch equally.
    """

    def __init__(
        self,
        path: str | Sequence[str] | Trajectories,
        *,
        batch_size: int,
        val_fraction: float,
        sequence_length: int = 32,
        seed: int = 0,
        device: str | torch.device = "cpu",
        filled: str = "keep",
        filter: str | None = None,
        shares: Sequence[float] | None = None,
        action_bounds: str | None = None,
        normalize_observation: bool = False,
        in_memory: bool = True,
        cache: str | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        data, episodes, self.fingerprint = _read(path, val_fraction, in_memory, cache, filled)
        self.observation_space = data.observation_space
        self.action_space = _bounded(data.action_space, action_bounds)
        self.masked = data.action_mask is not None
        self.metadata = data.metadata  # what the file says of itself
        self.observation_clip = CLIP if normalize_observation else None
        layout = self.observation_space.layout
        self.action_kinds = _action_kinds(layout, self.action_space.num_outputs, device)
        self.epoch = 0

        kept_back = held_out(episodes, val_fraction)[data.episode]
        name = self.fingerprint.name
        if kept_back.all():
            raise DataError(
                f"{name} has {data.num_episodes} episodes: "
                f"with data.val_fraction={val_fraction} the training split is empty"
            )
        self._device = device
        # One copy of the data, and the rows of either side: a copy of each side would take it twice.
        if in_memory and filled == "zero" and data.marks is not None:
            forget_filled(data)
        self._observed = (Observed if in_memory else MappedObserved)(
            data.observation, data.action_mask, device
        )
        self._action = torch.from_numpy(_own(data.action, self.action_space)).to(device)
        self._is_chosen = data.is_chosen
        training = ~kept_back
        if filter is not None:
            training &= chosen_rows(data, filter, training)
        rows = [np.flatnonzero(side & self._is_chosen) for side in (training, kept_back)]
        self._training, self._validation = (torch.from_numpy(side).to(device) for side in rows)
        if not len(rows[0]) or (kept_back.any() and not len(rows[1])):
            raise DataError(f"{name}: one side of the split has no decision whose choice is known")
        self._episodes = episodes_of(data)
        self._kept_back = kept_back
        self._is_trained_on = training
        self._parts = parts_of(data, episodes, shares)
        self._prepare(data)
        self._sequences: Sequences | None = None  # that are trained on, for a policy with a memory
        self._sequence_length = sequence_length
        self._served = self._training  # what is shuffled: rows, or numbers of sequences
        self._ranks = ranks
        self._batch_size = self._shared(min(batch_size, self.num_training))
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

    def _prepare(self, data: Trajectories) -> None:
        """Take what else is served of the data, before the first epoch begins."""

    def attach(self, algorithm: Learner) -> None:
        """Serve sequences from now on if this algorithm's policy has a memory; let its normaliser learn, if any."""
        if self.observation_clip is not None:
            self._observed.teach(algorithm.policy.normalizer, self._training)
        if algorithm.policy.initial_state(1) is None or self._sequences is not None:
            return
        training = [rows for rows in self._episodes if self._is_trained_on[rows.start]]
        if self._parts is not None:
            raise DataError(
                "data.shares and weights of episodes are of single decisions: leave out network.memory"
            )
        self._sequences = Sequences(training, self._sequence_length, self._is_chosen)
        self._served = torch.arange(len(self._sequences), device=self._device)
        wanted = max(1, self._batch_size // self._sequence_length)
        self._batch_size = self._shared(min(wanted, len(self._sequences)))
        self._generator.set_state(self._generator_at_epoch_start)
        self._begin_epoch()

    def sample(self) -> DemonstrationBatch:
        """Return the next `batch_size` decisions of the epoch, or sequences of so many."""
        index = self._next()
        if self._sequences is None:
            batch = self._select(index)
        else:
            batch = self._select_sequences(*self._sequences.rows(index.cpu().numpy()))
        self._expect()
        return batch

    def validation_batches(self, batch_size: int) -> Iterator[DemonstrationBatch]:
        """Yield every held-out decision once, in the file's order; for a memory, in whole episodes."""
        if self._sequences is not None:
            held_back = [rows for rows in self._episodes if self._kept_back[rows.start]]
            for together in side_by_side(held_back, batch_size):
                whole = Sequences(together, max(map(len, together)), self._is_chosen)
                yield self._select_sequences(*whole.rows(np.arange(len(whole))))
            return
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
        self._observed.forget()

    def _next(self) -> Tensor:
        """Return what is served next, of an epoch begun anew where too little is left of this one."""
        if self._position + self._batch_size > len(self._order):
            self.epoch += 1
            self._begin_epoch()
        index = self._order[self._position : self._position + self._batch_size]
        self._position += self._batch_size
        return self._ranks.share(index)

    def _expect(self) -> None:
        """Say what `sample` will ask for next, where this epoch says so."""
        order, start, size = self._order, self._position, self._batch_size
        if start + size <= len(order):
            index = self._ranks.share(order[start : start + size])
            self._observed.expect(lambda: self._rows_of(index))

    def _rows_of(self, index: Tensor) -> Sequence[Tensor]:
        """Return which rows of observations are taken for what `_next` returns."""
        if self._sequences is None:
            return [index]
        rows, _ = self._sequences.rows(index.cpu().numpy())
        return [torch.from_numpy(rows.reshape(-1))]

    def _shared(self, size: int) -> int:
        """Return how much all ranks are served at once, if they can share it equally."""
        try:
            self._ranks.part(size, "data.batch_size")
        except ValueError as error:
            raise DataError(str(error)) from None
        return size

    def _begin_epoch(self) -> None:
        self._generator_at_epoch_start = self._generator.get_state()
        if self._parts is None:
            order = torch.randperm(len(self._served), generator=self._generator)
        else:
            order = self._parts.order(self._served.cpu().numpy(), self._generator)
        self._order = self._served[order.to(self._device)]
        self._position = 0

    def _select(self, rows: Tensor) -> DemonstrationBatch:
        observation, mask = self._observed.take(rows)
        return DemonstrationBatch(observation, self._action.index_select(0, rows), mask)

    def _select_sequences(self, rows: np.ndarray, real: np.ndarray) -> DemonstrationBatch:
        flat = self._select(torch.from_numpy(rows.reshape(-1)).to(self._device))
        mask = flat.action_mask
        return DemonstrationBatch(
            observation=flat.observation.unflatten(0, rows.shape),
            action=flat.action.unflatten(0, rows.shape),
            action_mask=None if mask is None else mask.unflatten(0, rows.shape),
            real=torch.from_numpy(real).to(self._device),
        )


def _read(
    path: str | Sequence[str] | Trajectories,
    val_fraction: float,
    in_memory: bool,
    cache: str | None,
    filled: str,
) -> tuple[Trajectories, list[int], Fingerprint]:
    """Return what a path holds, how many episodes each of its files has, and what was read."""
    if isinstance(path, Trajectories):
        name, episodes = path.metadata.get("name", "the data"), [path.num_episodes]
        return path, episodes, fingerprint(path, name, val_fraction, episodes=episodes)
    paths = paths_of(path)
    # Before the rows, so that a file replaced in between looks changed afterwards and not the same.
    file = files_digest(paths)
    content = None
    if in_memory:
        data, episodes = read_all(paths)
    else:
        data, episodes, content = read_mapped(paths, file, cache=cache, filled=filled)
    about = fingerprint(data, path, val_fraction, file=file, episodes=episodes, content=content)
    return data, episodes, about


def _own(action: np.ndarray, space: ActionSpace) -> np.ndarray:
    """Actions as the policy has them; numbers are recorded as the environment got them."""
    return space.from_environment(action) if space.continuous else action


def _bounded(space: ActionSpace, bounds: str | None) -> ActionSpace:
    if bounds is None or not space.continuous:
        return space
    if bounds == "squash" and not np.isfinite([*space.low, *space.high]).all():
        raise DataError("data.action_bounds=squash needs bounds on every number of an action")
    return replace(space, bounds=bounds)


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
