"""Read a run's config as flat values: one dotted key a setting."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

Value = str | int | float | bool | None
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
    with open(path, encoding="utf-8") as file:
        text = file.read()
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
        return yaml.load(text, Loader)  # a subclass of SafeLoader: it constructs plain values only
    except yaml.YAMLError as error:
        raise ValueError(f"is not YAML ({str(error).splitlines()[0]})") from None


def _plain_value(loader: Any, suffix: str, node: Any) -> Any:
    import yaml

    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)
