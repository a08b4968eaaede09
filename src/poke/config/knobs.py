"""Knobs: config values declared as fields of dataclasses, and the check that answers a mistake in one line.

Nothing here imports torch.
"""

from __future__ import annotations

import difflib
import functools
import math
import types
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, field, fields, is_dataclass
from typing import Any, Literal, Union


class ConfigError(ValueError):
    """A mistake in what the user typed; the message is one line and needs no traceback."""


def knob(
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    choices: tuple[Any, ...] | None = None,
    default: Any = MISSING,
    bookkeeping: bool = False,
    help: str = "",
) -> Any:
    """Declare one config value: its range, its choices and one line of help. Without a default it is required.

    One that is bookkeeping changes no result of a run, see `poke.config.identity`.
    """
    bounds = {"at_least": at_least, "above": above, "at_most": at_most, "below": below}
    metadata = {"bounds": bounds, "choices": choices, "bookkeeping": bookkeeping, "help": help}
    return field(default=default, metadata=metadata)


def check(
    config: Mapping[str, Any],
    schema: type,
    targets: Mapping[str, type],
    path: str = "",
    *,
    may_lack: Collection[str] = (),
) -> None:
    """Check a mapping against a dataclass schema, and nodes below it against theirs.

    Args:
        config: plain containers.
        schema: a dataclass, of `knob` fields where values have ranges; with a true `takes_targets`, nodes that have a
            `_target_` may be added under names of their own.
        targets: the schema of each `_target_` that is held to one.
        path: the mapping's own dotted key, for the messages.
        may_lack: names that need not be there even without a default.

    Raises:
        ConfigError: for the first mistake.
    """
    known = {f.name: f for f in fields(schema)}
    for key, value in config.items():
        if key in known or key == "_target_":
            continue
        is_target = isinstance(value, Mapping) and "_target_" in value
        if not (is_target and getattr(schema, "takes_targets", False)):
            raise ConfigError(unknown_key(f"{path}{key}", [f"{path}{name}" for name in known]))
        if _target(value, f"{path}{key}") in targets:
            check(value, targets[value["_target_"]], targets, f"{path}{key}.")
    for name, knob_field in known.items():
        if name not in config:
            if name not in may_lack and not _has_default(knob_field):
                raise ConfigError(f"{path}{name} is missing")
            continue
        _check_value(config[name], _hints(schema)[name], knob_field, targets, f"{path}{name}")


def unknown_key(key: str, known: list[str]) -> str:
    """Return the line that answers an unknown key, with the nearest known one."""
    return f"unknown key {key}{did_you_mean(key, known)}"


def did_you_mean(word: str, known: list[str]) -> str:
    """Return ` (did you mean X?)` for the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" (did you mean {near[0]}?)" if near else ""


def nodes(
    config: Mapping[str, Any], schema: type, targets: Mapping[str, type], path: str = ""
) -> Iterator[tuple[str, type, Mapping[str, Any]]]:
    """Yield every mapping of a config that is held to a schema: its dotted key, the schema, the mapping.

    A group that came later and lacks has no values.
    """
    yield path, schema, config
    hints = _hints(schema)
    later: dict[str, Any] = {
        f.name: {} for f in fields(schema) if f.default is None and is_dataclass(hints[f.name])
    }
    for key, value in {**later, **config}.items():
        if not isinstance(value, Mapping):
            continue
        hint = hints.get(key)
        below = targets.get(value.get("_target_", ""))
        if below is None and is_dataclass(hint):
            below = typing.cast(type, hint)
        if below is not None:
            yield from nodes(value, below, targets, f"{path}.{key}" if path else key)


def mappings(
    config: Mapping[str, Any], schema: type, targets: Mapping[str, type]
) -> Iterator[tuple[str, bool]]:
    """Yield the dotted key of every value that may be a mapping with names of the user's own.

    With each comes whether it may also be something else, such as a single name: then whoever gives another one gives
    all of it, and nothing of the one before stays.
    """
    for path, declared, _ in nodes(config, schema, targets):
        for name, hint in _hints(declared).items():
            kinds = typing.get_args(hint) if _is_union(hint) else (hint,)
            others = [k for k in kinds if not _is_mapping(k) and k is not type(None)]
            if len(others) < len([k for k in kinds if k is not type(None)]):
                yield f"{path}.{name}" if path else name, bool(others)


def leaf_keys(config: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield the dotted key of every value and every group in the config."""
    for key, value in config.items():
        yield f"{path}{key}"
        if isinstance(value, Mapping):
            yield from leaf_keys(value, f"{path}{key}.")


