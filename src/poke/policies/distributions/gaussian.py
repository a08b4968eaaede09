"""Continuous actions around a mean."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from poke.policies.distributions.protocol import Terms

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
LEAST_LOG_STD, GREATEST_LOG_STD = -20.0, 2.0


class DiagonalGaussian:
    """Continuous actions around the outputs, with a deviation that does not depend on the state.

    Args:
        log_std: `[size]` float32 parameter on the CPU or a device.
    """

    def __init__(self, log_std: nn.Parameter) -> None:
        self._log_std = log_std

    def sample(
        self, outputs: np.ndarray, action_mask: np.ndarray | None, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw `[batch, size]` float32 actions."""
        log_std = self._log_std.detach().cpu().numpy()
        noise = generator.standard_normal(outputs.shape, np.float32)
        log_prob = -(0.5 * noise**2 + log_std + LOG_SQRT_2PI).sum(axis=1)
        return outputs + np.exp(log_std) * noise, log_prob

    def mode(self, outputs: np.ndarray, action_mask: np.ndarray | None) -> np.ndarray:
        """Return `[batch, size]` float32: the mean."""
        return outputs.copy()

    def log_prob(
        self, outputs: np.ndarray, action: np.ndarray, action_mask: np.ndarray | None
    ) -> np.ndarray:
        """Return the actions' log-densities, `[batch]` float32."""
        log_std = self._log_std.detach().cpu().numpy()
        noise = (action - outputs) * np.exp(-log_std)
        return -(0.5 * noise**2 + log_std + np.float32(LOG_SQRT_2PI)).sum(axis=1)

    def describe(
        self, outputs: np.ndarray, action_mask: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """Return `mean` and `std`, `[batch, size]` float32."""
        std = np.exp(self._log_std.detach().cpu().numpy())
        return {"mean": outputs.copy(), "std": np.tile(std, (len(outputs), 1))}

    def log_prob_and_entropy(
        self, outputs: Tensor, action: Tensor, action_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return log-probabilities and entropies, summed over the action's parts."""
        noise = (action - outputs) * torch.exp(-self._log_std)
        log_prob = -(0.5 * noise**2 + self._log_std + LOG_SQRT_2PI).sum(dim=1)
        entropy = (self._log_std + 0.5 + LOG_SQRT_2PI).sum().expand(len(outputs))
        return log_prob, entropy

    def differentiable(
        self, outputs: np.ndarray, action: np.ndarray, action_mask: np.ndarray | None
    ) -> Terms:
        """Return the same in numpy, with the way back, which also writes the gradient of `log_std`."""
        return _GaussianTerms(outputs, action, self._log_std)


class StateGaussian:
    """Continuous actions around a mean with a deviation, both of which the network puts out, the means first.

    Logarithms of deviations are kept within `LEAST_LOG_STD` and `GREATEST_LOG_STD`, as is usual since Haarnoja et al.,
    "Soft Actor-Critic", ICML 2018.
    """

    def sample(
        self, outputs: np.ndarray, action_mask: np.ndarray | None, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw `[batch, size]` float32 actions."""
        mean, log_std = _split(outputs)
        noise = generator.standard_normal(mean.shape, np.float32)
        log_prob = -(0.5 * noise**2 + log_std + np.float32(LOG_SQRT_2PI)).sum(axis=1)
        return mean + np.exp(log_std) * noise, log_prob

    def mode(self, outputs: np.ndarray, action_mask: np.ndarray | None) -> np.ndarray:
        """Return `[batch, size]` float32: the mean."""
        return _split(outputs)[0].copy()

    def log_prob(
        self, outputs: np.ndarray, action: np.ndarray, action_mask: np.ndarray | None
    ) -> np.ndarray:
        """Return the actions' log-densities, `[batch]` float32."""
        mean, log_std = _split(outputs)
        noise = (action - mean) * np.exp(-log_std)
        return -(0.5 * noise**2 + log_std + np.float32(LOG_SQRT_2PI)).sum(axis=1)

    def describe(
        self, outputs: np.ndarray, action_mask: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """Return `mean` and `std`, `[batch, size]` float32."""
        mean, log_std = _split(outputs)
        return {"mean": mean.copy(), "std": np.exp(log_std)}

    def log_prob_and_entropy(
        self, outputs: Tensor, action: Tensor, action_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return log-probabilities and entropies, summed over the action's parts."""
        mean, log_std = self.moments(outputs)
        noise = (action - mean) * torch.exp(-log_std)
        log_prob = -(0.5 * noise**2 + log_std + LOG_SQRT_2PI).sum(dim=1)
        return log_prob, (log_std + 0.5 + LOG_SQRT_2PI).sum(dim=1)

    def moments(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and logarithms of deviations, `[batch, size]` float32 each."""
        mean, log_std = outputs.chunk(2, dim=1)
        return mean, log_std.clamp(LEAST_LOG_STD, GREATEST_LOG_STD)

    def rsample(self, outputs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions that gradients lead through, and their log-densities.

        Args:
            outputs: `[batch, 2 * size]` float32.
            noise: `[batch, size]` float32, standard normal.

        Returns:
            `[batch, size]` and `[batch]` float32.
        """
        mean, log_std = self.moments(outputs)
        log_prob = -(0.5 * noise**2 + log_std + LOG_SQRT_2PI).sum(dim=1)
        return mean + log_std.exp() * noise, log_prob


def _split(outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, log_std = np.split(outputs, 2, axis=1)
    return mean, np.clip(log_std, LEAST_LOG_STD, GREATEST_LOG_STD)


class _GaussianTerms:
    def __init__(self, mean: np.ndarray, action: np.ndarray, log_std: nn.Parameter) -> None:
        self._parameter = log_std
        values = log_std.detach().numpy()
        self._precision = np.exp(-values)
        self._noise = (action - mean) * self._precision
        self.log_prob = -(0.5 * self._noise**2 + values + np.float32(LOG_SQRT_2PI)).sum(axis=1)
        self.entropy = np.full(
            len(mean), (values + np.float32(0.5 + LOG_SQRT_2PI)).sum(), np.float32
        )

    def backward(self, log_prob_gradient: np.ndarray, entropy_gradient: float) -> np.ndarray:
        weighted = self._noise * log_prob_gradient[:, None]
        assert self._parameter.grad is not None
        by_log_std = (weighted * self._noise).sum(axis=0) - log_prob_gradient.sum()
        by_log_std += np.float32(entropy_gradient * len(self._noise))
        self._parameter.grad.numpy()[...] = by_log_std
        return weighted * self._precision
