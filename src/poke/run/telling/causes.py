"""Whose doing it was that a run failed: something around it, or the run itself. Imports no torch.

What came from outside may not come again, so that the run can go on from its last checkpoint; what it did itself it
would do again.
"""

from __future__ import annotations

from collections.abc import Iterator

from poke.distributed.ranks import RankLostError

OUTSIDE, OWN = "outside", "own"
# What is not imported for this, by name: memory that a GPU has not, a worker process that was killed.
OTHERS = {"OutOfMemoryError", "BrokenProcessPool", "TerminatedWorkerError", "ActorLostError"}


def cause_of(error: BaseException) -> str:
    """Return ``outside`` for a disk, a network, a memory or a process that failed the run, else ``own``."""
    return OUTSIDE if any(map(_is_from_outside, _chain(error))) else OWN


def _is_from_outside(error: BaseException) -> bool:
    # EOFError: the other end of a pipe, a worker process, is gone.
    if isinstance(error, OSError | MemoryError | EOFError):
        return True
    if isinstance(error, RankLostError):
        return error.outside
    return any(kind.__name__ in OTHERS for kind in type(error).__mro__)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those it was raised from, as a checkpoint that cannot be written is from a full disk."""
    while error is not None:
        yield error
        error = error.__cause__
