"""Let a policy battle, and say how it did."""

from poke.run.afterwards.playing.elsewhere import visit
from poke.run.afterwards.playing.hosting import host
from poke.run.afterwards.playing.locally import play
from poke.run.afterwards.playing.players import PlayingError

__all__ = ["PlayingError", "host", "play", "visit"]
