"""Gymnasium's environments: spaces, wrappers, ways to step several, and their state as plain values."""

from poke.envs.gym.environment import GymEnvironment

__all__ = ["GymEnvironment"]
