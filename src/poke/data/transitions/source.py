"""Transitions of recorded episodes as a source."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from poke.data.demonstrations import DemonstrationBatch, Demonstrations, Learner
from poke.data.experience import Experience, Transitions
from poke.data.steps import DataError, Finals, Trajectories
from poke.data.transitions.steps import look_ahead, returns_of

log = logging.getLogger("poke")

CLIP = 10.0  # of normalised observations


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
        normalize_observation: give the policy statistics of the observations that are trained on, and serve them
            normalised.
        action_bounds: how the policy keeps numbers within their bounds: None as recorded (``clip``), or ``squash``.
        seed, device, filled, filter, shares: as of `Demonstrations`.

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
        )
        self.observation_clip = CLIP if normalize_observation else None
        self._normalizer: Any = None
        self._normalized = False

    def attach(self, algorithm: Learner) -> None:
        """Let the policy's normaliser, if it has one, learn of what is trained on.

        Raises:
            DataError: the policy has a memory.
        """
        if algorithm.policy.initial_state(1) is not None:
            raise DataError(
                "data=transitions serves single transitions: leave out network.memory, or take data=file"
            )
        self._normalizer = algorithm.policy.normalizer
        if self._normalizer is not None:
            for rows in self._training.split(65_536):  # a copy of all would take as much again
                self._normalizer.learn(self._decisions.observation[rows].cpu().numpy())

    def sample(self) -> Experience:  # type: ignore[override]
        """Return the next `batch_size` transitions of the epoch."""
        return Experience([self._transitions(self._next())], 1, self._batch_size)

    def draw(self, count: int, generator: torch.Generator) -> Transitions:
        """Return transitions of training, drawn with replacement; the epoch goes on as if nothing had been drawn.

        Args:
            count: how many.
            generator: on the CPU, is drawn from.
        """
        places = torch.randint(len(self._training), (count,), generator=generator)
        return self._transitions(self._training[places.to(self._training.device)])

    def validation_batches(self, batch_size: int) -> Iterator[DemonstrationBatch]:
        """Yield every held-out decision once, in the file's order."""
        self._normalize()
        yield from super().validation_batches(batch_size)

    def validation_transitions(self, batch_size: int) -> Iterator[Transitions]:
        """Yield every held-out transition once, in the file's order."""
        for rows in self._valued.split(batch_size):
            yield self._transitions(rows)

    def first_batches(self, batch_size: int) -> Iterator[DemonstrationBatch]:
        """Yield the first decision of every held-out episode once, in the file's order."""
        self._normalize()
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
        if not len(self._training) or not len(self._valued):
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
            self._append(data.finals)

    def _append(self, finals: Finals) -> None:
        """Put final observations behind all others, so that every next one has a row."""
        whole = self._decisions
        observation = torch.cat([whole.observation, self._tensor(finals.observation)])
        mask = whole.action_mask
        if mask is not None and finals.action_mask is not None:
            mask = torch.cat([mask, self._tensor(finals.action_mask)])
        self._decisions = replace(whole, observation=observation, action_mask=mask)

    def _transitions(self, rows: Tensor) -> Transitions:
        self._normalize()
        whole, mask = self._decisions, self._decisions.action_mask
        following = self._ahead[rows]
        acted = following.clamp(max=len(whole.action) - 1)
        return Transitions(
            observation=whole.observation.index_select(0, rows),
            action=whole.action.index_select(0, rows),
            action_mask=None if mask is None else mask.index_select(0, rows),
            reward=self._rewards(rows),
            length=self._length[rows],
            terminated=self._terminated[rows],
            next_observation=whole.observation.index_select(0, following),
            next_action_mask=None if mask is None else mask.index_select(0, following),
            return_=self._return[rows],
            next_action=whole.action.index_select(0, acted),
            next_chosen=self._decided[rows],
            rows=rows,
        )

    def _rewards(self, rows: Tensor) -> Tensor:
        """Return `[batch, n]`: the rewards of each row and those after it, 0 behind the steps that are spanned."""
        if self._n_step == 1:
            return self._reward[rows].unsqueeze(1)
        ahead = torch.arange(self._n_step, device=rows.device)
        places = (rows.unsqueeze(1) + ahead).clamp(max=len(self._reward) - 1)
        return self._reward[places] * (ahead < self._length[rows].unsqueeze(1))

    def _normalize(self) -> None:
        """Normalise all observations, once: by what the policy knows when the first is served, restored or its own."""
        if self._normalizer is None or self._normalized:
            return
        self._normalized = True
        observation = self._decisions.observation
        for start in range(0, len(observation), 65_536):
            rows = observation[start : start + 65_536]
            rows.copy_(torch.from_numpy(self._normalizer(rows.cpu().numpy())))

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self._device)
