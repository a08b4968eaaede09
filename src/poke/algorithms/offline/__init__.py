"""Algorithms that learn from recordings to be better than what was recorded."""
