"""A multilayer perceptron over flat observations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poke.networks.layout import dense_scale

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}


class MLP(nn.Module):
    """Fully connected layers from a flattened observation to one output an action.

    Args:
        observation_shape: shape of one observation.
        num_outputs: size of the last layer.
        hidden_sizes: width of each hidden layer.
        activation: relu, tanh or gelu.
        layout: how an observation of bytes is to be read (see `poke.networks.layout`); None where it is numbers
            already. Ids, which are names and not amounts, are left out: `network=battle` embeds them.
    """

    scale: Tensor

    def __init__(
        self,
        *,
        observation_shape: Sequence[int],
        num_outputs: int,
        hidden_sizes: Sequence[int],
        activation: str = "relu",
        layout: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        size = math.prod(observation_shape)
        scale = torch.ones(size) if layout is None else dense_scale(layout)
        self.register_buffer("scale", scale, persistent=False)
        layers: list[nn.Module] = []
        for width in hidden_sizes:
            layers += [nn.Linear(size, width), ACTIVATIONS[activation]()]
            size = width
        self.layers = nn.Sequential(*layers, nn.Linear(size, num_outputs))

    def forward(self, observation: Tensor) -> Tensor:
        """Map `[batch, *observation_shape]` of any real dtype to `[batch, num_outputs]` float32."""
        flat = observation.flatten(start_dim=1).float()
        return self.layers(flat * self.scale)
