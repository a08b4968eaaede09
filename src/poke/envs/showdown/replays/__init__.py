"""Battles that others have played, from the logs that servers save: both players' demonstrations."""

from poke.envs.showdown.replays.found import Summary
from poke.envs.showdown.replays.importer import Importer

__all__ = ["Importer", "Summary"]
