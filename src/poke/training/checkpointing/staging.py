"""Copies of state that training can no longer change, in buffers kept from one save to the next."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

Path = tuple[Any, ...]
_SMALL_BYTES = 1 << 16  # below, new memory costs nothing to speak of
SCALARS = frozenset({type(None), bool, int, float, str, bytes})


class StagingBuffers:
    """One copy of a state at a time, in memory that the next copy reuses.

    Fast path: after the first copy nothing is allocated for tensors whose place, shape and dtype stay the
    same, nor for those of the CPU whose size changes a little, as a ring's new rows do: memory that
    is used for the first time takes several times as long to fill. CUDA tensors are copied into
    pinned memory.
    """

    def __init__(self) -> None:
        self._buffers: dict[Path, Tensor] = {}
        self._spare: dict[Path, np.ndarray] = {}  # bytes that buffers of the CPU begin with

    def copy(self, state: Any) -> Any:
        """Return a copy of the state, valid until the next call.

        A tensor's copy holds what the tensor shows and nothing of the storage around it; tensors
        that are the same view of the same memory have one copy.

        Args:
            state: tensors, numbers, str, bytes, None, and lists, tuples and dicts of them.

        Raises:
            TypeError: the state holds anything else; the message says what and where.
        """
        copies: dict[tuple[Any, ...], Tensor] = {}
        used: dict[Path, Tensor] = {}

        def copy_tensor(tensor: Tensor, path: Path) -> Tensor:
            identity = _identity(tensor)
            if identity not in copies:
                copies[identity] = used[path] = self._fill_buffer(tensor, path)
            return copies[identity]

        with torch.no_grad():
            copied = map_tensors(state, copy_tensor)
        self._buffers = used
        self._spare = {path: spare for path, spare in self._spare.items() if path in used}
        for device in {identity[0] for identity in copies if identity[0].type == "cuda"}:
            torch.cuda.current_stream(device).synchronize()
        return copied

    def _fill_buffer(self, tensor: Tensor, path: Path) -> Tensor:
        buffer = self._buffers.get(path)
        if buffer is None or buffer.shape != tensor.shape or buffer.dtype != tensor.dtype:
            buffer = self._new_buffer(tensor, path)
        return buffer.copy_(tensor, non_blocking=True)

    def _new_buffer(self, tensor: Tensor, path: Path) -> Tensor:
        if tensor.is_cuda or not tensor.is_contiguous() or tensor.nbytes < _SMALL_BYTES:
            self._spare.pop(path, None)
            return torch.empty_like(
                tensor, device="cpu", pin_memory=tensor.is_cuda, requires_grad=False
            )
        spare, size = self._spare.get(path), tensor.nbytes
        if spare is None or not size <= len(spare) <= 2 * size:
            spare = self._spare[path] = np.empty(size + size // 4, np.uint8)
        # A storage of its own of just this size: a view's whole storage would be written.
        return torch.from_numpy(spare[:size]).view(tensor.dtype).view(tensor.shape)


def map_tensors(state: Any, replace: Callable[[Tensor, Path], Any], path: Path = ()) -> Any:
    """Return the state with fresh containers and every tensor replaced.

    Args:
        state: tensors, numbers, str, bytes, None, and lists, tuples and dicts of them.
        replace: takes a tensor and its path.
        path: the keys that lead to the state.

    Raises:
        TypeError: the state holds anything else; the message says what and where.
    """
    if type(state) in SCALARS:
        return state
    if isinstance(state, Tensor) and state.layout is torch.strided:
        return replace(state, path)
    if type(state) is dict or type(state) is OrderedDict:
        mapped = type(state)()
        for key, value in state.items():
            if type(key) not in SCALARS:
                raise TypeError(
                    f"{dotted(path)} has a key of type {type(key).__qualname__}: {_TAKEN}"
                )
            mapped[key] = map_tensors(value, replace, (*path, key))
        if "_metadata" in getattr(state, "__dict__", ()):
            # torch keeps the versions of a module's parts here, and reads them on load.
            vars(mapped)["_metadata"] = map_tensors(vars(state)["_metadata"], replace, path)
        return mapped
    if type(state) is list or type(state) is tuple:
        return type(state)(
            map_tensors(value, replace, (*path, index)) for index, value in enumerate(state)
        )
    raise TypeError(
        f"{dotted(path)} is a {type(state).__module__}.{type(state).__qualname__}: {_TAKEN}"
    )


def dotted(path: Path) -> str:
    """Return a path as people write it: ``algorithm.optimizer.state.0``."""
    return ".".join(map(str, path))


def flatten(state: Any) -> dict[str, Tensor]:
    """Return the state's tensors by their dotted path."""
    found: dict[str, Tensor] = {}
    map_tensors(state, lambda tensor, path: found.setdefault(dotted(path), tensor))
    return found


def tensor_bytes(state: Any) -> int:
    """Return how many bytes the state's tensors take, each tensor counted once."""
    return sum({id(tensor): tensor.nbytes for tensor in flatten(state).values()}.values())


def _identity(tensor: Tensor) -> tuple[Any, ...]:
    return (
        tensor.device,
        tensor.data_ptr(),
        tensor.shape,
        tensor.stride(),
        tensor.dtype,
        tensor.is_conj(),
        tensor.is_neg(),
    )


_TAKEN = "state is tensors, numbers, str, bytes, None, and lists, tuples and dicts of them"
