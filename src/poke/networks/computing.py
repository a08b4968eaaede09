"""How networks are computed: in which precision, compiled or not. What they are stays the same."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

# What a network is asked by, see `poke.networks.actor_critic`.
METHODS = ("forward", "forward_with_features", "step", "unroll")
# What products are of where networks compute in mixed precision, by the name of it.
MIXED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
# What the gradients of all that a network puts out sum up to, in size, once they are scaled: as much room to the
# largest number of float16, 65504, as a network's own numbers may add, and as much as there is to the smallest.
SCALED_SUM = 4096.0


def compute(network: nn.Module, *, precision: int | str, compiled: bool) -> None:
    """Let a network compute otherwise than operation by operation in float32, in place.

    Args:
        network: keeps its class and the names of its weights.
        precision: 32; or bf16-mixed or 16-mixed: products of matrices, convolutions and memories are of bfloat16 or
            float16 (`torch.autocast`); weights, what the network puts out and everything that is made of that stay
            float32. bfloat16 reaches as far as float32, so that gradients need not be scaled (Kalamkar et al., "A Study
            of BFLOAT16 for Deep Learning Training", 2019). float16 does not: see `_scaled`.
        compiled: by `torch.compile`.
    """
    dtype = MIXED.get(str(precision))
    if dtype is not None or compiled:
        for name in METHODS:
            method = getattr(network, name, None)
            if method is not None:
                setattr(network, name, _Computed(method, dtype, compiled))


def is_plain(network: nn.Module) -> bool:
    """Whether a network computes as its class says, so that something else may do it in its place."""
    return not isinstance(vars(network).get("forward"), _Computed)


class _Computed:
    """A network's method, computed otherwise. A deep copy of the network has one of its own."""

    def __init__(
        self, method: Callable[..., Any], dtype: torch.dtype | None, compiled: bool
    ) -> None:
        self._method = method
        self._dtype = dtype
        self._compiled = compiled
        self._run: Callable[..., Any] | None = None  # made when first called

    def __call__(self, *inputs: Tensor) -> Any:
        if torch.compiler.is_compiling():  # one method calls another
            return self._method(*inputs)
        if self._run is None:
            self._run = torch.compile(self._method) if self._compiled else self._method
        if self._dtype is None:
            return self._run(*inputs)
        with torch.autocast(inputs[0].device.type, self._dtype):
            if self._dtype is torch.float16 and torch.is_grad_enabled():
                return _scaled(self._run, self._method.__self__, inputs)  # type: ignore[attr-defined]
            return _float(self._run(*inputs))

    def __deepcopy__(self, memo: dict[int, Any]) -> _Computed:
        return _Computed(copy.deepcopy(self._method, memo), self._dtype, self._compiled)


def _float(result: Any) -> Any:
    if isinstance(result, tuple):
        return tuple(map(_float, result))
    return result.float() if isinstance(result, Tensor) and result.is_floating_point() else result


def _scaled(run: Callable[..., Any], network: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
    """Run a network so that its gradients are scaled while they are of float16, and only there.

    Below 6e-8 nothing is left of a float16, and gradients are often smaller. Micikevicius et al., "Mixed Precision
    Training", ICLR 2018, section 3.2, scale the loss, by a factor that is sought while training goes on, and leave out
    steps for which it was too large. Here each backward pass through a network has a factor of its own, that the
    gradients which come to it ask for: a power of 2, so that it changes no digit. There is nothing to be sought or
    saved, no step is left out, and what algorithms see are the gradients themselves.
    """
    factor: dict[str, Tensor] = {}
    method = _Run(network, run)
    weights = {name: _Lessened.apply(p, factor) for name, p in method.named_parameters()}
    given = [_Lessened.apply(x, factor) if x.requires_grad else x for x in inputs]
    result = _float(torch.func.functional_call(method, weights, tuple(given)))
    if not isinstance(result, tuple):
        return _Raised.apply(factor, result)[0]
    return _Raised.apply(factor, *result)


class _Run(nn.Module):
    """Any method of a network, as what `torch.func.functional_call` calls."""

    def __init__(self, network: nn.Module, run: Callable[..., Any]) -> None:
        super().__init__()
        self.network = network
        self._run = run

    def forward(self, *inputs: Tensor) -> Any:
        return self._run(*inputs)


class _Raised(torch.autograd.Function):
    """What a network puts out; on the way back gradients are raised, by a factor that is kept."""

    @staticmethod
    def forward(ctx: Any, factor: dict[str, Tensor], *outputs: Tensor) -> tuple[Tensor, ...]:
        ctx.factor = factor
        ctx.set_materialize_grads(False)
        return tuple(output.view_as(output) for output in outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        total = torch.stack([g.abs().sum() for g in gradients if g is not None]).sum()
        power = (SCALED_SUM / total).log2().floor().clamp(-100, 100)
        # Of no gradients, or none that are finite, there is nothing to raise.
        factor = torch.where(power.isfinite() & total.isfinite(), power.exp2(), 1.0)
        ctx.factor["raised"] = factor
        return None, *(None if g is None else g * factor for g in gradients)


class _Lessened(torch.autograd.Function):
    """A weight or input of a network; on the way back its gradient is what it would be had none been raised."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, factor: dict[str, Tensor]) -> Tensor:
        ctx.factor = factor
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient / ctx.factor["raised"], None
