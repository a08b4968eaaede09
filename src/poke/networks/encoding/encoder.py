"""What networks are joined of: encoders, which turn observations into features for a head to read."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Encoder(nn.Module):
    """Maps `[batch, *observation_shape]` to `[batch, size]` float32."""

    size: int


class Block(nn.Module):
    """A part of a network that holds much of what a gradient is made of, see `recompute_blocks`."""

    reads_weights = (
        False  # whether it reads weights of its layers itself, rather than calling these
    )


def recompute_blocks(network: nn.Module) -> None:
    """Let each block of a network compute again on the way back what it would else have kept, in place.

    Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016. What comes out is the same to the bit.
    """
    for module in network.modules():
        if isinstance(module, Block):
            vars(module)["forward"] = _Recomputed(module.forward)


class _Recomputed:
    """A block's `forward` that keeps its inputs only. A deep copy of the block has one of its own."""

    def __init__(self, forward: Callable[..., Tensor]) -> None:
        self._forward = forward

    @property
    def __self__(self) -> Any:
        """The block, as a method has it."""
        return self._forward.__self__  # type: ignore[attr-defined]

    def __call__(self, *inputs: Tensor | None) -> Any:
        if not torch.is_grad_enabled():
            return self._forward(*inputs)
        from torch.utils.checkpoint import (
            checkpoint,
        )  # when first called it imports torch's compiler

        return checkpoint(self._forward, *inputs, use_reentrant=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Recomputed:
        return _Recomputed(copy.deepcopy(self._forward, memo))
