"""The contracts between the parts: all that the runner, or another part, asks of a part.

Imports nothing of poke, and torch and numpy for types only. What a part must have stands in its protocol; it need not
inherit from it. What it may have besides stands in the class of defaults below that protocol, with what is taken where
a part says nothing, and what a minimal one would say; inheriting from that makes a part short. What its constructor is
given if it has a parameter of that name is in `GIVEN`; everything else there is a key of the part's group in the
config. ``examples/`` holds one of each kind.

Glossary: a *step* is one gradient update offline and one environment transition online; an *epoch* is one
pass over a dataset; a *category* (``train``, ``val``, ``eval``, ``time``, ``system``) names a stream of metrics
and is the first part of a metric's full name, ``category/name``.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

_PARTS = {
    "seed": "int: the run's",
    "device": "torch.device: where tensors are to be",
    "environment": "the part of env; None where there is none",
    "source": "the part of data",
    "policy": "poke.policies.Policy: a new one of the configured network, without a critic",
    "make_policy": "(*, critic=none|separate|shared, ...) -> Policy: the same, with a critic",
    "network": "torch.nn.Module: a new one, with as many outputs as actions ask for",
    "make_network": "(num_outputs, *, observation_space=its own) -> torch.nn.Module: the same, with so many outputs",
    "observation_space": "poke.spaces.ObservationSpace: what the source says",
    "action_space": "poke.spaces.ActionSpace: likewise",
    "load_policy": "(place, *, trust=()) -> Policy: a trained one, as `poke.load` finds it",
    "copy_policy": "(state) -> Policy: one of its own of what `get_state` of the learner's policy returned",
    "accumulate": "int: in how many parts the gradient of a minibatch is to be computed (trainer.accumulate)",
    "shard": "(torch.nn.Module) -> None, or None: shares its weights out among the ranks, in place, before an "
    "optimizer takes them (trainer.strategy=fsdp)",
    "make_player": "(*, data, num_envs, seed) -> an agent that plays in so many environments, on the CPU, its source "
    "of that node; may be pickled and called elsewhere",
    "ranks": "poke.distributed.ranks.Ranks: the processes that learn together; a part that names it heeds it",
}
# What a constructor is given if it has a parameter of that name, by group of the config; a sink's stands under logger.
GIVEN: Mapping[str, Mapping[str, str]] = {
    "env": {
        "seed": _PARTS["seed"],
        "device": _PARTS["device"],
        "gamma": "float or None: the algorithm's discount factor, where it has one",
        **{name: _PARTS[name] for name in ("load_policy", "copy_policy", "ranks")},
    },
    "data": {
        "gamma": "float or None: the algorithm's discount factor, where it has one",
        **{
            name: _PARTS[name]
            for name in ("seed", "device", "environment", "copy_policy", "make_player", "ranks")
        },
    },
    "algo": _PARTS,
    "eval": {**_PARTS, "algorithm": "the part of algo, which is evaluated"},
    "network": {
        "observation_space": _PARTS["observation_space"],
        "observation_shape": "tuple of int: of one observation's array",
        "num_outputs": "int: how many numbers it puts out",
        "layout": "mapping or None: how the bytes of a battle are read",
    },
    "logger": {
        "location": "pathlib.Path: where to write; the first argument",
        "run_dir": "str: the run's directory, absolute",
    },
}
# Keys of a node that are the run's business: a constructor gets those that it names.
OF_THE_RUN: Mapping[str, Sequence[str]] = {
    "data": ("on_change",),
    "logger": ("enabled", "location"),
}


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


class Stateless:
    """A mix-in for a part that has nothing to save."""

    def get_state(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take nothing back."""


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

    normalizer: Any  # poke.spaces.ObservationNormalizer, or None: a source that plays lets it learn

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
    """Owns optimizers, schedules and hyper-parameters, and the policy that it trains.

    Its own state holds no weights: those are the policy's, which is saved besides.
    """

    policy: Policy

    def update(self, batch: Any) -> Mapping[str, Tensor | float]:
        """Make one update and return its metrics.

        Raises:
            NonFiniteError: a loss is NaN or infinite; the weights are as they were before the call.
        """
        ...


