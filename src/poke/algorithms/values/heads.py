"""What a critic's outputs say of values: a number for each discount factor, or a distribution over bins.

Several discount factors at once as auxiliary tasks: Fedus et al., "Hyperbolic Discounting and Learning over Multiple
Horizons", 2019. Two-hot targets: Hafner et al., "Mastering Diverse Domains through World Models", 2023, equations 8-10;
Farebrother et al., "Stop Regressing", ICML 2024. Grigsby et al., "Human-Level Competitive Pokemon via Scalable Offline
Reinforcement Learning with Transformers" (metamon), 2025, learns by both.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Heads(nn.Module):
    """Reads values from outputs, and says how far they are from their targets.

    Args:
        gammas: discount factors; the first is the one that counts, the others are learned beside it.
        bins: how many bins a value's distribution has, evenly spaced in symlog space; 0: an output is the value itself.
        low: least value that the bins reach.
        high: greatest.
        loss: of outputs that are values: ``mse`` (half of the squared error) or ``huber`` (linear beyond 1).
    """

    gammas: Tensor
    support: Tensor

    def __init__(
        self,
        gammas: Sequence[float],
        *,
        bins: int = 0,
        low: float = -1.0,
        high: float = 1.0,
        loss: str = "mse",
    ) -> None:
        super().__init__()
        self.bins = bins
        self.loss_kind = loss
        self.register_buffer("gammas", torch.tensor(gammas, dtype=torch.float32), persistent=False)
        first, last = symlog(torch.tensor([low, high], dtype=torch.float32)).tolist()
        support = torch.linspace(first, last, bins) if bins else torch.zeros(0)
        self.register_buffer("support", support, persistent=False)

    @property
    def size(self) -> int:
        """How many outputs a value takes."""
        return len(self.gammas) * max(1, self.bins)

    def read(self, outputs: Tensor) -> Tensor:
        """Return the values that `[..., size]` outputs say: `[..., factors]`."""
        if not self.bins:
            return outputs
        probabilities = self._by_factor(outputs).softmax(dim=-1)
        return (probabilities * symexp(self.support)).sum(dim=-1)

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return how far `[..., size]` outputs are from `[..., factors]` targets: `[..., factors]`."""
        if not self.bins:
            return self.error_loss(outputs - target)
        log_probs = self._by_factor(outputs).log_softmax(dim=-1)
        return -(self.two_hot(target) * log_probs).sum(dim=-1)

    def error_loss(self, error: Tensor) -> Tensor:
        """Return what errors of values cost, each."""
        if self.loss_kind == "mse":
            return 0.5 * error.square()
        size = error.abs()
        return torch.where(size <= 1, 0.5 * error.square(), size - 0.5)

    def two_hot(self, target: Tensor) -> Tensor:
        """Return targets `[..., factors]` as weights of the two bins they lie between: `[..., factors, bins]`.

        Their mean is the target in symlog space; what lies beyond the bins is brought to the last of them. Of a target
        that is not finite they are NaN.
        """
        width = self.support[1] - self.support[0]
        place = ((symlog(target) - self.support[0]) / width).clamp(0, self.bins - 1)
        # No index may be out of bounds, which a device does not survive; the loss is to tell what is not finite.
        below = place.nan_to_num().floor().clamp(max=self.bins - 2)
        above = (place - below + 0 * target).unsqueeze(-1)
        weights = torch.zeros(*target.shape, self.bins, device=target.device)
        index = below.long().unsqueeze(-1)
        return weights.scatter(-1, index, 1 - above).scatter(-1, index + 1, above)

    def _by_factor(self, outputs: Tensor) -> Tensor:
        return outputs.unflatten(-1, (len(self.gammas), self.bins))


def symlog(values: Tensor) -> Tensor:
    """Return `sign(x) log(1 + |x|)`, Hafner et al., equation 1."""
    return values.sign() * values.abs().log1p()


def symexp(values: Tensor) -> Tensor:
    """Return the inverse of `symlog`."""
    return values.sign() * values.abs().expm1()


def expectile_weight(difference: Tensor, expectile: float) -> Tensor:
    """Return `|tau - 1(u < 0)|` of each difference u, which the loss of u is to be multiplied by.

    Kostrikov et al., "Offline Reinforcement Learning with Implicit Q-Learning", ICLR 2022, section 4.1.
    """
    return torch.where(difference < 0, 1 - expectile, expectile)
