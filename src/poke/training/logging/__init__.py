"""Metrics taken at every step and handed to each sink at its own frequency. Imports no torch."""

from poke.training.logging.logger import MetricsLogger

__all__ = ["MetricsLogger"]
