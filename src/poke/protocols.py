"""The contracts between the parts. Imports nothing of poke, and torch for types only.

Glossary: a *step* is one gradient update offline and one environment transition online; an *epoch* is one
pass over a dataset; a *category* (``train``, ``val``, ``eval``, ``time``, ``system``) names a stream of metrics
and is the first part of a metric's full name, ``category/name``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class Stateful(Protocol):
    """An object whose state can be saved and restored exactly.

    State is values, never live objects: tensors, numbers, str, bytes, None, and lists, tuples and dicts of them, so
    that ``torch.load(weights_only=True)`` reads it back. Wherever a Stateful is asked for, an object with
    torch's own ``state_dict``/``load_state_dict`` is taken too.
    """

    def get_state(self) -> dict[str, Any]:
        """Return the state. The caller must not change it and copies what it keeps."""
        ...

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore a state that ``get_state`` of an equally configured object returned."""
        ...


class Batch(Protocol):
    """One update's worth of experience."""

    @property
    def num_steps(self) -> int:
        """How far this batch moves the clock: 1 offline, the number of transitions online."""
        ...

    @property
    def num_samples(self) -> int:
        """How many decisions it holds, for the rates."""
        ...


class Policy(Stateful, Protocol):
    """Chooses actions; its state is all that this takes, see `poke.policies.policy.Policy`."""

    def choose(
        self,
        observation: Any,
        *,
        action_mask: Any = None,
        state: Any = None,
        explore: bool = False,
        generator: Any = None,
    ) -> Any:
        """Return something with an attribute ``action``: for a batch of observations, the actions."""
        ...

    def initial_state(self, batch_size: int) -> Any:
        """Return a memory of nothing for so many episodes side by side; None where there is no memory."""
        ...


class Algorithm(Stateful, Protocol):
    """Owns optimizers, schedules and hyper-parameters, and the policy that it trains."""

    policy: Policy

    def update(self, batch: Any) -> Mapping[str, Tensor | float]:
        """Make one update and return its metrics.

        Raises:
            NonFiniteError: a loss is NaN or infinite; the weights are as they were before the call.
        """
        ...


class Source(Stateful, Protocol):
    """Owns experience: a dataset, a rollout collector, a replay buffer.

    One of recorded data may have an attribute ``fingerprint``, with ``to_dict()``, as `poke.data.fingerprint` makes
    them: what was read and which of it is held out, so that a resume on other data is noticed and named. Where it is
    missing, nobody can tell.
    """

    @property
    def epoch(self) -> int:
        """How many passes over the dataset are complete; 0 where there is no dataset."""
        ...

    def sample(self) -> Batch:
        """Return one update's worth of experience."""
        ...


class Evaluator(Stateful, Protocol):
    """Measures an algorithm without changing it or any random state of training.

    One that films episodes has an attribute ``film``: the last evaluation's, `[time, height, width, 3] uint8`, or None.
    One that knows its metrics' names before it measures has ``metric_names``, a tuple of str without the category:
    exactly those that ``evaluate`` returns. Where it is missing, a mistyped monitor is answered after the first
    evaluation.
    """

    @property
    def category(self) -> str:
        """The metrics' category: ``val`` for held-out data, ``eval`` for episodes played."""
        ...

    def evaluate(self, algorithm: Any) -> Mapping[str, float]:
        """Return the metrics, names without their category."""
        ...


class Writer(Stateful, Protocol):
    """A sink of metrics: csv, console, TensorBoard, W&B.

    A call that raises is made again later, those after it waiting behind it. One with a true attribute
    ``in_background`` is called by one thread of its own, which flushes it whenever it has told it all: a row counts as
    written when that has returned. One with an attribute ``row_time`` is told by it when the row that is written was
    logged, in seconds since the epoch. It may have ``log_config(config)``, ``log_end(status)`` (how the run ended:
    finished, failed or interrupted; before ``close``), ``log_histogram``, ``log_image`` and ``log_video``, as
    `MetricsLogger` has them.
    """

    def write(self, metrics: Mapping[str, float], step: int, category: str) -> None:
        """Take one row; names are without their category."""
        ...

    def flush(self) -> None:
        """Hand everything taken so far to the operating system."""
        ...

    def close(self) -> None:
        """Flush and release; may be called twice."""
        ...


class NonFiniteError(ArithmeticError):
    """A loss or gradient that is NaN or infinite, met before it reached the weights.

    Args:
        name: the metric's name.
        value: what it was.
    """

    def __init__(self, name: str, value: float) -> None:
        super().__init__(f"{name} is {value}")
        self.name = name
        self.value = value
