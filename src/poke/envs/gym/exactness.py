"""Whether environments can be copied exactly: what was not taken is looked at, and the copy is tried."""

from __future__ import annotations

import hashlib
import pickle
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from enum import Enum
from typing import Any

import gymnasium as gym
import numpy as np

from poke.envs.environments import Environments
from poke.envs.gym.objects import attributes, is_irrelevant, is_object, module_of
from poke.envs.gym.simulators import SIMULATORS, arrays
from poke.envs.gym.snapshot import PLAIN, Taking

# Gymnasium's own base classes, wrappers and spaces keep nothing but in their attributes.
_WITHOUT_STATE = ("builtins", "abc", "typing", "collections", "enum", "gymnasium.core")
_MOST_LOOKS = (
    100_000  # a module may hold anything, and what is far away from an environment is not its state
)


def inexact_reason(make: Callable[[], Environments], num_steps: int = 200) -> str | None:
    """Try whether environments, restored into fresh ones, go on as the first do.

    Args:
        make: makes environments that believe their state to be exact; two are made and closed.
        num_steps: how far they are stepped before the copy, and both after it, by the same random actions.

    Returns:
        Why it is not known that they do, in a line; None where it is.
    """
    with closing(make()) as first, closing(make()) as second, _global_generators() as drawn:
        # Once more after a first time, so that what comes to be in a reset is there to be looked at.
        first.reset([0])
        before = [_Survey(env) for env in first.members]
        first.reset([0])
        second.reset([1])
        actions = first.random_actions(np.random.default_rng(0))
        for _ in range(num_steps):
            first.step(next(actions))
        reasons = (survey.reason() for survey in before)
        found = drawn() or next((reason for reason in reasons if reason is not None), None)
        if found is not None:
            return found
        try:
            second.set_state(first.get_state())
        except Exception as error:  # a foreign environment whose attributes are set may raise any
            line = " ".join(f"{type(error).__name__}: {error}".split())
            return f"a copy cannot be restored: {line}"
        for _ in range(num_steps):
            if not _step_alike(first, second, next(actions)):
                return "a copy that was tried went on differently"
        return drawn()


def _step_alike(first: Environments, second: Environments, action: np.ndarray) -> bool:
    names = ("observation", "action_mask", "reward", "terminated", "truncated")
    if not np.array_equal(first.observation, second.observation):
        return False
    first.step(action)
    second.step(action)
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in names)


@contextmanager
def _global_generators() -> Iterator[Callable[[], str | None]]:
    """Leave Python's and numpy's global random generators as they were; yield what tells whether one was used."""
    pure, legacy = random.getstate(), np.random.get_state(legacy=False)

    def drawn() -> str | None:
        now = np.random.get_state(legacy=False)
        if random.getstate() != pure:
            return "it draws from Python's global random generator"
        same = now["state"]["pos"] == legacy["state"]["pos"]
        keys = [a["state"]["key"] for a in (now, legacy)]
        return (
            None
            if same and np.array_equal(*keys)
            else "it draws from numpy's global random generator"
        )

    try:
        yield drawn
    finally:
        random.setstate(pure)
        np.random.set_state(legacy)


class _Survey:
    """What of an environment's state is not taken, as it was when this was made.

    Args:
        env: the environment.
    """

    def __init__(self, env: Any) -> None:
        self._env = env
        taking = Taking(env)
        self._classes = taking.classes
        self._shared = dict(_shared_state(self._classes))
        self._left_out = {name: _look(value) for name, value in taking.left_out.items()}

    def reason(self) -> str | None:
        """Return what may be state besides what is taken; None where nothing is."""
        for name, value in Taking(self._env).left_out.items():
            where = f"its attribute {name.replace('env.', '')} ({type(value).__qualname__})"
            look = _look(value)
            if look is None:
                return f"{where} cannot be saved"
            # What can be seen and stays the same however the environment is stepped is a part of its making.
            if self._left_out.get(name, look) != look:
                return f"{where} changes and cannot be saved"
        for name, look in _shared_state(self._classes):
            if self._shared.get(name) != look:
                return f"{name} changes, and is not the environment's own"
        return None


def _shared_state(classes: Iterable[type]) -> Iterator[tuple[str, bytes | None]]:
    """Yield looks at what environments of these classes share: attributes of classes and names of their modules."""
    known = {cls for kind in classes for cls in kind.__mro__}
    known = {cls for cls in known if not module_of(cls).startswith(_WITHOUT_STATE)}
    owners: list[tuple[str, Any]] = [(f"{module_of(cls)}.{cls.__qualname__}", cls) for cls in known]
    modules = {module_of(cls) for cls in known}
    owners += [(name, sys.modules[name]) for name in modules if name in sys.modules]
    for owner_name, owner in sorted(owners, key=lambda pair: pair[0]):
        for name, value in list(vars(owner).items()):
            if not name.startswith("__") and name != "_abc_impl" and not is_irrelevant(value):
                yield f"{owner_name}.{name}", _look(value)


class _Unseen(Exception):
    """Something that cannot be looked into."""


def _look(value: Any) -> bytes | None:
    """Return a digest of all there is in a value; None where something in it cannot be seen."""
    digest = hashlib.blake2b()
    try:
        for seen in _looks(value, {}):
            digest.update(seen)
    except _Unseen:
        return None
    return digest.digest()


def _looks(value: Any, met: dict[int, Any]) -> Iterator[bytes]:
    kind = type(value)
    yield kind.__qualname__.encode()
    if kind in PLAIN or isinstance(value, Enum):
        yield repr(value).encode()
        return
    if id(value) in met or is_irrelevant(value) or len(met) > _MOST_LOOKS:
        return
    met[id(value)] = value
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        yield repr((value.dtype, value.shape)).encode()
        yield value.tobytes()
    elif any(simulator.owns(value) for simulator in SIMULATORS) or kind.__name__ == "MjModel":
        # Of simulators, the state is taken. The model is made once, but an environment may change it.
        for name, array in arrays(value).items() if kind.__name__ == "MjModel" else ():
            yield name.encode()
            yield array.tobytes()
    elif isinstance(value, np.random.Generator):
        yield repr(value.bit_generator.state).encode()
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _looks(key, met)
            yield from _looks(item, met)
    elif isinstance(value, set | frozenset):
        yield from sorted(b"".join(_looks(item, met)) for item in value)
    elif isinstance(value, list | tuple) or kind.__name__ == "deque":
        for item in value:
            yield from _looks(item, met)
    if isinstance(value, gym.Space) or is_object(value) or hasattr(value, "__dict__"):
        for name, item in attributes(value).items():
            yield name.encode()
            yield from _looks(item, met)
    if not _seen_whole(value):
        try:  # a pickle is only looked at, never kept
            yield pickle.dumps(value)
        except Exception as error:  # whatever its class's own code raises
            raise _Unseen from error


def _seen_whole(value: Any) -> bool:
    """Whether `_looks` sees all of a value without a pickle of it."""
    kinds = (np.ndarray, np.random.Generator, dict, set, frozenset, list, tuple, gym.Space)
    name = type(value).__name__
    return (
        isinstance(value, kinds)
        or name in ("deque", "MjModel")
        or is_object(value)
        or any(simulator.owns(value) for simulator in SIMULATORS)
    )
