"""What networks are joined of: encoders, which turn observations into features for a head to read."""

from __future__ import annotations

from torch import nn


class Encoder(nn.Module):
    """Maps `[batch, *observation_shape]` to `[batch, size]` float32."""

    size: int
