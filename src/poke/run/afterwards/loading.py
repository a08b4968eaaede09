"""How commands that let a policy act load it."""

from __future__ import annotations

from typing import Any

from poke.policies import loading
from poke.policies.policy import Policy
from poke.run.device import limit_threads


def load(place: Any, **how: Any) -> Policy:
    """Load a policy as `poke.load` does, into a process of poke's own: one thread computes there, as in a run."""
    limit_threads(1)
    return loading.load(place, **how)
