"""Bring the config of an older run up to date: what was renamed, what poke gained since, what it lost.

The format's version stands in ``run.json`` as ``config_format``. It is raised, and a migration added, when a key
changes its name or its meaning. Keys that only came or went need none: they are told from the schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any

from omegaconf import DictConfig, OmegaConf

from poke.config import composing
from poke.config.knobs import ConfigError, nodes
from poke.config.schema import TARGETS, TrainConfig

CONFIG_FORMAT = 1
# From each version to the next: changes the config in place.
MIGRATIONS: dict[int, Callable[[DictConfig], None]] = {}

# Groups whose option is told by what it builds; those that others borrow values from come last.
KINDS = ("env", "network", "data", "eval", "algo")


def bring_up_to_date(config: DictConfig, version: int, name: str) -> list[str]:
    """Change a saved config into one of today, in place.

    Args:
        config: unresolved.
        version: its format.
        name: whose it is, for the message.

    Returns:
        One line for each knob that came or went since.

    Raises:
        ConfigError: it is newer than this poke.
    """
    if version > CONFIG_FORMAT:
        raise ConfigError(
            f"{name} was made by a newer poke: its config has format {version}, "
            f"this one reads up to {CONFIG_FORMAT}: update poke"
        )
    for older in range(version, CONFIG_FORMAT):
        MIGRATIONS[older](config)
    return [*_drop_lost(config), *_add_gained(config)]


def _drop_lost(config: DictConfig) -> Iterator[str]:
    for path, schema, node in list(nodes(_plain(config), TrainConfig, TARGETS)):
        known = {f.name for f in fields(schema)} | {"_target_"}
        for key, value in node.items():
            is_sink = isinstance(value, Mapping) and "_target_" in value
            if key in known or (is_sink and getattr(schema, "takes_targets", False)):
                continue
            where = OmegaConf.select(config, path) if path else config
            del where[key]
            yield f"{_dotted(path, key)} is no knob any more: dropped (it was {value})"


def _add_gained(config: DictConfig) -> Iterator[str]:
    gained = [
        _dotted(path, f.name)
        for path, schema, node in nodes(_plain(config), TrainConfig, TARGETS)
        for f in fields(schema)
        if f.name not in node and f.default is MISSING
    ]
    if not gained:
        return
    today = composing.compose("train", _options(config))
    for key in gained:
        value = _raw(today, key)
        OmegaConf.update(config, key, value, force_add=True)
        yield f"{key} came since: {value}"


def _options(config: DictConfig) -> list[str]:
    """Overrides that choose, for every group, an option that builds what the config names."""
    found = []
    for group in KINDS:
        target = OmegaConf.select(config, f"{group}._target_")
        for file in sorted((composing.config_dir() / group).glob("*.yaml")):
            option = _plain(OmegaConf.load(file))
            node = option.get(group, option)  # a global package holds it under its name
            if target is not None and node.get("_target_") == target:
                found.append(f"{group}={file.stem}")
                break
    return found


def _plain(config: Any) -> dict[str, Any]:
    container = OmegaConf.to_container(config, resolve=False)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def _raw(config: DictConfig, key: str) -> Any:
    """A value as it is written, interpolations and all."""
    node: Any = _plain(config)
    for part in key.split("."):
        node = node[part]
    return node


def _dotted(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)
