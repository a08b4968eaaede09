"""Convolutional networks over pictures."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from poke.networks.encoding.encoder import Block, Encoder
from poke.networks.encoding.pictures import SHORTEST_SIDE, Picture, divisor, read_picture
from poke.spaces import Entry, ObservationSpace

# Sides from here on are long enough for the three convolutions of the paper.
LONG_SIDE = 36


class PictureEncoder(Encoder, Block):
    """Three convolutions and a hidden layer.

    Mnih et al., "Human-level control through deep reinforcement learning", Nature 2015, methods, model architecture;
    for smaller pictures as many convolutions of 3 x 3, which halve a side while it is longer than 7.

    Args:
        entry: the picture, channels first or last, frames stacked before them or in their place. Bytes and what has
            known bounds are brought within -1 and 1.
        size: width of the hidden layer.

    Raises:
        ValueError: it is no picture.
    """

    def __init__(self, entry: Entry, size: int) -> None:
        super().__init__()
        picture = read_picture(entry.shape)
        if picture is None or entry.kind == "discrete":
            raise ValueError(f"{entry.name} is no picture")
        self.size = size
        self._axes = [0, *(1 + axis for axis in picture.order)]
        self._shape = (picture.channels, picture.height, picture.width)
        self._divisor = divisor(entry)
        convolutions = _convolutions(picture)
        with torch.no_grad():
            width = convolutions(torch.zeros(1, *self._shape)).shape[1]
        self.layers = nn.Sequential(convolutions, nn.Linear(width, size), nn.ReLU())

    def forward(self, observation: Tensor) -> Tensor:
        """Map `[batch, *entry.shape]` of any real dtype to `[batch, size]` float32."""
        pixels = observation.permute(self._axes).reshape(observation.shape[0], *self._shape)
        return self.layers(pixels.float() / self._divisor)


class CNN(PictureEncoder):
    """`PictureEncoder` and a last layer.

    Args:
        observation_space: of one picture.
        num_outputs: size of the last layer.
        hidden_size: width of the hidden layer.

    Raises:
        ValueError: the observations are no such pictures.
    """

    def __init__(
        self, *, observation_space: ObservationSpace, num_outputs: int, hidden_size: int
    ) -> None:
        entry = observation_space.entries[0]
        if observation_space.packed or observation_space.layout or not _readable(entry):
            raise ValueError(
                "network=cnn needs pictures of [height, width], with channels or frames before or after, at least "
                f"{SHORTEST_SIDE} x {SHORTEST_SIDE}, not observations of {observation_space}; network=auto takes any"
            )
        super().__init__(entry, hidden_size)
        self.layers.append(nn.Linear(hidden_size, num_outputs))
        self.size = num_outputs


def _readable(entry: Entry) -> bool:
    return entry.kind != "discrete" and read_picture(entry.shape) is not None


def _convolutions(picture: Picture) -> nn.Sequential:
    sides = picture.height, picture.width
    if min(sides) >= LONG_SIDE:
        return nn.Sequential(
            nn.Conv2d(picture.channels, 32, 8, stride=4),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, stride=1),
            nn.ReLU(),
            nn.Flatten(),
        )
    layers: list[nn.Module] = []
    channels, (height, width) = picture.channels, sides
    for filters in (32, 64, 64):
        stride = (2 if height > 7 else 1, 2 if width > 7 else 1)
        layers += [nn.Conv2d(channels, filters, 3, stride=stride, padding=1), nn.ReLU()]
        channels, height, width = filters, -(-height // stride[0]), -(-width // stride[1])
    return nn.Sequential(*layers, nn.Flatten())
