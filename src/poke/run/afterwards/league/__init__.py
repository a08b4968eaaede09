"""Everyone against everyone: who wins how often, and what rating that makes."""

from poke.run.afterwards.league.playing import play_league

__all__ = ["play_league"]
