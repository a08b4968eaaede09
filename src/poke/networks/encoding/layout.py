"""Read the layout that travels in a file of demonstrations: which byte of an observation means what.

A layout is the JSON of `poke.envs.showdown.layout.describe`: groups of equal-shaped entities, each of dense
features (value = byte * scale) followed by 2-byte ids, and perhaps by entities of its own (a Pokemon's moves).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def dense_scale(layout: Mapping[str, Any]) -> Tensor:
    """Return `[size]` float32: each byte's scale, 0 for the bytes of ids."""
    scale = torch.zeros(layout["size"])
    for group in layout["groups"]:
        kind = layout["kinds"][group["kind"]]
        entity = torch.zeros(group["size"])
        dense = entity_scale(kind)
        entity[: len(dense)] = dense
        moves = kind.get("moves")
        if moves:
            dense = entity_scale(moves)
            for i in range(moves["count"]):
                start = moves["offset"] + i * moves["size"]
                entity[start : start + len(dense)] = dense
        start, end = group["offset"], group["offset"] + group["count"] * group["size"]
        scale[start:end] = entity.repeat(group["count"])
    return scale


def entity_scale(kind: Mapping[str, Any]) -> Tensor:
    """Return `[dense_size]` float32: the scales of one entity's dense bytes."""
    return torch.cat(
        [torch.full((feature["size"],), feature["scale"]) for feature in kind["dense"]]
    )


def byte_bounds(layout: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Return the lowest and the highest value that each byte may be drawn at, both `[size]` int8.

    Ids are of the first rows of their tables: as many as any pair of bytes within the bounds is one of.
    """
    low = torch.zeros(layout["size"], dtype=torch.int8)
    high = torch.zeros(layout["size"], dtype=torch.int8)

    def write(kind: Mapping[str, Any], start: int) -> None:
        for feature in kind["dense"]:
            end = start + feature["offset"] + feature["size"]
            low[end - feature["size"] : end] = feature["low"]
            high[end - feature["size"] : end] = feature["high"]
        for field in kind["ids"]:
            high[start + field["offset"]] = min(layout["tables"][field["table"]] - 1, 127)
        if "moves" in kind:
            moves = kind["moves"]
            for i in range(moves["count"]):
                write(moves, start + moves["offset"] + i * moves["size"])

    for group in layout["groups"]:
        for i in range(group["count"]):
            write(layout["kinds"][group["kind"]], group["offset"] + i * group["size"])
    return low, high


def entities(observation: Tensor, group: Mapping[str, Any]) -> Tensor:
    """Return a view of one group's bytes.

    Args:
        observation: `[batch, size]` int8.
        group: one of the layout's groups.

    Returns:
        `[batch, count, entity_size]` int8.
    """
    start, end = group["offset"], group["offset"] + group["count"] * group["size"]
    return observation[:, start:end].unflatten(1, (group["count"], group["size"]))


def read_id(entity: Tensor, offset: int) -> Tensor:
    """Return the little-endian unsigned 16-bit id at a byte offset.

    Args:
        entity: `[..., entity_size]` int8.
        offset: of the id's first byte.

    Returns:
        `[...]` int64.
    """
    low, high = entity[..., offset].long() & 0xFF, entity[..., offset + 1].long() & 0xFF
    return low | high << 8