class Actor(Algorithm, Protocol):
    """An algorithm that `data=rollout` collects experience for; observations come normalised.

    One whose policy has a memory is given that too, as the last argument, and moves it on.

    For `data.overlap` it also has ``understudy(policy)``, which returns what acts as it does by a policy of its own
    while it learns: with `policy`, `rollout_step` and `value`, and `Stateful`, its state what it is to draw next.
    """

    def rollout_step(
        self, observation: np.ndarray, action_mask: np.ndarray | None, *memory: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return sampled actions, their log-probabilities and the states' values, `[num_envs]` float32 each."""
        ...

    def value(self, observation: np.ndarray, *memory: Any) -> np.ndarray:
        """Return `[batch]` float32 values."""
        ...


class Explorer(Algorithm, Protocol):
    """An algorithm that `data=replay` collects experience for; observations come normalised."""

    def explore(self, observation: np.ndarray, action_mask: np.ndarray | None) -> np.ndarray:
        """Return actions to learn from, `[num_envs, *action_shape]`, a policy's own.

        Args:
            observation: `[num_envs, *observation_shape]`.
            action_mask: `[num_envs, mask_size]` bool, true where legal; None where everything always is.
        """
        ...


class Network(Protocol):
    """A torch.nn.Module that a policy, and where there is one its critic, is made of."""

    def forward(self, observation: Tensor) -> Tensor:
        """Map `[batch, *observation_space.shape]` to `[batch, num_outputs]` float32."""
        ...


class Source(Stateful, Protocol):
    """Owns experience: a dataset, a rollout collector, a replay buffer."""

    observation_space: Any  # poke.spaces.ObservationSpace: what the policy sees
    action_space: Any  # poke.spaces.ActionSpace: what it chooses among

    @property
    def epoch(self) -> int:
        """How many passes over the dataset are complete; 0 where there is no dataset."""
        ...

    def sample(self) -> Batch:
        """Return one update's worth of experience."""
        ...


class SourceDefaults:
    """What a source may say besides."""

    epoch: int = 0
    masked: bool = False  # whether observations come with action masks
    observation_clip: float | None = (
        None  # normalise observations, clipped to this; None: leave them
    )
    exact_resume: bool = True  # whether a resumed run goes on as if it had never stopped
    inexact_reason: str | None = None  # why not
    # With `to_dict()`, as `poke.data.files.fingerprint` makes them: what was read and which of it is held out, so
    # that a resume on other data is noticed and named. None: nobody can tell.
    fingerprint: Any = None

    def attach(self, algorithm: Any) -> None:
        """Take note of the algorithm, once, before the first sample; one that plays asks it for actions."""

    def close(self) -> None:
        """Let go of processes and files; may be called twice."""


class VectorEnvironment(Stateful, Protocol):
    """Environments stepped together, as `data=rollout` and `eval=episodes` see them.

    The arrays are overwritten by every step. `set_state` is called only where `exact_state` is true.
    """

    num_envs: int
    action_space: Any  # poke.spaces.ActionSpace
    observation: (
        np.ndarray
    )  # [num_envs, *observation_space.shape]: what to act on now, not normalised
    reward: np.ndarray  # [num_envs] float32: of the last step, as training takes it
    terminated: np.ndarray  # [num_envs] bool
    truncated: np.ndarray  # [num_envs] bool
    idle: np.ndarray  # [num_envs] bool: the next step only resets, whatever the action
    finished: list[tuple[float, int]]  # return and length of episodes that ended in the last step
    finished_envs: list[int]  # which environments they were in
    begun: list[int]  # whose observation now is the first of an episode
    episode_limit: int | None  # how many steps an episode has at most; None where that is not known
    action_mask: np.ndarray | None  # [num_envs, action_space.mask_size] bool, true where legal
    exact_state: bool  # whether get_state holds all of it, and set_state may be called
    # Where the last step ended an episode and reset at once: its last observation, by environment.
    final_observations: Mapping[int, np.ndarray]

    def reset(self, entropy: Sequence[int]) -> None:
        """Begin new episodes; the numbers decide every environment's seed."""
        ...

    def step(self, action: np.ndarray) -> None:
        """Step every environment by a policy's own actions, `[num_envs, *action_space.action_shape]`."""
        ...

    def so_far(self, i: int) -> tuple[float, int]:
        """Return what return and length the episode has that environment `i` plays, for one that is cut off."""
        ...

    def restart(self, state: Mapping[str, Any], entropy: Sequence[int]) -> None:
        """Begin new episodes with what earlier environments have learned of rewards."""
        ...

    def render(self) -> np.ndarray | None:
        """Return the first environment's picture, `[height, width, 3]` uint8; None where it has none."""
        ...

    def close(self) -> None:
        """Let go of processes and files; may be called twice."""
        ...


class VectorEnvironmentDefaults(Stateless):
    """What environments say that have no masks, no pictures and nothing to close, and do not reset at once.

    A resumed run begins their episodes anew.
    """

    action_mask: np.ndarray | None = None
    episode_limit: int | None = None
    exact_state: bool = False
    final_observations: Mapping[int, np.ndarray] = {}
    # [num_envs] bool: where the last step was none, because the environment did not take the action: nothing has
    # happened, and the same decision is to be made again, by a mask that has lost it. None: there is no such thing.
    void: np.ndarray | None = None
    # [num_envs] int64: what the opponent did while the last step was made, as a class; 0 where there is nothing to
    # know. None: there are no opponents, or they are not told of.
    opponent_action: np.ndarray | None = None
    # `poke.spaces.RunningMoments` that are learned here, of rewards: several ranks have them in common.
    moments: Sequence[Any] = ()

    def metrics(self) -> Mapping[str, float]:
        """Return what there is to tell of training besides its episodes."""
        return {}

    def attach(self, policy: Any) -> None:
        """Take note of the policy that learns here, once, before the first step."""

    if TYPE_CHECKING:  # what has these defaults brings its own

        def reset(self, entropy: Sequence[int]) -> None:
            """As of `Environment`."""

    def restart(self, state: Mapping[str, Any], entropy: Sequence[int]) -> None:
        """Begin new episodes."""
        self.reset(entropy)

    def render(self) -> np.ndarray | None:
        """Return nothing: there are no pictures."""
        return None

    def close(self) -> None:
        """Nothing is held open."""


class Environment(Protocol):
    """Describes environments and makes them. A Gymnasium environment needs none of this: `env=gym env.id=ID`."""

    observation_space: Any  # poke.spaces.ObservationSpace
    action_space: Any  # poke.spaces.ActionSpace
    num_envs: int  # of training
    observation_clip: float | None  # as of `SourceDefaults`

    def make(self) -> VectorEnvironment:
        """Return the environments of training."""
        ...

    def make_evaluation(self, num_envs: int, *, render: bool = False) -> VectorEnvironment:
        """Return so many environments for evaluation; they are asked for pictures where `render` is true."""
        ...


class EnvironmentDefaults:
    """What a maker of environments may say besides."""

    observation_clip: float | None = None
    # What its episodes depend on, as plain values by the names of the knobs under `env`. A run that is resumed with
    # other values begins its episodes anew.
    settings: Mapping[str, Any] = {}


class Evaluator(Stateful, Protocol):
    """Measures an algorithm without changing it or any random state of training."""

    @property
    def category(self) -> str:
        """The metrics' category: ``val`` for held-out data, ``eval`` for episodes played."""
        ...

    def evaluate(self, algorithm: Any) -> Mapping[str, float]:
        """Return the metrics, names without their category."""
        ...


class EvaluatorDefaults(Stateless):
    """What an evaluator may say besides."""

    # Exactly the names that `evaluate` returns. None: a mistyped monitor is answered after the first evaluation.
    metric_names: tuple[str, ...] | None = None
    # Of the last evaluation, `[time, height, width, 3] uint8`, for the sinks that show it; None: it films nothing.
    film: np.ndarray | None = None


class Writer(Stateful, Protocol):
    """A sink of metrics: csv, console, TensorBoard, W&B.

    A call that raises is made again later, those after it waiting behind it. Its constructor is given its place first,
    a path; see `GIVEN`.
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


class WriterDefaults(Stateless):
    """What a sink may say besides.

    It may also have ``claim()`` (before the first row: raise ValueError if its place is another run's),
    ``log_config(config)``, ``log_end(status)`` (how the run ended: finished, failed or interrupted; before ``close``),
    ``log_histogram``, ``log_image`` and ``log_video``, as `MetricsLogger` has them; one that lacks the last two is said
    to show none. One with an attribute ``row_time`` is told by it when the row that is written was logged, in seconds
    since the epoch.
    """

    # True: called by one thread of its own, which flushes it whenever it has told it all: a row counts as written when
    # that has returned.
    in_background: bool = False

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is held open."""


# What each group of the config names.
OF_GROUP: Mapping[str, type] = {
    "env": Environment,
    "data": Source,
    "algo": Algorithm,
    "network": Network,
    "eval": Evaluator,
    "logger": Writer,
}
# Taken in their place, as torch names them.
_TORCHS_OWN = {"get_state": "state_dict", "set_state": "load_state_dict"}


def missing(part: Any, protocol: type) -> list[str]:
    """Return what a part lacks of a protocol, in the protocol's order.

    Args:
        part: an object; or a class, of which only methods are asked for, since attributes may come with the object.
        protocol: one of this module.
    """
    names = _methods(protocol) if inspect.isclass(part) else _members(protocol)
    return [
        name
        for name in names
        if not _has(part, name) and not _has(part, _TORCHS_OWN.get(name, name))
    ]


def _has(part: Any, name: str) -> bool:
    # On the class too: a property may not be ready yet.
    return name in dir(part)


def _members(protocol: type) -> Iterable[str]:
    annotated = (inspect.get_annotations(k) for k in _lineage(protocol))
    return dict.fromkeys([*(name for names in annotated for name in names), *_defined(protocol)])


def _methods(protocol: type) -> Iterable[str]:
    return [name for name in _defined(protocol) if inspect.isfunction(getattr(protocol, name))]


def _defined(protocol: type) -> Iterable[str]:
    return dict.fromkeys(n for k in _lineage(protocol) for n in vars(k) if not n.startswith("_"))


def _lineage(protocol: type) -> list[type]:
    """The protocol and those it extends, without what Python adds."""
    return [k for k in protocol.__mro__ if getattr(k, "_is_protocol", False) and k is not Protocol]


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
