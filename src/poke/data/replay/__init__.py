"""A replay buffer as a source: what was played lately, drawn again and again."""

from poke.data.replay.source import Replay

__all__ = ["Replay"]
