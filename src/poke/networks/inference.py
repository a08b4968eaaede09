"""Inference of small networks in numpy, over the very memory of the module's weights.

At a few rows of a 64-wide network nearly all of torch's time is its operators' overhead.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from poke.networks.mlp import MLP

Layer = Callable[[np.ndarray, np.ndarray], None]


class NumpyMLP:
    """Computes what an MLP computes, without gradient; later changes of its weights in place are seen.

    Args:
        network: an MLP of numbers (not bytes) on the CPU, with tanh or relu.
        batch_size: rows a call; its buffers are made once.
    """

    def __init__(self, network: MLP, batch_size: int) -> None:
        self._layers: list[tuple[np.ndarray, np.ndarray, np.ndarray, type[nn.Module] | None]] = []
        modules = list(network.layers)
        for i, module in enumerate(modules):
            if isinstance(module, nn.Linear):
                weight = module.weight.detach().numpy().T
                bias = module.bias.detach().numpy()
                out = np.empty((batch_size, module.out_features), np.float32)
                activation = type(modules[i + 1]) if i + 1 < len(modules) else None
                self._layers.append((weight, bias, out, activation))

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        """Map `[batch_size, *observation_shape]` to `[batch_size, num_outputs]` float32, overwritten by the next call."""
        x = observation.reshape(len(observation), -1)
        for weight, bias, out, activation in self._layers:
            np.matmul(x, weight, out=out)
            np.add(out, bias, out=out)
            if activation is nn.Tanh:
                np.tanh(out, out=out)
            elif activation is nn.ReLU:
                np.maximum(out, 0, out=out)
            x = out
        return x


def numpy_inference(network: nn.Module, batch_size: int) -> NumpyMLP | None:
    """Return a network's fast inference, or None where it has none and torch is to be used.

    Args:
        network: any module.
        batch_size: rows a call.
    """
    if not isinstance(network, MLP) or not bool((network.scale == 1).all()):
        return None
    activations = {type(m) for m in network.layers if not isinstance(m, nn.Linear)}
    parameters = list(network.parameters())
    small = sum(p.numel() for p in parameters) < 1_000_000
    plain = all(p.device.type == "cpu" and p.dtype == torch.float32 for p in parameters)
    if not small or not plain or not activations <= {nn.Tanh, nn.ReLU}:
        return None
    return NumpyMLP(network, batch_size)
