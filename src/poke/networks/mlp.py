"""Multilayer perceptrons over flat observations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poke.networks.encoding.encoder import Block, Encoder
from poke.networks.encoding.layout import dense_scale
from poke.spaces import ObservationSpace

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}


class MLPEncoder(Encoder, Block):
    """Fully connected layers, each with its activation.

    Args:
        observation_shape: shape of one observation.
        hidden_sizes: width of each layer; without any the features are the numbers themselves.
        activation: relu, tanh or gelu.
        scale: what every number is multiplied by; a number, or `[product of observation_shape]` float32.
    """

    scale: Tensor

    def __init__(
        self,
        observation_shape: Sequence[int],
        *,
        hidden_sizes: Sequence[int],
        activation: str,
        scale: float | Tensor = 1.0,
    ) -> None:
        super().__init__()
        self.size = math.prod(observation_shape)
        self.register_buffer("scale", torch.ones(self.size) * scale, persistent=False)
        layers: list[nn.Module] = []
        for width in hidden_sizes:
            layers += [nn.Linear(self.size, width), ACTIVATIONS[activation]()]
            self.size = width
        self.layers = nn.Sequential(*layers)

    def forward(self, observation: Tensor) -> Tensor:
        """Map `[batch, *observation_shape]` of any real dtype to `[batch, size]` float32."""
        flat = observation.reshape(observation.shape[0], self.scale.shape[0]).float()
        return self.layers(flat * self.scale)


class MLP(MLPEncoder):
    """Fully connected layers from a flattened observation to one output an action.

    Args:
        observation_shape: shape of one observation.
        num_outputs: size of the last layer.
        hidden_sizes: width of each hidden layer.
        activation: relu, tanh or gelu.
        layout: how an observation of bytes is to be read (see `encoding.layout`); None where it is numbers
            already. Ids, which are names and not amounts, are left out: `network=battle` embeds them.
        observation_space: what the observations are made of; None for numbers.
        scale: as of `MLPEncoder`, where there is no layout.

    Raises:
        ValueError: the observations are of several parts.
    """

    def __init__(
        self,
        *,
        observation_shape: Sequence[int],
        num_outputs: int,
        hidden_sizes: Sequence[int],
        activation: str = "relu",
        layout: Mapping[str, Any] | None = None,
        observation_space: ObservationSpace | None = None,
        scale: float = 1.0,
    ) -> None:
        if observation_space is not None and observation_space.packed:
            raise ValueError(
                f"network=mlp takes observations of one part, not {observation_space}; network=auto joins several"
            )
        super().__init__(
            observation_shape,
            hidden_sizes=hidden_sizes,
            activation=activation,
            scale=scale if layout is None else dense_scale(layout),
        )
        self.layers.append(nn.Linear(self.size, num_outputs))
        self.size = num_outputs
