"""Battles to look at: what one player saw and thought, in a terminal and as pages. Imports no torch."""

from poke.envs.showdown.watching.chronicle import Chronicle, Thoughts

__all__ = ["Chronicle", "Thoughts"]
