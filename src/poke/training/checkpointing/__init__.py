"""Checkpoints of a run: complete, verified, and nearly free for the loop that saves them."""

from poke.training.checkpointing.contents import Checkpoint
from poke.training.checkpointing.files import CheckpointError
from poke.training.checkpointing.manager import CheckpointManager, load_components
from poke.training.checkpointing.metadata import CheckpointMetadata
from poke.training.checkpointing.survey import best_or_newest

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "CheckpointManager",
    "CheckpointMetadata",
    "best_or_newest",
    "load_components",
]