def _has_default(knob_field: Field[Any]) -> bool:
    return not (knob_field.default is MISSING and knob_field.default_factory is MISSING)


@functools.cache
def _hints(schema: type) -> dict[str, Any]:
    return typing.get_type_hints(schema)


def _target(node: Mapping[str, Any], path: str) -> str | None:
    target = node.get("_target_")
    if target is None or isinstance(target, str):
        return target
    raise ConfigError(f"{path}._target_ must be the name of a class, not {target!r}")


def _check_value(
    value: Any, hint: Any, knob_field: Field[Any], targets: Mapping[str, type], path: str
) -> None:
    if value == "???":
        raise ConfigError(f"{path} must be given, as in {path}=VALUE")
    if isinstance(value, Mapping) and _target(value, path) in targets:
        check(value, targets[value["_target_"]], targets, f"{path}.")
        return
    if hint is Any:
        return
    if is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{path} must be a group of values, not {value!r}")
        check(value, typing.cast(type, hint), targets, f"{path}.")
        return
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if _is_union(hint):
        if value is None and type(None) in arguments:
            return
        kinds = [a for a in arguments if a is not type(None)]
        if len(kinds) > 1:
            _check_one_of(value, kinds, knob_field, targets, path)
            return
        hint = kinds[0]
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(
                f"{path} must be one of {', '.join(map(str, arguments))}, not {value!r}"
            )
    elif hint in _LISTS or origin in _LISTS:
        if not isinstance(value, list):
            raise ConfigError(f"{path} must be a list, as in {path}=[...], not {value!r}")
        items = set(arguments) - {...}
        kind = items.pop() if len(items) == 1 else Any  # of tuple[int, str] nothing is said
        for i, item in enumerate(value):
            _check_value(item, kind, knob_field, targets, f"{path}[{i}]")
    elif _is_mapping(hint):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{path} must be a mapping, not {value!r}")
        kind = arguments[1] if arguments else Any
        for key, item in value.items():
            _check_value(item, kind, knob_field, targets, f"{path}.{key}")
    elif hint in _KINDS:
        _check_scalar(value, hint, knob_field, path)
    # Of anything else, such as a module that a node with a `_target_` makes, a config's values say nothing.


def _check_one_of(
    value: Any, kinds: list[Any], knob_field: Field[Any], targets: Mapping[str, type], path: str
) -> None:
    """Check a value that may be of several kinds; the one that it is nearest to answers, else the first."""
    mistakes = []
    for kind in sorted(kinds, key=lambda kind: _is_far(value, kind)):
        try:
            return _check_value(value, kind, knob_field, targets, path)
        except ConfigError as mistake:
            mistakes.append(mistake)
    raise mistakes[0]


def _is_far(value: Any, kind: Any) -> bool:
    if kind in _KINDS:
        return not isinstance(value, kind)
    return _is_mapping(kind) != isinstance(value, Mapping)


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (Union, types.UnionType)


def _is_mapping(hint: Any) -> bool:
    return hint in _MAPPINGS or typing.get_origin(hint) in _MAPPINGS


_LISTS = (list, tuple, set, frozenset, Sequence, Iterable, Collection)
_MAPPINGS = (dict, Mapping)
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def _check_scalar(value: Any, kind: type, knob_field: Field[Any], path: str) -> None:
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (kind is not bool and isinstance(value, bool)):
        raise ConfigError(f"{path} must be {_KINDS[kind]}, not {value!r}")
    choices = knob_field.metadata.get("choices")
    if choices and value not in choices:
        raise ConfigError(f"{path} must be one of {', '.join(map(str, choices))}, not {value!r}")
    bounds = knob_field.metadata.get("bounds")
    # None: of a user's own, where infinity may mean something.
    if bounds is None or not isinstance(value, int | float):
        return
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{path} must be finite, not {value}")
    for word, sign, holds in (
        ("at_least", ">=", lambda bound: value >= bound),
        ("above", ">", lambda bound: value > bound),
        ("at_most", "<=", lambda bound: value <= bound),
        ("below", "<", lambda bound: value < bound),
    ):
        bound = bounds[word]
        if bound is not None and not holds(bound):
            raise ConfigError(f"{path} must be {sign} {bound}, not {value}")
