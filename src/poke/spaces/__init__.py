"""Observations and actions as plain values: what goes into a policy and comes out of it.

Imports neither torch nor Gymnasium.
"""

from poke.spaces.actions import ActionSpace
from poke.spaces.normalization import ObservationNormalizer, RunningMoments
from poke.spaces.observations import Entry, ObservationSpace, SpaceError

__all__ = [
    "ActionSpace",
    "Entry",
    "ObservationNormalizer",
    "ObservationSpace",
    "RunningMoments",
    "SpaceError",
]
