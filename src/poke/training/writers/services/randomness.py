"""Python's global random generator is the run's: it was seeded, and its state is in the checkpoints."""

from __future__ import annotations

import random
import sys


def spare_global_random(*packages: str) -> None:
    """Give the modules of libraries a generator of their own, as many as are imported by now.

    They draw names and pauses from the global one, from other threads, at moments that no resume repeats.
    """
    own = random.Random()
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in packages and getattr(module, "random", None) is random:
            module.random = own  # type: ignore[attr-defined]
