"""Recorded transitions: what value-based algorithms learn from offline."""

from poke.data.transitions.source import RecordedTransitions

__all__ = ["RecordedTransitions"]
