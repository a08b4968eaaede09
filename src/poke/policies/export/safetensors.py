"""A policy as a safetensors file: its tensors, and in the file's metadata, as JSON, what they belong to.

The metadata's key ``poke`` holds ``format`` (1), ``description`` (see `poke.policies.building`), ``normalizer`` (what
of its state is no tensor, or null), ``about`` (where the policy comes from) and ``checksum``, of all that. Tensors are
named ``network.NAME`` and ``normalizer.NAME``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import xxhash
from torch import Tensor

from poke.policies.policy import PolicyError

FORMAT = 1
KEY = "poke"


def to_bytes(state: Mapping[str, Any], about: Mapping[str, Any]) -> bytes:
    """Return the file of a policy.

    Args:
        state: of `Policy.get_state`.
        about: what else is to be known of it, as JSON has values.

    Raises:
        PolicyError: its weights are not all tensors, or its description is no JSON.
    """
    from safetensors.torch import save

    tensors = {f"network.{name}": value for name, value in state["network"].items()}
    if others := [name for name, value in tensors.items() if not isinstance(value, Tensor)]:
        raise PolicyError(f"{others[0]} is no tensor, and a safetensors file holds no others")
    normalizer = state["normalizer"]
    if normalizer is not None:
        statistics = {name: v for name, v in normalizer.items() if isinstance(v, Tensor)}
        tensors |= {f"normalizer.{name}": value for name, value in statistics.items()}
        normalizer = {name: v for name, v in normalizer.items() if name not in statistics}
    said = {
        "format": FORMAT,
        "description": state["description"],
        "normalizer": normalizer,
        "about": dict(about),
    }
    # A file takes no two tensors of one memory, which tied weights are.
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    said["checksum"] = _checksum(tensors, said)
    return save(tensors, metadata={KEY: _json(said)})


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the state of a policy, as `Policy.set_state` takes it, and what else is known of it.

    Raises:
        PolicyError: the file is damaged, or none that `to_bytes` made.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            said = json.loads((file.metadata() or {}).get(KEY, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
    except (SafetensorError, ValueError, OSError) as error:
        raise PolicyError(f"{path} is damaged: {' '.join(str(error).split())}") from error
    if not isinstance(said, dict):
        raise PolicyError(f"{path} holds no policy: `python -m poke.export` did not write it")
    if said.get("format") != FORMAT:
        raise PolicyError(
            f"{path} has format {said.get('format')}, this poke reads {FORMAT}: update poke"
        )
    if said.pop("checksum", None) != _checksum(tensors, said):
        raise PolicyError(f"{path} is damaged: its checksum is not that of its contents")
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "normalizer": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    state: dict[str, Any] = {"description": said["description"], **parts, "normalizer": None}
    if said["normalizer"] is not None:
        state["normalizer"] = {**parts["normalizer"], **said["normalizer"]}
    return state, said["about"]


def _json(values: Any) -> str:
    try:
        text = json.dumps(values, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise PolicyError(f"what the policy is made of is no JSON: {error}") from error
    if json.loads(text) != values:
        raise PolicyError("what the policy is made of is no JSON: it has keys that are no text")
    return text


def _checksum(tensors: Mapping[str, Tensor], said: Mapping[str, Any]) -> str:
    digest = xxhash.xxh3_128(_json(said).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
