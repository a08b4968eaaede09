"""What is in a checkpoint's file, in which version, and how states get in and out of components.

``torch.load(path, weights_only=True)`` reads it as a dict with the keys ``components`` (each
component's state by its name), ``metadata`` (``CheckpointMetadata.to_dict``), ``random_states`` and
``format_version``. Version 1 had no seal and held numpy's arrays as lists; up to version 2 the policy's
weights were the algorithm's and its normaliser the environments'.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from poke.training.checkpointing.files import (
    CheckpointError,
    DamagedError,
    FileRecord,
    first_line,
    read_payload,
    read_seal,
    verify_file,
)
from poke.training.checkpointing.index import SEGMENT_NAME
from poke.training.checkpointing.metadata import CheckpointMetadata
from poke.training.checkpointing.segments import read_segments, references, segment_names
from poke.training.checkpointing.shards import COMPONENT, read_shards, shard_names

logger = logging.getLogger("poke")

FORMAT_VERSION = 3
KEYS = {"components", "metadata", "random_states", "format_version"}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read and found whole.

    Args:
        path: its file.
        metadata: what it says of itself.
        components: each component's state by its name; tensors are mapped from the file, privately.
        random_states: what ``RandomStates`` restores; empty where only weights were saved.
        file: the file's size and digest.
        rings: where the rows of incremental state came from.
        segments: names of all files it needs besides its own.
    """

    path: Path
    metadata: CheckpointMetadata
    components: Mapping[str, Any]
    random_states: Mapping[str, Any]
    file: FileRecord
    rings: Mapping[tuple[Any, ...], Mapping[str, Any]]
    segments: tuple[str, ...]


def read_checkpoint(
    path: Path, *, expected: FileRecord | None = None, names: Collection[str] | None = None
) -> Checkpoint:
    """Verify a file and return the checkpoint in it.

    Args:
        path: the file; segments it refers to stand beside it.
        expected: what was written under this name, where that is known.
        names: the components to read; None reads all.

    Raises:
        DamagedError: it, or a segment, is missing or not what was written.
        CheckpointError: it is unsafe, newer than this program, or lacks a component.
    """
    if read_seal(path) is not None:
        record = verify_file(path, expected)
        payload = read_payload(path)
    else:
        record, payload = _read_unsealed(path)
    payload = migrate(payload, path)
    if payload.keys() != KEYS:
        raise CheckpointError(f"{path} is no checkpoint: its keys are {sorted(map(str, payload))}")
    components = dict(payload["components"])
    segments = shard_names(components)
    shards = components.pop(COMPONENT, None)
    components = _pick(components, names, path)
    components, rings = read_segments(components, path.parent)
    if shards is not None:
        components = read_shards(components, path.parent, shards)
    metadata = CheckpointMetadata.from_dict(payload["metadata"])
    segments = (*segment_names(rings), *segments)
    return Checkpoint(path, metadata, components, payload["random_states"], record, rings, segments)


def segments_needed_by(path: Path) -> tuple[str, ...]:
    """Return the names of the segments that a file refers to; none where it is no checkpoint."""
    try:
        components = read_payload(path).get("components")
        names = (*segment_names(references(components)), *shard_names(components))
        return tuple(name for name in names if SEGMENT_NAME.fullmatch(name))
    except (CheckpointError, KeyError, TypeError):
        return ()


def _read_unsealed(path: Path) -> tuple[FileRecord, dict[str, Any]]:
    payload = read_payload(path)
    if payload.get("format_version") != 1:
        raise DamagedError(f"{path} is damaged: the checksum at its end is missing")
    logger.warning("%s has format 1, which holds no checksum: it cannot be verified", path)
    return FileRecord(path.name, path.stat().st_size, ""), payload


