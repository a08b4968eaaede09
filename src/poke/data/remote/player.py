"""Playing for somebody else: a block at a time, by the weights that come with the order for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from poke.data.play import told
from poke.data.rollout import Collector
from poke.distributed.moments import CommonMoments


class Order(NamedTuple):
    """What a block is to be played by.

    Args:
        policy: the learner's, as its `get_state` returns it: weights, and what is known of observations.
        moments: states of what is known of rewards.
    """

    policy: Mapping[str, Any]
    moments: list[Mapping[str, Any]]


class Played(NamedTuple):
    """A block, and what there is to tell of it.

    Args:
        rows: of `poke.data.block.Rollout.rows`.
        sums: for each of `Play.moments`, what `CommonMoments.sums` returns: of observations and rewards up to here.
        finished: return and length of the episodes that ended in it.
        metrics: what the environments tell.
    """

    rows: dict[str, np.ndarray]
    sums: list[np.ndarray]
    finished: list[tuple[float, int]]
    metrics: dict[str, float]


class Traits(NamedTuple):
    """What is known of environments once they have been made.

    Args:
        masked: as of `poke.protocols.SourceDefaults`.
        moments: shapes of what is learned of rewards.
    """

    masked: bool
    moments: list[tuple[int, ...]]


class Player(Collector):
    """A `Collector` that plays by given weights and hands over what comes of it as plain arrays.

    Its state never holds the episodes under way: what goes on with it begins new ones.
    """

    def traits(self) -> Traits:
        """Return what a learner must know before the first block."""
        return Traits(
            self.masked, [moments.mean.shape for moments in told(self.environments, "moments")]
        )

    def play(self, order: Order) -> Played:
        """Play a block by a policy's state; the next call overwrites what is returned."""
        self._actor.policy.set_state(order.policy)
        for moments, state in zip(told(self.environments, "moments"), order.moments, strict=True):
            moments.set_state(state)
        common = [CommonMoments(moments) for moments in self._play.moments]
        (rollout,) = self._blocks
        self._collect(rollout)
        return Played(
            rollout.rows(),
            [moments.sums() for moments in common],
            self._play.take_finished(),
            self._play.metrics(),
        )

    def get_state(self) -> dict[str, Any]:
        """Return what new environments need of these."""
        return {**super().get_state(), "exact": False}


def begin(
    make: Callable[..., Any], how: Mapping[str, Any], state: Mapping[str, Any] | None
) -> Player:
    """Return a player, which begins with what the one before it had learned.

    Args:
        make: makes an agent that has it for a source.
        how: arguments.
        state: of the one before it; None for none.
    """
    player: Player = make(**how).source
    if state is not None:
        try:
            player.set_state(state)
        except BaseException:
            player.close()
            raise
    return player
