"""What of a config decides a run's result: its identity. Imports no torch.

The rest is bookkeeping: how a run is started, watched and kept. The schema says so of each knob. Sweeps tell by the
identity whether a job is done; run.json names the bookkeeping, so that whoever compares runs goes by the same rule
without knowing this schema.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import MISSING as REQUIRED
from dataclasses import fields
from typing import Any

from poke.config.knobs import nodes
from poke.config.schema import TARGETS, TrainConfig

MISSING = "(none)"


def bookkeeping(config: Mapping[str, Any]) -> list[str]:
    """Return the keys that change no result, such as ``trainer.max_seconds``; a group's name stands for all its keys.

    Args:
        config: a training config, plain. Only knobs of the classes it names are looked up.
    """
    return [
        f"{path}.{knob.name}" if path else knob.name
        for path, schema, _ in nodes(config, TrainConfig, TARGETS)
        for knob in fields(schema)
        if knob.metadata["bookkeeping"]
    ]


def defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what it means, by key, that a config lacks a knob that came later: the knob's default.

    Args:
        config: as of `bookkeeping`; keys of the bookkeeping are left out.
    """
    found = {
        f"{path}.{knob.name}" if path else knob.name: knob.default
        for path, schema, mapping in nodes(config, TrainConfig, TARGETS)
        for knob in fields(schema)
        if knob.default is not REQUIRED and not isinstance(mapping.get(knob.name), Mapping)
    }
    left_out = bookkeeping(config)
    return {key: default for key, default in found.items() if not is_among(key, left_out)}


def is_among(key: str, keys: Collection[str]) -> bool:
    """Tell whether a dotted key, or a group it stands in, is one of some keys."""
    parts = key.split(".")
    return any(".".join(parts[:length]) in keys for length in range(1, len(parts) + 1))


def changes(
    before: Mapping[str, Any], now: Mapping[str, Any], *, device: str | None = None
) -> list[str]:
    """Return the keys of the identity in which two configs differ, as ``key: before -> now``.

    A knob that came after one of them was stored has its default there.

    Args:
        before: a config as stored, plain.
        now: another, plain; tuples and keys that are numbers compare as they would be stored.
        device: what ``device=auto`` of the first came to, if known. An auto of the second leaves the choice open.
    """
    left_out = {*bookkeeping(before), *bookkeeping(now)}
    if before.get("device") == "auto" and device is not None:
        before = {**before, "device": device}
    if now.get("device") == "auto":
        now = {**now, "device": before.get("device")}
    old, new = _leaves(before, left_out), _leaves(json.loads(json.dumps(now)), left_out)
    implied = {**defaults(before), **defaults(now)}
    old, new = ({**implied, **leaves} for leaves in (old, new))
    return [
        f"{key}: {old.get(key, MISSING)} -> {new.get(key, MISSING)}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key, MISSING) != new.get(key, MISSING)
    ]


def _leaves(config: Mapping[str, Any], left_out: Collection[str], path: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, value in config.items():
        if f"{path}{key}" in left_out:
            continue
        if isinstance(value, Mapping):
            leaves |= _leaves(value, left_out, f"{path}{key}.")
        else:
            leaves[f"{path}{key}"] = value
    return leaves
