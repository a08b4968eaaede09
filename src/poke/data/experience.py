"""What value-based algorithms learn from: transitions, some at a time, wherever they come from.

A transition leads from a decision to the next decision of the same player, or n decisions further. Rewards on the way
are kept apart, so that an algorithm may discount them as it likes, by several factors at once too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Protocol

import torch
from torch import Tensor

from poke.data.moving import moved


@dataclass(frozen=True)
class Transitions:
    """Some transitions, drawn at once.

    Args:
        observation: `[batch, *observation_shape]`, normalised where the policy has a normaliser.
        action: a policy's own: `[batch] int64` of one choice, `[batch, parts]` of several, `[batch, size] float32` of
            numbers.
        action_mask: `[batch, mask_size] bool`, true where legal; None where everything always is.
        reward: `[batch, n] float32`: of the steps from this decision on, 0 behind the last of them.
        length: `[batch] int64`, 1 to n: how many steps lie between the two observations.
        terminated: `[batch] bool`: the last of these steps ended the episode, and nothing comes after it. Where an
            episode was cut off instead, the next observation is its final one.
        next_observation: as `observation`; where terminated it means nothing, but is finite.
        next_action_mask: as `action_mask`; where terminated it means nothing, but allows an action.
        return_: `[batch] float32`: the discounted sum of all rewards from this decision to the episode's end, by the
            factor the source was given; None where it is not known, as in a replay buffer.
        next_action: as `action`: what was done on the next observation; None where it is not known.
        next_chosen: `[batch] bool`: where there is such an action.
        weight: `[batch] float32`: what each counts in a loss; None where all count 1.
        rows: `[batch] int64`: their numbers in the source, for `Experience.tell`.
    """

    observation: Tensor
    action: Tensor
    action_mask: Tensor | None
    reward: Tensor
    length: Tensor
    terminated: Tensor
    next_observation: Tensor
    next_action_mask: Tensor | None
    return_: Tensor | None = None
    next_action: Tensor | None = None
    next_chosen: Tensor | None = None
    weight: Tensor | None = None
    rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.length)

    def to(self, device: torch.device) -> Transitions:
        """Return the same on a device."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{n: moved(c, device) for n, c in columns.items() if c is not None})

    def bridge(self, gammas: Tensor, reward_scale: float = 1.0) -> tuple[Tensor, Tensor]:
        """Return what lies between the two observations, and what the value of the second counts.

        Sutton & Barto, "Reinforcement Learning", 2nd edition, equation 7.1: the n-step return is
        ``sum_k gamma^k r_k + gamma^n V(next)``.

        Args:
            gammas: `[factors] float32`, discount factors.
            reward_scale: rewards are multiplied by this.

        Returns:
            The discounted rewards and the next value's factor, both `[batch, factors] float32`; the latter is 0 where
            the episode ended.
        """
        powers = gammas ** torch.arange(self.reward.shape[1], device=gammas.device)[:, None]
        rewards = (self.reward * reward_scale) @ powers
        goes_on = (~self.terminated).to(rewards.dtype)
        return rewards, gammas ** self.length[:, None] * goes_on[:, None]


class Told(Protocol):
    """A source that wants to know how wrong an algorithm was."""

    def tell(self, rows: Tensor, error: Tensor) -> None:
        """Take note of absolute temporal-difference errors, both `[batch]`, of rows of `Transitions.rows`."""
        ...


@dataclass
class Experience:
    """What one update learns from: a minibatch a gradient step, drawn when it is asked for.

    Args:
        minibatches: may be gone through once. None comes while a replay buffer warms up.
        num_minibatches: how many come.
        batch_size: how many transitions each has.
        num_steps: how far this moves the clock: 1 offline, the transitions played online.
        metrics: what the source has to tell, of episodes.
        told: is told of errors; None: nobody wants to know.
    """

    minibatches: Iterable[Transitions]
    num_minibatches: int
    batch_size: int
    num_steps: int = 1
    metrics: Mapping[str, float] = field(default_factory=dict)
    told: Told | None = None

    @property
    def num_samples(self) -> int:
        """How many transitions are learned from, for the rates."""
        return self.num_minibatches * self.batch_size

    def tell(self, part: Transitions, error: Tensor) -> None:
        """Tell the source how wrong the algorithm was, before the next minibatch is drawn.

        Args:
            part: the minibatch.
            error: `[batch]`, absolute temporal-difference errors.
        """
        if self.told is not None and part.rows is not None:
            self.told.tell(part.rows, error.detach())
