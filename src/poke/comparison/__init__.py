"""Reads run directories and nothing else of poke: which run, which setting, and is it real?"""

from poke.comparison.showing.frames import compare_checkpoints, load_history, load_runs, summarize

__all__ = ["compare_checkpoints", "load_history", "load_runs", "summarize"]
