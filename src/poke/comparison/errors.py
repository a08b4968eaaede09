"""What a person can have asked wrongly."""

from __future__ import annotations


class ComparisonError(ValueError):
    """A question that the runs cannot answer; the message is one line and names near matches."""
