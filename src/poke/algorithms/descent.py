"""Gradient steps of several networks at once, all of them or none."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from poke.algorithms.optimizers import Adam, AdamW, restore_optimizer
from poke.distributed.ranks import ALONE, Ranks
from poke.networks.flat import flatten_parameters
from poke.protocols import NonFiniteError


class Guard:
    """Keeps a loss or gradient that is not finite away from the weights.

    On the CPU it raises at once. A device is not synchronised for this: the fused optimizer skips the step, and `check`
    raises later, where a synchronisation happens anyway.

    Args:
        optimizer: fused.
        device: of its parameters.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
        self._optimizer: Any = optimizer
        self._met = torch.zeros((), device=device)

    def pass_(self, **quantities: Tensor) -> None:
        """Let the optimizer's next step be made, or skipped on a device.

        Args:
            quantities: 0-dim tensors by the names that an error is to give.

        Raises:
            NonFiniteError: on the CPU, one of them is not finite.
        """
        if self._met.device.type == "cpu":
            for name, value in quantities.items():
                if not math.isfinite(number := value.item()):
                    raise NonFiniteError(name, number)
            return
        bad = ~torch.stack([torch.isfinite(v) for v in quantities.values()]).all()
        self._optimizer.found_inf = bad.float()
        self._met.add_(bad)

    def check(self, what: str) -> None:
        """Raise `NonFiniteError` if a step was skipped on a device since the last call; said once."""
        if self._met.item():
            self._met.zero_()  # the skipped steps left the weights good
            raise NonFiniteError(what, math.nan)


