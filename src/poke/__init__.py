"""poke: an experiment runner for agents that learn to play."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poke.policies.loading import load

__version__ = "0.2.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is asked for."""
    if name == "load":
        from poke.policies.loading import load

        return load
    raise AttributeError(f"module 'poke' has no attribute {name!r}")
