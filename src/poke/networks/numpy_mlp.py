"""Multilayer perceptrons in numpy, forwards and backwards, over the very memory of a module's weights and gradients.

Fast path: at a few rows of a 64-wide network nearly all of torch's time is its operators' and autograd's overhead.
What it computes must equal, up to rounding, what the module and its backward pass do; all else is left to these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from poke.networks.computing import is_plain
from poke.networks.mlp import MLP


@dataclass(frozen=True)
class _Layer:
    """A linear layer's weights, gradients and buffers, and the activation after it."""

    weight: np.ndarray  # [outputs, inputs]
    bias: np.ndarray
    weight_grad: np.ndarray | None
    bias_grad: np.ndarray | None
    output: np.ndarray  # [batch, outputs], after the activation
    delta: np.ndarray  # [batch, outputs], the loss's gradient before the activation
    activation: type[nn.Module] | None


class NumpyMLP:
    """Computes what an MLP computes; changes of its weights in place are seen.

    Args:
        network: one for which `supports` is true. Its gradients are written where they have memory by now.
        batch_size: rows a call; the buffers are made once.
    """

    def __init__(self, network: MLP, batch_size: int) -> None:
        modules = list(network.layers)
        self._input: np.ndarray = np.empty(0, np.float32)
        self._layers = []
        for module, after in zip(modules, [*modules[1:], None], strict=True):
            if not isinstance(module, nn.Linear):
                continue
            shape = (batch_size, module.out_features)
            self._layers.append(
                _Layer(
                    module.weight.detach().numpy(),
                    module.bias.detach().numpy(),
                    weight_grad=_gradient(module.weight),
                    bias_grad=_gradient(module.bias),
                    output=np.empty(shape, np.float32),
                    delta=np.empty(shape, np.float32),
                    activation=None if after is None else type(after),
                )
            )

    @staticmethod
    def supports(network: nn.Module) -> bool:
        """Whether a network is an MLP of numbers on the CPU that is small enough to gain by numpy."""
        # A subclass may compute anything else.
        if type(network) is not MLP or not is_plain(network):
            return False
        if not bool((network.scale == 1).all()):
            return False
        parameters = list(network.parameters())
        activations = {type(m) for m in network.layers if not isinstance(m, nn.Linear)}
        return (
            activations <= {nn.Tanh, nn.ReLU}
            and sum(p.numel() for p in parameters) < 1_000_000
            and all(p.device.type == "cpu" and p.dtype == torch.float32 for p in parameters)
        )

    def forward(self, observation: np.ndarray) -> np.ndarray:
        """Map `[batch_size, *observation_shape]` to `[batch_size, num_outputs]` float32.

        The result is overwritten by the next call.
        """
        x: np.ndarray = observation.reshape(len(observation), -1)
        self._input = x
        for layer in self._layers:
            np.matmul(x, layer.weight.T, out=layer.output)
            np.add(layer.output, layer.bias, out=layer.output)
            if layer.activation is nn.Tanh:
                np.tanh(layer.output, out=layer.output)
            elif layer.activation is nn.ReLU:
                np.maximum(layer.output, 0, out=layer.output)
            x = layer.output
        return x

    def predict(self, observation: np.ndarray) -> np.ndarray:
        """Do as `forward`, for any number of rows and into an array of one's own: several threads may call it."""
        x: np.ndarray = observation.reshape(len(observation), -1)
        for layer in self._layers:
            x = np.matmul(x, layer.weight.T)
            np.add(x, layer.bias, out=x)
            if layer.activation is nn.Tanh:
                np.tanh(x, out=x)
            elif layer.activation is nn.ReLU:
                np.maximum(x, 0, out=x)
        return x

    def backward(self, gradient: np.ndarray) -> None:
        """Write the gradients of the weights.

        Args:
            gradient: `[batch_size, num_outputs]` float32, of the loss by the outputs of the last `forward`.
        """
        np.copyto(self._layers[-1].delta, gradient)
        for i in range(len(self._layers) - 1, -1, -1):
            layer = self._layers[i]
            below = self._layers[i - 1] if i else None
            np.matmul(
                layer.delta.T, self._input if below is None else below.output, out=layer.weight_grad
            )
            np.add.reduce(layer.delta, axis=0, out=layer.bias_grad)
            if below is not None:
                np.matmul(layer.delta, layer.weight, out=below.delta)
                _through(below)


def _gradient(parameter: torch.Tensor) -> np.ndarray | None:
    return None if parameter.grad is None else parameter.grad.numpy()


def _through(layer: _Layer) -> None:
    """Take a gradient by a layer's output back through its activation, in place."""
    if layer.activation is nn.Tanh:
        slope = layer.output * layer.output
        np.subtract(1, slope, out=slope)
        np.multiply(layer.delta, slope, out=layer.delta)
    elif layer.activation is nn.ReLU:
        np.multiply(layer.delta, layer.output > 0, out=layer.delta)