def migrate(payload: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the payload in today's format.

    Raises:
        CheckpointError: it has no version, or one that is newer than this program.
    """
    version = payload.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise CheckpointError(f"{path} is no checkpoint: it has no format_version")
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format {version}, this poke reads up to {FORMAT_VERSION}: update poke"
        )
    for older in range(version, FORMAT_VERSION):
        payload = _MIGRATIONS[older](payload)
    return payload


def state_of(component: Any, name: str) -> Mapping[str, Any]:
    """Return the state of a Stateful, or of an object with torch's ``state_dict``.

    Raises:
        TypeError: it is neither.
    """
    getter = getattr(component, "get_state", None) or getattr(component, "state_dict", None)
    if getter is None:
        raise TypeError(f"{name} has neither get_state nor state_dict: {type(component).__name__}")
    return getter()


def restore_components(components: Mapping[str, Any], checkpoint: Checkpoint) -> None:
    """Give each component its state, in the order given; nothing is given unless the names agree.

    Raises:
        CheckpointError: a component is missing or unexpected, or refuses its state.
    """
    if missing := sorted(components.keys() - checkpoint.components.keys()):
        raise CheckpointError(f"{checkpoint.path} lacks the component {', '.join(missing)}")
    if unexpected := sorted(checkpoint.components.keys() - components.keys()):
        raise CheckpointError(
            f"{checkpoint.path} holds the component {', '.join(unexpected)}, which is not in play"
        )
    for name, component in components.items():
        setter = getattr(component, "set_state", None) or component.load_state_dict
        try:
            setter(checkpoint.components[name])
        except Exception as error:
            raise CheckpointError(
                f"{checkpoint.path}: {name} does not take its state: {_why_refused(error)}"
            ) from error


def _why_refused(error: Exception) -> str:
    """Return what is wrong with a state, in one line: torch's own first line says nothing."""
    if isinstance(error, KeyError):
        return f"it has no {error}"
    text = str(error)
    if "\n" not in text:
        return text or type(error).__name__
    problems: list[str] = []
    for line in text.splitlines()[1:]:
        if shapes := _SIZE_MISMATCH.search(line):
            where, theirs, ours = shapes.groups()
            problems.append(
                f"size mismatch for {where}: ({theirs}) in the checkpoint, ({ours}) here"
            )
        elif "Missing key(s)" in line:
            problems += [f"{key} is not in the checkpoint" for key in _KEY.findall(line)]
        elif "Unexpected key(s)" in line:
            problems += [f"{key} is only in the checkpoint" for key in _KEY.findall(line)]
        elif line.strip():
            problems.append(line.strip())
    more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
    return (problems[0] if problems else first_line(error)) + more


_KEY = re.compile(r'"([^"]+)"')
_SIZE_MISMATCH = re.compile(
    r"size mismatch for ([^:]+): .*torch\.Size\(\[([^]]*)\]\).*torch\.Size\(\[([^]]*)\]\)"
)


def _pick(
    components: Mapping[str, Any], names: Collection[str] | None, path: Path
) -> dict[str, Any]:
    if missing := [name for name in names or () if name not in components]:
        raise CheckpointError(
            f"{path} lacks the component {', '.join(missing)}"
            f" (it holds {', '.join(sorted(components))})"
        )
    return {name: components[name] for name in names or components}


def _from_version_1(payload: dict[str, Any]) -> dict[str, Any]:
    def array_as_tensor(state: Any) -> Any:
        if not isinstance(state, dict):
            return state
        if state.keys() == {"dtype", "array"}:
            return torch.from_numpy(np.array(state["array"], dtype=state["dtype"]))
        return {key: array_as_tensor(value) for key, value in state.items()}

    random_states = array_as_tensor(payload["random_states"])
    return {**payload, "random_states": random_states, "format_version": 2}


def _from_version_2(payload: dict[str, Any]) -> dict[str, Any]:
    """Put what acting takes into a component of its own; what the policy is made of, nobody had written down."""
    components = dict(payload["components"])
    algorithm = dict(components.get("algorithm", {}))
    if "network" not in algorithm:  # somebody's own
        return {**payload, "format_version": 3}
    policy = {"description": None, "network": algorithm.pop("network"), "normalizer": None}
    source = dict(components.get("source", {}))
    if isinstance(source.get("environments"), Mapping):
        environments = dict(source["environments"])
        policy["normalizer"] = environments.pop("normalizer", None)
        # What was kept of the observation to act on next was normalised already.
        seen = None if policy["normalizer"] is None else environments.get("observation")
        components["source"] = {**source, "environments": environments, "seen": seen}
    if payload["random_states"]:
        components = {"policy": policy, **components, "algorithm": algorithm}
    else:
        components = {"policy": policy}  # only weights were saved
    return {**payload, "components": components, "format_version": 3}


_MIGRATIONS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    1: _from_version_1,
    2: _from_version_2,
}
