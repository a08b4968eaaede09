"""Ranks: the processes that learn together, as one of them sees them; and the one that learns alone.

Every rank holds the same weights and takes the same steps. What is served together does not depend on how many they
are: of its rows rank r has those numbered r, r + N, r + 2N, ..., of environments likewise, and what is drawn for rows
is drawn for all of them by every rank. So N ranks compute what one would, to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Ranks(Protocol):
    """The processes that learn together.

    What its methods say is done by all of them together is called by all of them, in the same order.

    Raises:
        RankLostError: another one failed, died or was not heard of in time; from every method that exchanges anything.
    """

    rank: int  # this one's number, from 0
    size: int  # how many they are

    def part(self, total: int, what: str) -> int:
        """Return how many of so many things, environments or decisions, are this rank's.

        Args:
            total: how many all ranks have together.
            what: for the error.

        Raises:
            ValueError: ranks cannot share them equally.
        """
        ...

    def share(self, rows: Any, axis: int = 0) -> Any:
        """Return this rank's of what an array or tensor holds of all of them, `[rank::size]` along an axis."""
        ...

    def draws(self, generator: np.random.Generator) -> np.random.Generator:
        """Return what draws for this rank's rows as `generator` would draw for those of all.

        It has the methods that policies and action spaces draw by: random, standard_normal, logistic. The generator's
        state stays the same on every rank.
        """
        ...

    def average(self, gradients: Sequence[Tensor], told: Tensor, weight: float) -> Tensor:
        """Average what each rank has found on its share, together.

        Args:
            gradients: float32, made the mean over all ranks in place; none for what is told alone.
            told: `[n]` float32 means over this rank's share.
            weight: how much its share has of the whole, such as the number of its rows; 0 for nothing.

        Returns:
            The means of what is told. What is NaN or infinite on one rank is so on all.
        """
        ...

    def mean(self, metrics: Mapping[str, Any], weight: int) -> Mapping[str, Any]:
        """Return the mean of every metric over the ranks that know it, together.

        Args:
            metrics: of this rank.
            weight: of how many decisions they are means.
        """
        ...

    def whole(self, own: np.ndarray, axis: int = 0) -> np.ndarray:
        """Put the shares of an array, equal in shape, together again along an axis."""
        ...

    def gather(self, own: Any) -> list[Any]:
        """Return every rank's value, by rank, together."""
        ...

    def agree(self, *wishes: bool) -> tuple[bool, ...]:
        """Return which wishes one of the ranks has, together."""
        ...

    def collect(self, own: Callable[[], Any]) -> list[Any]:
        """Return, on rank 0, what `own` returns on the others, by rank; on these nothing. Together."""
        ...

    def led(self, work: Callable[[], bool]) -> bool:
        """Let rank 0 do something that takes as long as it takes, and return what came of it, together."""
        ...

    def heard(self) -> AbstractContextManager[None]:
        """Return a context in which messages are exchanged by torch itself, whose errors become `RankLostError`."""
        ...


class Alone:
    """Ranks: one process, which has it all and waits for nobody."""

    rank = 0
    size = 1

    def part(self, total: int, what: str) -> int:
        """All of them."""
        return total

    def share(self, rows: Any, axis: int = 0) -> Any:
        """All of it."""
        return rows

    def draws(self, generator: np.random.Generator) -> np.random.Generator:
        """The generator itself."""
        return generator

    def average(self, gradients: Sequence[Tensor], told: Tensor, weight: float) -> Tensor:
        """What is told."""
        return told

    def mean(self, metrics: Mapping[str, Any], weight: int) -> Mapping[str, Any]:
        """The metrics themselves."""
        return metrics

    def whole(self, own: np.ndarray, axis: int = 0) -> np.ndarray:
        """The array itself."""
        return own

    def gather(self, own: Any) -> list[Any]:
        """This one's value."""
        return [own]

    def agree(self, *wishes: bool) -> tuple[bool, ...]:
        """The wishes themselves."""
        return wishes

    def collect(self, own: Callable[[], Any]) -> list[Any]:
        """Nothing: there are no others."""
        return []

    def led(self, work: Callable[[], bool]) -> bool:
        """Do it."""
        return work()

    def heard(self) -> AbstractContextManager[None]:
        """There are no messages."""
        return nullcontext()


ALONE = Alone()


class RankLostError(RuntimeError):
    """Another rank failed, was killed or hangs; the message is one line.

    Its traceback, where there is one, is a note of the exception.

    Args:
        rank: its number; None where nobody knows whose connection broke.
        what: became of it.
        traceback: its own, if it could send one.
        outside: whether something around the run did it, see `poke.run.telling.causes`.
        hangs: whether it may still be there.
    """

    def __init__(
        self,
        rank: int | None,
        what: str,
        traceback: str | None = None,
        *,
        outside: bool = False,
        hangs: bool = False,
    ) -> None:
        super().__init__(what if rank is None else f"rank {rank}: {what}")
        self.rank, self.outside, self.hangs = rank, outside, hangs
        if traceback:
            self.add_note(traceback)
