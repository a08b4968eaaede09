"""Experience from other processes and machines: players in a cluster, whose blocks are joined."""

from poke.data.remote.player import Player
from poke.data.remote.source import RemoteCollector

__all__ = ["Player", "RemoteCollector"]
