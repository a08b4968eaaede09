"""The parts of packed observations, see `poke.spaces.observations`, and the encoder that joins them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from poke.networks.cnn import PictureEncoder
from poke.networks.encoding.encoder import Encoder
from poke.networks.encoding.pictures import divisor, is_picture
from poke.networks.mlp import MLPEncoder
from poke.spaces import Entry, ObservationSpace


def unpack(observation: Tensor, space: ObservationSpace) -> list[Tensor]:
    """Return each entry's values.

    Args:
        observation: `[batch, *space.shape]` uint8, packed.
        space: what it is made of.

    Returns:
        `[batch, *entry.shape]` an entry, in the entries' order and the dtype it is kept in; copies.
    """
    parts = []
    for field in space.fields:
        raw = observation[:, field.offset : field.offset + field.num_bytes]
        # A copy is aligned, whatever rows of whatever tensor it is of.
        copy = raw.clone(memory_format=torch.contiguous_format)
        values = copy.view(getattr(torch, field.dtype.name))
        parts.append(values.reshape(observation.shape[0], *field.shape))
    return parts


class ChoiceEncoder(Encoder):
    """Embeds choices, each of its own, side by side.

    Args:
        sizes: how many values each choice has.
        embedding_size: width of one.
    """

    first: Tensor

    def __init__(self, sizes: Sequence[int], embedding_size: int) -> None:
        super().__init__()
        self.size = len(sizes) * embedding_size
        self.table = nn.Embedding(sum(sizes), embedding_size)
        first = torch.tensor([0, *sizes[:-1]]).cumsum(dim=0)
        self.register_buffer("first", first, persistent=False)

    def forward(self, observation: Tensor) -> Tensor:
        """Map `[batch, *shape]` int32, counted from 0, to `[batch, size]` float32."""
        ids = observation.reshape(observation.shape[0], self.first.shape[0]).long()
        return self.table(ids + self.first).flatten(start_dim=1)


class JoinedEncoder(Encoder):
    """One encoder an entry, then layers over all their features.

    Pictures are convolved, choices embedded, and numbers go through a layer like the first of those above.

    Args:
        space: what observations are made of.
        hidden_sizes: width of each layer over the features.
        activation: relu, tanh or gelu.
        picture_size: width of an encoded picture.
        embedding_size: width of an embedded choice.
    """

    def __init__(
        self,
        space: ObservationSpace,
        *,
        hidden_sizes: Sequence[int],
        activation: str,
        picture_size: int,
        embedding_size: int,
    ) -> None:
        super().__init__()
        self._space = space

        def encoder(entry: Entry) -> Encoder:
            if entry.kind == "discrete":
                return ChoiceEncoder(entry.sizes, embedding_size)
            if is_picture(entry):
                return PictureEncoder(entry, picture_size)
            return MLPEncoder(
                entry.shape,
                hidden_sizes=hidden_sizes[:1],
                activation=activation,
                scale=number_scale(entry),
            )

        encoders = [encoder(entry) for entry in space.entries]
        self.encoders = nn.ModuleList(encoders)
        self.joined = MLPEncoder(
            (sum(encoder.size for encoder in encoders),),
            hidden_sizes=hidden_sizes,
            activation=activation,
        )
        self.size = self.joined.size

    def forward(self, observation: Tensor | Sequence[Tensor]) -> Tensor:
        """Map observations to `[batch, size]` float32.

        Args:
            observation: `[batch, *space.shape]` uint8, packed; or what `unpack` makes of it, for tools that can not
                look into bytes.
        """
        if isinstance(observation, Tensor):
            observation = unpack(observation, self._space)
        features = [encoder(part) for encoder, part in zip(self.encoders, observation, strict=True)]
        return self.joined(torch.cat(features, dim=1))


def number_scale(entry: Entry) -> float:
    """Return what an entry's numbers are multiplied by: whole ones are brought within -1 and 1, if bounds are known."""
    return 1.0 if np.dtype(entry.dtype).kind == "f" else 1 / divisor(entry)
