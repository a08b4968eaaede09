"""The state of any environment as plain values.

Environments have no common way to be saved, and a pickle would be code in a checkpoint. So the numbers, arrays and
random generators found in an environment's own attributes are taken, and two simulators that keep their state
elsewhere are asked for it: MuJoCo and the Arcade Learning Environment. Whether this was enough is not assumed but
tried, by `poke.envs.environments.is_exact`.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping
from enum import Enum
from typing import Any

import gymnasium as gym
import numpy as np

PLAIN = (bool, int, float, str, bytes, type(None))
OPAQUE = (type, Enum, gym.envs.registration.EnvSpec, type(random), type(lambda: 0))


class _Unknown(Exception):
    """A value that cannot be taken."""


def take(env: Any) -> dict[str, Any]:
    """Return what is found in an environment, as numbers, str, bytes, lists and dicts."""
    return _take_object(env, set())


def restore(env: Any, state: Mapping[str, Any]) -> None:
    """Put what `take` found back into an environment made in the same way."""
    _restore_object(env, state)


def _take(value: Any, seen: set[int]) -> Any:
    """Return `[kind, content]`."""
    if isinstance(value, PLAIN):
        return ["plain", value]
    if isinstance(value, np.generic):
        return ["scalar", value.dtype.str, value.tobytes()]
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise _Unknown
        return ["array", value.dtype.str, list(value.shape), value.tobytes()]
    if isinstance(value, np.random.Generator):
        return ["generator", _take(value.bit_generator.state, seen)]
    if isinstance(value, np.random.RandomState):
        return ["random_state", _take(value.get_state(legacy=False), seen)]
    if isinstance(value, random.Random):
        return ["random", _take(value.getstate(), seen)]
    if type(value) in (list, tuple, set):
        return [type(value).__name__, [_take_item(item, seen) for item in value]]
    if type(value) is deque:
        return ["deque", [_take_item(item, seen) for item in value], value.maxlen]
    if type(value) is dict:
        return ["dict", [[_take_item(k, seen), _take_item(v, seen)] for k, v in value.items()]]
    for simulator in SIMULATORS:
        if simulator.owns(value):
            if id(value) in seen:
                raise _Unknown
            seen.add(id(value))
            return ["simulator", simulator.take(value)]
    if isinstance(value, OPAQUE) or not hasattr(value, "__dict__") or id(value) in seen:
        raise _Unknown
    return ["object", _take_object(value, seen)]


def _take_item(item: Any, seen: set[int]) -> Any:
    """A container is restored as a new one, so it can hold values but no living objects."""
    taken = _take(item, seen)
    if taken[0] in ("object", "simulator"):
        raise _Unknown
    return taken


def _take_object(owner: Any, seen: set[int]) -> dict[str, Any]:
    seen.add(id(owner))
    taken: dict[str, Any] = {}
    for name, value in vars(owner).items():
        # Of a space, only the generator changes.
        if isinstance(owner, gym.Space) and name != "_np_random":
            continue
        try:
            taken[name] = _take(value, seen)
        except _Unknown:
            continue
    return taken


def _restore_object(owner: Any, state: Mapping[str, Any]) -> None:
    for name, taken in state.items():
        kind = taken[0]
        if kind == "object":
            _restore_object(vars(owner)[name], taken[1])
        elif kind == "simulator":
            simulator = next(s for s in SIMULATORS if s.owns(vars(owner)[name]))
            simulator.restore(vars(owner)[name], taken[1])
        elif kind == "generator" and isinstance(vars(owner).get(name), np.random.Generator):
            # The generator stays the object it is: others may hold it too.
            vars(owner)[name].bit_generator.state = _value(taken[1])
        else:
            vars(owner)[name] = _value(taken)


def _value(taken: Any) -> Any:
    kind, *content = taken
    if kind == "plain":
        return content[0]
    if kind == "scalar":
        return np.frombuffer(content[1], np.dtype(content[0]))[0]
    if kind == "array":
        return np.frombuffer(content[2], np.dtype(content[0])).reshape(content[1]).copy()
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


class _MuJoCo:
    """MjData: the integration state by MuJoCo's own means, and every array derived from it."""

    def owns(self, value: Any) -> bool:
        return type(value).__name__ == "MjData"

    def take(self, data: Any) -> dict[str, Any]:
        import mujoco

        spec = mujoco.mjtState.mjSTATE_INTEGRATION
        state = np.empty(mujoco.mj_stateSize(data.model, spec))
        mujoco.mj_getState(data.model, data, state, spec)
        return {"integration": _take(state, set()), "derived": _take(self._arrays(data), set())}

    def restore(self, data: Any, taken: Mapping[str, Any]) -> None:
        import mujoco

        spec = mujoco.mjtState.mjSTATE_INTEGRATION
        mujoco.mj_setState(data.model, data, _value(taken["integration"]), spec)
        # The contacts' arrays get their sizes from a forward pass, then all get their values back.
        mujoco.mj_forward(data.model, data)
        arrays = self._arrays(data)
        for name, values in _value(taken["derived"]).items():
            if name in arrays and arrays[name].shape == values.shape:
                arrays[name][...] = values

    def _arrays(self, data: Any) -> dict[str, np.ndarray]:
        found = {}
        for name in dir(data):
            if not name.startswith("_"):
                value = getattr(data, name)
                if (
                    isinstance(value, np.ndarray)
                    and value.dtype.kind in "fiub"
                    and value.flags.writeable
                ):
                    found[name] = value
        return found


class _Atari:
    """ALEInterface: the emulator's own serialised state, random generator included."""

    def owns(self, value: Any) -> bool:
        return type(value).__name__ == "ALEInterface"

    def take(self, ale: Any) -> bytes:
        return ale.cloneState(include_rng=True).serialize()

    def restore(self, ale: Any, taken: bytes) -> None:
        import ale_py

        ale.restoreState(ale_py.ALEState(taken))


SIMULATORS = (_MuJoCo(), _Atari())
