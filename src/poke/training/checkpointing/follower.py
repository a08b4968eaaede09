"""What ranks other than 0 do of a checkpoint."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from poke.training.checkpointing.contents import state_of
from poke.training.checkpointing.metadata import CheckpointMetadata
from poke.training.checkpointing.shards import Shards


class CheckpointFollower:
    """Stands for the manager where that is another rank's: saves the parts of shared tensors, when rank 0 does.

    Args:
        shards: this rank's.
        names: components that are saved; None for all.
    """

    def __init__(self, shards: Shards, names: Collection[str] | None) -> None:
        self._shards = shards
        self._names = names

    def save(self, components: Mapping[str, Any], metadata: CheckpointMetadata) -> None:
        """Copy this rank's parts, as `CheckpointManager.save` does, and have them written."""
        names = self._names or components
        states = {
            name: state_of(components[name], name)
            for name in names
            if hasattr(components[name], "get_state")  # what rank 0 alone has shares nothing
        }
        self._shards.take(states)
