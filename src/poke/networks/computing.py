"""How networks are computed: in which precision, compiled or not. What they are stays the same."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

# What a network is asked by, see `poke.networks.actor_critic`.
METHODS = ("forward", "forward_with_features", "step", "unroll")


def compute(network: nn.Module, *, mixed: bool, compiled: bool) -> None:
    """Let a network compute otherwise than operation by operation in float32, in place.

    Args:
        network: keeps its class and the names of its weights.
        mixed: products of matrices, convolutions and memories are of bfloat16 (`torch.autocast`); weights, what the
            network puts out and everything that is made of that stay float32. bfloat16 reaches as far as float32, so
            that gradients need not be scaled (Kalamkar et al., "A Study of BFLOAT16 for Deep Learning Training", 2019).
        compiled: by `torch.compile`.
    """
    if mixed or compiled:
        for name in METHODS:
            method = getattr(network, name, None)
            if method is not None:
                setattr(network, name, _Computed(method, mixed, compiled))


def is_plain(network: nn.Module) -> bool:
    """Whether a network computes as its class says, so that something else may do it in its place."""
    return not isinstance(vars(network).get("forward"), _Computed)


class _Computed:
    """A network's method, computed otherwise. A deep copy of the network has one of its own."""

    def __init__(self, method: Callable[..., Any], mixed: bool, compiled: bool) -> None:
        self._method = method
        self._mixed = mixed
        self._compiled = compiled
        self._run: Callable[..., Any] | None = None  # made when first called

    def __call__(self, *inputs: Tensor) -> Any:
        if torch.compiler.is_compiling():  # one method calls another
            return self._method(*inputs)
        if self._run is None:
            self._run = torch.compile(self._method) if self._compiled else self._method
        if not self._mixed:
            return self._run(*inputs)
        with torch.autocast(inputs[0].device.type, torch.bfloat16):
            return _float(self._run(*inputs))

    def __deepcopy__(self, memo: dict[int, Any]) -> _Computed:
        return _Computed(copy.deepcopy(self._method, memo), self._mixed, self._compiled)


def _float(result: Any) -> Any:
    if isinstance(result, tuple):
        return tuple(map(_float, result))
    return result.float() if isinstance(result, Tensor) and result.is_floating_point() else result
