"""Battles on a local Pokemon Showdown server; `players` and `arena` need poke-env, which is imported with them."""

from poke.envs.showdown.server.local import ShowdownServer

__all__ = ["ShowdownServer"]
