"""The state of any environment as plain values.

Environments have no common way to be saved, and a pickle would be code in a checkpoint. So the numbers, arrays and
random generators found in an environment's own attributes, and in those of objects it holds, are taken; two
simulators that keep their state elsewhere are asked for it: MuJoCo and the Arcade Learning Environment. What could not
be taken is known by name. Whether all this was enough is not assumed but tried, by `poke.envs.gym.exactness`.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from poke.envs.gym.objects import attributes, is_irrelevant, is_object
from poke.envs.gym.simulators import SIMULATORS, packed

PLAIN = (bool, int, float, str, bytes, type(None))
SHARED = (list, tuple, set, dict, deque, np.ndarray, np.random.Generator)


class _Unknown(Exception):
    """A value that cannot be taken."""


class Taking:
    """Takes what is found in an environment.

    Args:
        env: the environment.
    """

    def __init__(self, env: Any) -> None:
        self.left_out: dict[str, Any] = {}  # attributes that are not taken, by dotted name
        self.classes: set[type] = set()  # of everything that was looked into
        # Where each object stands that was met; itself too, so that no other gets its id.
        self._met: dict[int, tuple[Any, list[str]]] = {}
        self.state = self._object(env, [])  # numbers, str, bytes, lists and dicts

    def _object(self, owner: Any, path: list[str]) -> dict[str, Any]:
        self._met[id(owner)] = owner, path
        self.classes.add(type(owner))
        taken: dict[str, Any] = {}
        for name, value in attributes(owner).items():
            if is_irrelevant(value):
                continue
            try:
                taken[name] = self._attribute(value, [*path, name])
            except _Unknown:
                self.left_out[".".join([*path, name])] = value
        return taken

    def _attribute(self, value: Any, path: list[str]) -> list[Any]:
        """Return `[kind, content]`."""
        if id(value) in self._met:
            return ["same", self._met[id(value)][1]]
        for simulator in SIMULATORS:
            if simulator.owns(value):
                self._met[id(value)] = value, path
                return ["simulator", simulator.take(value)]
        if isinstance(value, SHARED):
            taken = _take(value)
            self._met[id(value)] = value, path
            return taken
        if isinstance(value, Enum):
            return ["enum", _take(value.value)]
        if isinstance(value, gym.Space) or is_object(value):
            return ["object", self._object(value, path)]
        return _take(value)


def take(env: Any) -> dict[str, Any]:
    """Return what is found in an environment, as numbers, str, bytes, lists and dicts."""
    return Taking(env).state


def restore(env: Any, state: Mapping[str, Any]) -> None:
    """Put what `take` found back into an environment made in the same way."""
    _restore_object(env, state, env)


def _take(value: Any) -> list[Any]:
    kind = type(value)
    # By the very class: a float64 of numpy is a float too, and no plain value.
    if kind is bytes:
        return ["bytes", packed(value)]
    if kind in PLAIN:
        return ["plain", value]
    if isinstance(value, np.str_ | np.bytes_):
        return _take(value.item())
    if isinstance(value, np.generic) or kind is np.ndarray:
        if value.dtype.hasobject or value.dtype.names is not None:
            raise _Unknown
        if isinstance(value, np.generic):
            return ["scalar", value.dtype.str, value.tobytes()]
        return ["array", value.dtype.str, list(value.shape), packed(value.tobytes())]
    if isinstance(value, np.random.Generator):
        return ["generator", _take(value.bit_generator.state)]
    if isinstance(value, np.random.RandomState):
        return ["random_state", _take(value.get_state(legacy=False))]
    if kind is random.Random:
        return ["random", _take(value.getstate())]
    if kind is torch.Tensor:
        return ["tensor", value.detach().cpu().clone()]
    if kind in (list, tuple, set):
        return [kind.__name__, [_take(item) for item in value]]
    if kind is deque:
        return ["deque", [_take(item) for item in value], value.maxlen]
    if kind is dict:
        return ["dict", [[_take(k), _take(v)] for k, v in value.items()]]
    # A container is restored as a new one, so it can hold values but no living objects.
    raise _Unknown


def _restore_object(owner: Any, state: Mapping[str, Any], root: Any) -> None:
    now = attributes(owner)
    for name, (kind, *content) in state.items():
        current: Any = now.get(name)
        if kind == "object":
            _restore_object(current, content[0], root)
        elif kind == "simulator":
            next(s for s in SIMULATORS if s.owns(current)).restore(current, content[0])
        elif kind == "same":
            shared = _find(root, content[0])
            if shared is not current:
                _set(owner, name, shared)
        elif kind == "enum":
            _set(owner, name, type(current)(_value(content[0])))
        # Generators, and arrays that show another's memory, stay the objects they are: others hold them too.
        elif kind == "generator" and isinstance(current, np.random.Generator):
            current.bit_generator.state = _value(content[0])
        elif kind == "random_state" and isinstance(current, np.random.RandomState):
            current.set_state(_value(content[0]))
        elif kind == "random" and isinstance(current, random.Random):
            current.setstate(_value(content[0]))
        elif kind == "array" and _shows_another(current, content):
            current[...] = _value([kind, *content])
        else:
            _set(owner, name, _value([kind, *content]))


def _find(root: Any, path: Sequence[str]) -> Any:
    for name in path:
        root = attributes(root)[name]
    return root


def _set(owner: Any, name: str, value: Any) -> None:
    object.__setattr__(owner, name, value)


def _shows_another(current: Any, content: Sequence[Any]) -> bool:
    return (
        isinstance(current, np.ndarray)
        and current.base is not None
        and current.flags.writeable
        and current.dtype.str == content[0]
        and list(current.shape) == content[1]
    )


def _value(taken: Any) -> Any:
    kind, *content = taken
    if kind == "plain" or kind == "tensor":
        return content[0]
    if kind == "bytes":
        return content[0] or b""
    if kind == "scalar":
        return np.frombuffer(content[1], np.dtype(content[0]))[0]
    if kind == "array":
        return np.frombuffer(content[2] or b"", np.dtype(content[0])).reshape(content[1]).copy()
    if kind == "generator":
        state = _value(content[0])
        generator = np.random.Generator(getattr(np.random, state["bit_generator"])())
        generator.bit_generator.state = state
        return generator
    if kind == "random_state":
        legacy = np.random.RandomState()
        legacy.set_state(_value(content[0]))
        return legacy
    if kind == "random":
        pure = random.Random()
        pure.setstate(_value(content[0]))
        return pure
    if kind == "dict":
        return {_value(k): _value(v) for k, v in content[0]}
    items = [_value(item) for item in content[0]]
    if kind == "deque":
        return deque(items, maxlen=content[1])
    return {"list": list, "tuple": tuple, "set": set}[kind](items)
