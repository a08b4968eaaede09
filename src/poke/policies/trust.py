"""Which classes a description may name: poke's own networks, torch's modules, and those of packages that are trusted.

A run directory or file that comes from elsewhere is data. Built as it says, it could call anything that is installed.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import typing
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
    for target in targets(node):
        resolve(target, trust)


def resolve(target: Any, trust: Sequence[str]) -> Any:
    """Return what a `_target_` names: a class of networks, or whatever a trusted package has under that name.

    Raises:
        PolicyError: it is not trusted, or does not exist.
    """
    if trusted(target, trust):
        return _found(target)
    if trusted(target, OWN) and _is_public(target):
        found = _found(target)
        # `poke.networks.mlp.math.prod` stands in a room of poke's, and is not poke's.
        if trusted(getattr(found, "__module__", None), OWN) and _makes_networks(found):
            return found
    raise PolicyError(refusal(target))


def trusted(name: Any, packages: Sequence[str]) -> bool:
    """Whether a dotted name stands in one of the packages, or is one."""
    return isinstance(name, str) and any(f"{name}.".startswith(f"{p}.") for p in packages)


def refusal(target: Any) -> str:
    """Return the line that refuses a `_target_`."""
    package = str(target).partition(".")[0]
    # To trust one of these would let anything run.
    if package in ("poke", "torch", "hydra") or package in sys.stdlib_module_names:
        return f"it names {target}, which is no network of poke's or torch.nn's"
    return (
        f"it names {target}, which is neither poke's nor torch.nn's: "
        f"trust=[{package}] lets it be built, if you know where it comes from"
    )


def targets(node: Any) -> Iterator[Any]:
    """Yield every `_target_` in plain containers."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield node["_target_"]
        for value in node.values():
            yield from targets(value)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from targets(item)


def _is_public(name: str) -> bool:
    return all(part.isidentifier() and not part.startswith("_") for part in name.split("."))


def _makes_networks(found: Any) -> bool:
    """Whether something of `OWN` is a class of networks, or a function of poke's that says it returns one."""
    from torch import nn

    if inspect.isfunction(found) and trusted(found.__module__, ("poke.networks",)):
        try:
            found = typing.get_type_hints(found).get("return")
        except NameError:  # it names what only a type checker imports
            return False
    return inspect.isclass(found) and issubclass(found, nn.Module)


def _found(name: str) -> Any:
    """Import a dotted name: the longest module in it, then attributes."""
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        raise PolicyError(f"there is no {name!r}")
    for cut in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:cut])
        try:
            found: Any = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is not None and f"{module}.".startswith(f"{error.name}."):
                continue  # that was no module, but an attribute of one
            raise PolicyError(f"{name} needs {error.name}, which is not installed") from error
        except ImportError as error:
            raise PolicyError(f"{name} cannot be imported: {error}") from error
        try:
            for part in parts[cut:]:
                found = getattr(found, part)
        except AttributeError as error:
            raise PolicyError(f"there is no {name}") from error
        return found
    raise PolicyError(f"there is no {name}")
