"""poke: an experiment runner for agents that learn to play."""

__version__ = "0.1.0"
