"""What is in a checkpoint's file: its format, its versions, and how states get in and out of components.

A file is what ``torch.load(path, weights_only=True)`` returns as a dict with the keys ``components`` (each
component's state by name), ``metadata`` (``CheckpointMetadata.to_dict``), ``random_states`` and ``format_version``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poke.training.checkpoint_files import CheckpointError, first_line, read_payload
from poke.training.checkpoint_index import CheckpointMetadata

FORMAT_VERSION = 1
KEYS = {"components", "metadata", "random_states", "format_version"}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read and found whole.

    Args:
        path: its file.
        metadata: what it says of itself.
        components: each component's state by its name; tensors are mapped from the file, privately.
        random_states: what ``RandomStates`` restores; empty where only weights were saved.
    """

    path: Path
    metadata: CheckpointMetadata
    components: Mapping[str, Any]
    random_states: Mapping[str, Any]


def read_checkpoint(path: Path) -> Checkpoint:
    """Return the checkpoint in a file.

    Raises:
        CheckpointError: it is no checkpoint, or newer than this program.
    """
    payload = migrate(read_payload(path), path)
    if payload.keys() != KEYS:
        raise CheckpointError(f"{path} is no checkpoint: its keys are {sorted(map(str, payload))}")
    return Checkpoint(
        path,
        CheckpointMetadata.from_dict(payload["metadata"]),
        payload["components"],
        payload["random_states"],
    )


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
            f"{path} has format {version}, newer than the {FORMAT_VERSION} this poke reads: update poke"
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
    """Give each component its state.

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
                f"{checkpoint.path}: {name} does not take its state: {first_line(error)}"
            ) from error


def pick_components(checkpoint: Checkpoint, names: Collection[str]) -> dict[str, Any]:
    """Return the named components' states.

    Raises:
        CheckpointError: one is missing; the message names what there is.
    """
    if missing := [name for name in names if name not in checkpoint.components]:
        raise CheckpointError(
            f"{checkpoint.path} lacks the component {', '.join(missing)}"
            f" (it holds {', '.join(sorted(checkpoint.components))})"
        )
    return {name: checkpoint.components[name] for name in names}


_MIGRATIONS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
