"""A convolutional network over stacked pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class CNN(nn.Module):
    """Three convolutions and a hidden layer.

    Mnih et al., "Human-level control through deep reinforcement learning", Nature 2015, methods, model architecture.

    Args:
        observation_shape: `(frames, height, width)`, at least 36 x 36, of bytes.
        num_outputs: size of the last layer.
        hidden_size: width of the hidden layer.

    Raises:
        ValueError: the observations are no such pictures.
    """

    def __init__(
        self, *, observation_shape: Sequence[int], num_outputs: int, hidden_size: int
    ) -> None:
        super().__init__()
        if len(observation_shape) != 3 or min(observation_shape[1:]) < 36:
            raise ValueError(
                "network=cnn needs pictures of [frames, height, width], at least 36 x 36, "
                f"not observations of shape {tuple(observation_shape)}"
            )
        convolutions = nn.Sequential(
            nn.Conv2d(observation_shape[0], 32, 8, stride=4),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, stride=1),
            nn.ReLU(),
            nn.Flatten(),
        )
        with torch.no_grad():
            size = convolutions(torch.zeros(1, *observation_shape)).shape[1]
        self.layers = nn.Sequential(
            convolutions,
            nn.Linear(size, hidden_size),
            nn.ReLU(),
            nn.Linear(hidden_size, num_outputs),
        )

    def forward(self, observation: Tensor) -> Tensor:
        """Map `[batch, frames, height, width]` uint8 to `[batch, num_outputs]` float32."""
        return self.layers(observation.float() / 255)
