"""Read a run's config as flat values: one dotted key a setting."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from poke.comparison.reading.files import read_text

Value = str | int | float | bool | None
# Of YAML's tags for Python those of values; the others are of objects.
PLAIN_TAGS = frozenset(
    (
        *("none", "bool", "str", "unicode", "bytes", "int", "long", "float", "complex"),
        *("list", "tuple", "dict"),
    )
)
MAX_VALUES = 100_000  # of a config in YAML, aliases unfolded
SCALARS = frozenset((str, int, float, bool, type(None)))


def read_config(path: str, own_names: Sequence[str] = ()) -> dict[str, Value]:
    """Read a JSON or YAML config and flatten it.

    Args:
        path: the file.
        own_names: names of the run's own directory. In a setting they become ``<run>``: every run would differ.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a mapping in its format.
    """
    text = read_text(path)
    config = json.loads(text) if path.endswith(".json") else _load_yaml(text)
    if not isinstance(config, dict):
        raise ValueError("is not a mapping")
    flat = flatten(config)
    for own in own_names:
        if own in text:
            for key, value in flat.items():
                if isinstance(value, str):
                    flat[key] = value.replace(own, "<run>")
    return flat


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    """Return nested settings under dotted keys; a list becomes its JSON text."""
    flat: dict[str, Value] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if type(value) in SCALARS:
            flat[name] = value
        elif isinstance(value, dict) and value:
            flat.update(flatten(value, f"{name}."))
        else:
            flat[name] = json.dumps(value, default=str)
    return flat


def _load_yaml(text: str) -> Any:
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """Reads 1e-3 as a number, as YAML 1.2 does, and an object of another program as its plain value."""

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
        list("-+0123456789."),
    )
    Loader.add_multi_constructor("tag:yaml.org,2002:python/", _plain_value)
    Loader.add_multi_constructor("!", _plain_value)
    try:
        config = yaml.load(text, Loader)  # a subclass of SafeLoader: plain values only
    except yaml.YAMLError as error:
        raise ValueError(f"is not YAML ({str(error).splitlines()[0]})") from None
    _refuse_too_many(config)
    return config


def _refuse_too_many(config: Any) -> None:
    """Refuse aliases that unfold to more values than memory holds, or without an end."""
    waiting, met = [config], 0
    while waiting:
        value = waiting.pop()
        met += 1
        if met > MAX_VALUES:
            raise ValueError(f"has more than {MAX_VALUES:,} values")
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _plain_value(loader: Any, suffix: str, node: Any) -> Any:
    """Return an object of another program as plain values that tell it from others; nothing is imported or called.

    Args:
        loader: the YAML loader.
        suffix: the tag without its beginning: ``name:torch.nn.ReLU``, ``object/apply:numpy.dtype``,
            ``tuple``, or a name of the program's own.
        node: what was tagged.
    """
    import yaml

    kind, colon, name = suffix.partition(":")
    name = name if colon else "" if kind in PLAIN_TAGS else suffix
    if isinstance(node, yaml.MappingNode):
        fields = loader.construct_mapping(node, deep=True)
        return {"_target_": name, **fields} if name else fields
    if isinstance(node, yaml.SequenceNode):
        parts = loader.construct_sequence(node, deep=True)
        return {"_target_": name, "_args_": parts} if name else parts
    if not name:  # an int, a bool or a None, as it would be without its tag
        tag = loader.resolve(yaml.ScalarNode, node.value, (True, False))
        text = kind in ("str", "unicode", "bytes")
        return node.value if text else loader.construct_object(yaml.ScalarNode(tag, node.value))
    return f"{name} {node.value}".rstrip()
