"""Battles that others have played, from the logs that servers save: both players' demonstrations."""

from poke.envs.showdown.replays.importer import Importer, Summary

__all__ = ["Importer", "Summary"]