class Descent:
    """Adam for several networks that learn together, each in one piece of memory and with a rate of its own.

    All gradients are there and finite before any weight moves.

    Args:
        modules: by name; their parameters become views of one tensor each, see `flatten_parameters`.
        lr: learning rate of each, by the same names.
        weight_decay: decoupled (AdamW), of all; 0: Adam.
        max_grad_norm: norm to clip each network's gradient at; 0: no clipping.
        schedule: of all rates: ``constant``, or ``linear`` or ``cosine`` from lr to 0.
        schedule_steps: gradient steps after which they reach 0.
        eps: Adam's.
        ranks: the processes that learn together, each from its own rows, equal in number.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        *,
        lr: Mapping[str, float],
        weight_decay: float = 0.0,
        max_grad_norm: float = 0.0,
        schedule: str = "constant",
        schedule_steps: int = 1,
        eps: float = 1e-8,
        ranks: Ranks = ALONE,
    ) -> None:
        self.flat = {name: flatten_parameters(module) for name, module in modules.items()}
        self.num_steps = 0
        self._ranks = ranks
        self._lr = dict(lr)
        self._max_grad_norm = max_grad_norm
        self._schedule, self._schedule_steps = schedule, schedule_steps
        groups = [{"params": [self.flat[name]], "lr": lr[name]} for name in self.flat]
        if weight_decay:
            self._optimizer: torch.optim.Optimizer = AdamW(
                groups, weight_decay=weight_decay, eps=eps, fused=True
            )
        else:
            self._optimizer = Adam(groups, eps=eps, fused=True)
        self._guard = Guard(self._optimizer, next(iter(self.flat.values())).device)

    def step(
        self, losses: Mapping[str, Tensor], *, only: Collection[str] | None = None
    ) -> dict[str, Tensor]:
        """Go one step down the sum of losses.

        Args:
            losses: 0-dim, by the names that metrics and errors are to give. Whoever makes them sees to it that each
                reaches only the parameters it is to move, see `frozen`.
            only: names of the networks that move; all by default.

        Returns:
            The losses, and `grad_norm`, of all networks that move together and before clipping; detached.

        Raises:
            NonFiniteError: a loss or the gradient is not finite; the weights are as before.
        """
        moving = self._moving(only)
        for name in moving:
            gradient = self.flat[name].grad
            assert gradient is not None
            gradient.zero_()
        torch.stack(list(losses.values())).sum().backward()
        return self.take({name: loss.detach() for name, loss in losses.items()}, only=only)

    def take(
        self, losses: Mapping[str, Tensor], *, only: Collection[str] | None = None
    ) -> dict[str, Tensor]:
        """Do as `step`, down gradients that somebody has written already.

        Args:
            losses: 0-dim and detached, otherwise as of `step`.
            only: as of `step`.

        Returns:
            What `step` does.

        Raises:
            NonFiniteError: as of `step`.
        """
        moving = self._moving(only)
        told = dict(losses)
        if self._ranks.size > 1:
            gradients = [g for name in moving if (g := self.flat[name].grad) is not None]
            mean = self._ranks.average(gradients, torch.stack(list(told.values())), 1)
            told = dict(zip(told, mean.unbind(), strict=True))
        norms = torch.stack([self._clip(self.flat[name]) for name in moving])
        told["grad_norm"] = torch.linalg.vector_norm(norms)
        self._guard.pass_(**told)
        rate = self.rate()
        for group, name in zip(self._optimizer.param_groups, self.flat, strict=True):
            group["lr"] = self._lr[name] * rate
        with self._without(name for name in self.flat if name not in moving):
            self._optimizer.step()
        self.num_steps += 1
        return told

    def rate(self) -> float:
        """Return how much of the learning rates the schedule leaves to the coming step."""
        if self._schedule == "constant":
            return 1.0
        progress = min(1.0, self.num_steps / self._schedule_steps)
        return (
            1 - progress if self._schedule == "linear" else 0.5 * (1 + math.cos(math.pi * progress))
        )

    def tensors(self) -> list[Tensor]:
        """Return weights and what the optimizer has gathered, which exists from the first step on."""
        gathered = [
            value
            for parameter in self.flat.values()
            for value in self._optimizer.state.get(parameter, {}).values()
        ]
        return [*(parameter.detach() for parameter in self.flat.values()), *gathered]

    def get_state(self) -> dict[str, Any]:
        """Return what the optimizer has gathered, and how many steps were made.

        Raises:
            NonFiniteError: a step since the last call met a non-finite loss on a device.
        """
        self._guard.check("a loss or grad_norm")
        return {"optimizer": self._optimizer.state_dict(), "num_steps": self.num_steps}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned."""
        restore_optimizer(self._optimizer, state["optimizer"])
        self.num_steps = state["num_steps"]

    def _moving(self, only: Collection[str] | None) -> list[str]:
        return [name for name in self.flat if only is None or name in only]

    def _clip(self, parameters: nn.Parameter) -> Tensor:
        gradient = parameters.grad
        assert gradient is not None
        norm = torch.linalg.vector_norm(gradient)
        if self._max_grad_norm:
            gradient.mul_((self._max_grad_norm / (norm + 1e-6)).clamp(max=1.0))
        return norm

    def _without(self, names: Iterator[str]) -> _Without:
        return _Without([self.flat[name] for name in names])


class _Without:
    """Hides parameters from an optimizer, which leaves alone what has no gradient."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self._parameters = parameters

    def __enter__(self) -> None:
        self._kept = [parameter.grad for parameter in self._parameters]
        for parameter in self._parameters:
            parameter.grad = None

    def __exit__(self, *error: object) -> None:
        for parameter, gradient in zip(self._parameters, self._kept, strict=True):
            parameter.grad = gradient


class frozen:
    """Context: what is computed within leads no gradient to a module's parameters, though it may lead through them.

    Args:
        module: its parameters all ask for gradients otherwise.
    """

    def __init__(self, module: nn.Module) -> None:
        self._parameters = list(module.parameters())

    def __enter__(self) -> None:
        for parameter in self._parameters:
            parameter.requires_grad_(False)

    def __exit__(self, *error: object) -> None:
        for parameter in self._parameters:
            parameter.requires_grad_(True)
