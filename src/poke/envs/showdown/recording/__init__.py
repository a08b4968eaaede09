"""Demonstrations of scripted players, recorded in the workers."""

from poke.envs.showdown.recording.recorder import Progress, Recorder

__all__ = ["Progress", "Recorder"]
