"""A module's parameters and gradients in one piece of memory each."""

from __future__ import annotations

import torch
from torch import nn


def flatten_parameters(module: nn.Module) -> nn.Parameter:
    """Move all parameters of a module into one, of which they are views from now on; their gradients too.

    Fast path: an optimizer then makes one operation of a step, not one a parameter, and a global gradient norm is the
    norm of one tensor. The weights and their names must stay what they are.

    Args:
        module: float32, on its device already.

    Returns:
        `[number of parameters]` float32 with a gradient of zeros.
    """
    parameters = list(module.parameters())
    flat = nn.Parameter(torch.cat([p.detach().flatten() for p in parameters]))
    flat.grad = torch.zeros_like(flat)
    start = 0
    for parameter in parameters:
        end = start + parameter.numel()
        parameter.data = flat.detach()[start:end].view_as(parameter)
        parameter.grad = flat.grad[start:end].view_as(parameter)
        start = end
    return flat
