"""Parts of a user's own, named by `_target_`: what their constructors take, and the check of a config against it.

A class of one's own is held to its attribute `Config`, if that is a dataclass (with the ranges of `knobs.knob`, if it
has them), else to its constructor's annotations. Reading either imports the user's module; nothing else here does.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, make_dataclass
from typing import Any

from poke.config.knobs import ConfigError, check, did_you_mean
from poke.config.schema import TARGETS
from poke.protocols import GIVEN, OF_GROUP, OF_THE_RUN, missing

OF_HYDRA = ("_target_", "_args_", "_partial_", "_recursive_", "_convert_")


@dataclass(frozen=True)
class Constructor:
    """What a class or function of a user's own takes.

    Args:
        target: itself.
        schema: a dataclass of its arguments.
        takes_any: whether it takes arguments of every name.
    """

    target: Callable[..., Any]
    schema: type
    takes_any: bool

    def takes(self, key: str, group: str) -> bool:
        """Whether a key of its node is its own, the run's or Hydra's."""
        known = (*OF_HYDRA, *OF_THE_RUN.get(group, ()), *(f.name for f in fields(self.schema)))
        return self.takes_any or key in known


def own_nodes(config: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield the nodes whose `_target_` is not of poke's own: the group, the dotted key, the node."""
    for group in OF_GROUP:
        node = config.get(group)
        if not isinstance(node, Mapping):
            continue
        inner = node.items() if group == "logger" else ()
        for path, below in ((group, node), *((f"{group}.{key}", value) for key, value in inner)):
            target = below.get("_target_") if isinstance(below, Mapping) else None
            if isinstance(target, str) and target not in TARGETS:
                yield group, path, below


def check_own(config: Mapping[str, Any]) -> None:
    """Check the nodes of a user's own parts.

    Args:
        config: the config as plain, resolved containers.

    Raises:
        ConfigError: for the first class that cannot be imported or is no such part, unknown or missing key, or value
            of a wrong type.
    """
    for group, path, node in own_nodes(config):
        constructor = constructor_of(node["_target_"], path)
        lacking = inspect.isclass(constructor.target) and missing(
            constructor.target, OF_GROUP[group]
        )
        if lacking:
            raise ConfigError(
                f"{path}._target_={node['_target_']} has no {', '.join(lacking)}: "
                f"see {OF_GROUP[group].__name__} in poke.protocols"
            )
        known = {f.name for f in fields(constructor.schema)}
        of_the_run = set(OF_THE_RUN.get(group, ())) - known
        given = {k: v for k, v in node.items() if k not in OF_HYDRA and k not in of_the_run}
        if constructor.takes_any:
            given = {key: value for key, value in given.items() if key in known}
        # What the run gives, and what stands in _args_, need not stand here by name.
        unnamed = known if "_args_" in node or node.get("_partial_") else GIVEN[group].keys()
        check(given, constructor.schema, TARGETS, f"{path}.", may_lack=unnamed)


def constructor_of(target: str, path: str) -> Constructor:
    """Return what a class or function takes.

    Args:
        target: its dotted name.
        path: of the node that names it, for the message.

    Raises:
        ConfigError: there is none, or its module cannot be imported.
    """
    found = _locate(target, path)
    if not callable(found):
        raise ConfigError(f"{path}._target_={target} is neither a class nor a function")
    return _read(found)


@functools.cache
def _read(found: Callable[..., Any]) -> Constructor:
    own = getattr(found, "Config", None)
    if inspect.isclass(own) and is_dataclass(own):
        return Constructor(found, own, takes_any=False)
    try:
        parameters = inspect.signature(found).parameters.values()
    except ValueError:  # of one written in C
        return Constructor(found, make_dataclass("Nothing", []), takes_any=True)
    hints = _hints(found)
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    arguments = [
        (p.name, hints.get(p.name, Any), _field(None if p.default is p.empty else p.default, p))
        for p in named
    ]
    schema = make_dataclass("Arguments", arguments, kw_only=True)
    return Constructor(found, schema, any(p.kind is p.VAR_KEYWORD for p in parameters))


def dataclass_arguments(target: Callable[..., Any], node: Mapping[str, Any]) -> dict[str, Any]:
    """Return those arguments of a node that the constructor takes as dataclasses, made into such."""
    hints = _hints(target)
    return {
        key: hints[key](**value)
        for key, value in node.items()
        if is_dataclass(hints.get(key)) and isinstance(value, Mapping) and "_target_" not in value
    }


def _field(default: Any, parameter: inspect.Parameter) -> Any:
    if parameter.default is parameter.empty:
        return field(default=MISSING)
    return field(default_factory=lambda: default)  # a default may be a list


def _hints(target: Any) -> dict[str, Any]:
    """The annotations of a constructor; one that cannot be read, as of a name imported for types only, says nothing."""
    function = inspect.unwrap(target.__init__ if inspect.isclass(target) else target)
    names = getattr(function, "__globals__", {})
    found = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        try:
            found[name] = eval(annotation, names) if isinstance(annotation, str) else annotation
        except (NameError, AttributeError, TypeError):
            found[name] = Any
    return found


def _locate(target: str, path: str) -> Any:
    where = f"{path}._target_={target}"
    module, *rest = target.split(".")
    found = _import(module, where)
    for name in rest:
        if not hasattr(found, name) and inspect.ismodule(found):
            with contextlib.suppress(ModuleNotFoundError):
                _import(f"{found.__name__}.{name}", where, or_not=True)
        if not hasattr(found, name):
            near = did_you_mean(name, dir(found))
            raise ConfigError(f"{where}: {found.__name__} has no {name}{near}")
        found = getattr(found, name)
    return found


def _import(module: str, where: str, *, or_not: bool = False) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == module and or_not:
            raise
        reason = f"no module {module} is found" if error.name == module else str(error)
        raise ConfigError(f"{where}: {reason}") from error
    except Exception as error:  # whatever the user's own code raises as it is imported
        line = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"{where}: {module} cannot be imported: {line}") from error
