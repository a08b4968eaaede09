"""Which classes a description may name: poke's own networks, torch's modules, and those of packages that are trusted.

A run directory or file that comes from elsewhere is data. Built as it says, it could call anything that is installed.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from poke.policies.policy import PolicyError

OWN = ("poke.networks", "torch.nn")


def refuse_untrusted(node: Any, trust: Sequence[str]) -> None:
    """Look at every `_target_` in plain values before any of them is called.

    Args:
        node: plain containers.
        trust: packages or modules, by dotted name, whose classes may be called besides.

    Raises:
        PolicyError: the first that is not trusted, by its name.
    """
    for target in _targets(node):
        resolve(target, trust)


def resolve(target: Any, trust: Sequence[str]) -> Any:
    """Return what a `_target_` names.

    Raises:
        PolicyError: it is not trusted, or does not exist.
    """
    name = str(target)
    if any(name == package or name.startswith(f"{package}.") for package in trust):
        return _found(name)
    if isinstance(target, str) and any(name.startswith(f"{room}.") for room in OWN):
        found = _found(name)
        # `poke.networks.mlp.math.prod` stands in a room of poke's, and is not poke's.
        if getattr(found, "__module__", "").startswith(OWN) and _makes_networks(found):
            return found
    package = name.partition(".")[0]
    raise PolicyError(
        f"it names {name}, which is neither poke's nor torch.nn's: trust=[{package}] lets it be built"
    )


def _makes_networks(found: Any) -> bool:
    from torch import nn

    if inspect.isclass(found):
        return issubclass(found, nn.Module)
    return inspect.isfunction(found) and found.__module__.startswith("poke.networks.")


def _targets(node: Any) -> Iterator[Any]:
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield node["_target_"]
        for value in node.values():
            yield from _targets(value)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _targets(item)


def _found(name: str) -> Any:
    """Import a dotted name: the longest module in it, then attributes."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:cut])
        try:
            found: Any = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is not None and f"{module}.".startswith(f"{error.name}."):
                continue  # that was no module, but an attribute of one
            raise PolicyError(f"{name} needs {error.name}, which is not installed") from error
        try:
            for part in parts[cut:]:
                found = getattr(found, part)
        except AttributeError as error:
            raise PolicyError(f"there is no {name}") from error
        return found
    raise PolicyError(f"there is no {name}")
