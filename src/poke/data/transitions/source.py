"""Transitions of recorded episodes as a source."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from poke.data.demonstrations import DemonstrationBatch, Demonstrations, Learner
from poke.data.experience import Experience, Transitions
from poke.data.files.described import DataError
from poke.data.files.steps import Trajectories
from poke.data.transitions.steps import look_ahead, returns_of
from poke.distributed.ranks import ALONE, Ranks

log = logging.getLogger("poke")


class RecordedTransitions(Demonstrations):
    """Source: transitions of one file of recorded episodes or several, shuffled anew every epoch.

    Split, order and fingerprint are those of `Demonstrations`; what is held out may be asked for as decisions, too. A
    decision is learned from if it is known what was chosen, and what that led to: the last one of an episode that was
    cut off counts only where the file holds what was seen then, which is said where it does not.

    Args:
        path: as of `Demonstrations`.
        batch_size: transitions an update.
        val_fraction: share of the episodes held out.
        n_step: how many steps a transition spans.
        gamma: discount factor of Monte-Carlo returns.
        action_bounds, normalize_observation, in_memory, cache: as of `Demonstrations`.
        seed, device, filled, filter, shares, ranks: likewise.

    Raises:
        DataError: as of `Demonstrations`; or nothing is known of what decisions led to.
    """

    def __init__(
        self,
        path: str | Sequence[str] | Trajectories,
        *,
        batch_size: int,
        val_fraction: float,
        n_step: int = 1,
        gamma: float | None = None,
        normalize_observation: bool = False,
        action_bounds: str | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
        filled: str = "keep",
        filter: str | None = None,
        shares: Sequence[float] | None = None,
        in_memory: bool = True,
        cache: str | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self._n_step = n_step
        self._gamma = 1.0 if gamma is None else gamma
        super().__init__(
            path,
            batch_size=batch_size,
            val_fraction=val_fraction,
            seed=seed,
            device=device,
            filled=filled,
            filter=filter,
            shares=shares,
            action_bounds=action_bounds,
            normalize_observation=normalize_observation,
            in_memory=in_memory,
            cache=cache,
            ranks=ranks,
        )

    def attach(self, algorithm: Learner) -> None:
        """Let the policy's normaliser, if it has one, learn of what is trained on.

        Raises:
            DataError: the policy has a memory.
        """
        if algorithm.policy.initial_state(1) is not None:
            raise DataError(
                "data=transitions serves single transitions: leave out network.memory, or take data=file"
            )
        super().attach(algorithm)

    def sample(self) -> Experience:  # type: ignore[override]
        """Return the next `batch_size` transitions of the epoch."""
        rows = self._next()
        part = self._transitions(rows)
        self._expect()
        return Experience([part], 1, len(rows))

    def draw(self, count: int, generator: torch.Generator) -> Transitions:
        """Return transitions of training, drawn with replacement; the epoch goes on as if nothing had been drawn.

        Args:
            count: how many.
            generator: on the CPU, is drawn from.
        """
        places = torch.randint(len(self._training), (count,), generator=generator)
        return self._transitions(self._training[places.to(self._training.device)])

    def validation_transitions(self, batch_size: int) -> Iterator[Transitions]:
        """Yield every held-out transition once, in the file's order."""
        for rows in self._valued.split(batch_size):
            yield self._transitions(rows)

    def first_batches(self, batch_size: int) -> Iterator[DemonstrationBatch]:
        """Yield the first decision of every held-out episode once, in the file's order."""
        for rows in self._first.split(batch_size):
            yield self._select(rows)

    def _prepare(self, data: Trajectories) -> None:
        ahead = look_ahead(data, self._n_step)
        if not ahead.known.all():
            log.warning(
                "%s: of %s decisions it is not known what they led to, and they are not learned from by value: the "
                "recording holds no final observation of episodes that were cut off",
                self.fingerprint.name,
                f"{int((~ahead.known).sum()):,}",
            )
        known = self._tensor(ahead.known)
        self._training = self._training[known[self._training]]
        self._valued = self._validation[known[self._validation]]
        self._first = self._validation[self._tensor(data.timestep == 0)[self._validation]]
        if not len(self._training) or (len(self._validation) and not len(self._valued)):
            raise DataError(
                f"{self.fingerprint.name}: on a side of the split it is of no decision known what it led to"
            )
        self._ahead = self._tensor(ahead.next)
        self._length = self._tensor(ahead.length)
        self._terminated = self._tensor(ahead.terminated)
        decided = ahead.decided & data.is_chosen[np.minimum(ahead.next, len(data) - 1)]
        self._decided = self._tensor(decided)
        self._reward = self._tensor(data.reward)
        self._return = self._tensor(returns_of(data, self._gamma))
        if data.finals is not None:
            self._observed.append(data.finals)

    def _transitions(self, rows: Tensor) -> Transitions:
        following = self._ahead[rows]
        acted = following.clamp(max=len(self._action) - 1)
        observation, mask = self._observed.take(rows)
        next_observation, next_mask = self._observed.take(following)
        return Transitions(
            observation=observation,
            action=self._action.index_select(0, rows),
            action_mask=mask,
            reward=self._rewards(rows),
            length=self._length[rows],
            terminated=self._terminated[rows],
            next_observation=next_observation,
            next_action_mask=next_mask,
            return_=self._return[rows],
            next_action=self._action.index_select(0, acted),
            next_chosen=self._decided[rows],
            rows=rows,
        )

    def _rows_of(self, index: Tensor) -> Sequence[Tensor]:
        return [index, self._ahead[index]]

    def _rewards(self, rows: Tensor) -> Tensor:
        """Return `[batch, n]`: the rewards of each row and those after it, 0 behind the steps that are spanned."""
        if self._n_step == 1:
            return self._reward[rows].unsqueeze(1)
        ahead = torch.arange(self._n_step, device=rows.device)
        places = (rows.unsqueeze(1) + ahead).clamp(max=len(self._reward) - 1)
        return self._reward[places] * (ahead < self._length[rows].unsqueeze(1))

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self._device)
