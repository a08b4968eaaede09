"""What is in an object, and what of it can be state."""

from __future__ import annotations

import functools
import logging
import threading
import types
import weakref
from collections.abc import Iterator
from typing import Any

import gymnasium as gym

# What never is state of an environment: code, definitions, locks, logs.
_IRRELEVANT = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodWrapperType,
    types.MethodType,
    functools.partial,
    property,
    staticmethod,
    classmethod,
    gym.envs.registration.EnvSpec,
    logging.Logger,
    logging.LoggerAdapter,
    weakref.ReferenceType,
    type(threading.Lock()),
    type(threading.RLock()),
)
# Packages whose objects draw and do not play.
_DRAWING = ("pygame", "glfw", "OpenGL", "matplotlib", "pyglet", "moviepy")
# Whose classes keep what they hold in memory of their own.
_FOREIGN = ("pybind11_builtins", "nanobind", "Boost")


def is_irrelevant(value: Any) -> bool:
    """Whether a value is code, a definition or for drawing, and no state."""
    return isinstance(value, _IRRELEVANT) or _package(type(value)) in _DRAWING


def attributes(owner: Any) -> dict[str, Any]:
    """Return an object's own attributes, slots included. Of a space, its generator and the spaces in it."""
    if isinstance(owner, gym.Space):
        return dict(_of_space(owner))
    found = dict(getattr(owner, "__dict__", {}))
    for name in _slots(type(owner)):
        if hasattr(owner, name):
            found[name] = getattr(owner, name)
    return found


def is_object(value: Any) -> bool:
    """Whether a value is an object of a class written in Python, so that its attributes are all there is of it."""
    kind = type(value)
    if not hasattr(value, "__dict__") and not any(_slots(kind)):
        return False
    if _package(type(kind)) in _FOREIGN:
        return False
    # Of a class made in C there is memory besides a reference to the attributes, one to weak ones, and the slots.
    known = object.__basicsize__ + 8 * (2 + len(list(_slots(kind))))
    return kind.__basicsize__ <= known and kind.__itemsize__ == 0


def module_of(kind: type) -> str:
    """The module a class says it is of; some that are made in C say none."""
    return str(getattr(kind, "__module__", ""))


def _package(kind: type) -> str:
    return module_of(kind).partition(".")[0]


def _slots(kind: type) -> Iterator[str]:
    for cls in kind.__mro__:
        names = vars(cls).get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if name in ("__dict__", "__weakref__"):
                continue
            mangled = name.startswith("__") and not name.endswith("__")
            yield f"_{cls.__name__.lstrip('_')}{name}" if mangled else name


def _of_space(space: gym.Space[Any]) -> Iterator[tuple[str, Any]]:
    yield "_np_random", space._np_random
    for name, value in vars(space).items():
        if isinstance(value, gym.Space):
            yield name, value
        elif isinstance(value, dict | list | tuple):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, item in items:
                if isinstance(item, gym.Space):
                    yield f"{name}.{key}", item
