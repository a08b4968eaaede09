"""Distributions over actions: sampled in numpy while collecting, differentiated in torch while learning."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from poke.algorithms.bc import masked_logits

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


class Policy(Protocol):
    """What a network's outputs mean."""

    def sample(
        self, outputs: np.ndarray, action_mask: np.ndarray | None, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw actions.

        Args:
            outputs: `[batch, num_outputs]` float32.
            action_mask: `[batch, num_outputs]` bool, true where legal; None where everything is.
            generator: is drawn from.

        Returns:
            The actions and their log-probabilities, `[batch]` float32.
        """
        ...

    def mode(self, outputs: Tensor, action_mask: Tensor | None) -> Tensor:
        """Return the most probable actions."""
        ...

    def log_prob_and_entropy(
        self, outputs: Tensor, action: Tensor, action_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the actions' log-probabilities and the entropies, both `[batch]` float32."""
        ...


class Categorical:
    """Discrete actions by a softmax over the legal ones; the outputs are logits."""

    def sample(
        self, outputs: np.ndarray, action_mask: np.ndarray | None, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw `[batch]` int64 actions by inverting the cumulative distribution."""
        if action_mask is not None:
            outputs = np.where(action_mask, outputs, np.finfo(np.float32).min)
        shifted = outputs - outputs.max(axis=1, keepdims=True)
        cumulative = np.exp(shifted).cumsum(axis=1)
        total = cumulative[:, -1]
        # A float64 below 1 times the total stays below it, so an action without probability is never drawn.
        drawn = generator.random(len(outputs)) * total
        action = (cumulative <= drawn[:, None]).sum(axis=1)
        return action, shifted[np.arange(len(action)), action] - np.log(total)

    def mode(self, outputs: Tensor, action_mask: Tensor | None) -> Tensor:
        """Return `[batch]` int64."""
        return masked_logits(outputs, action_mask).argmax(dim=1)

    def log_prob_and_entropy(
        self, outputs: Tensor, action: Tensor, action_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return log-probabilities and entropies; illegal actions have neither."""
        log_probs = masked_logits(outputs, action_mask).log_softmax(dim=1)
        log_prob = log_probs.gather(1, action.unsqueeze(1)).squeeze(1)
        # exp(lowest number) is 0, and 0 times it is 0.
        entropy = -(log_probs.exp() * log_probs).sum(dim=1)
        return log_prob, entropy


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

    def mode(self, outputs: Tensor, action_mask: Tensor | None) -> Tensor:
        """Return `[batch, size]` float32: the mean."""
        return outputs

    def log_prob_and_entropy(
        self, outputs: Tensor, action: Tensor, action_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return log-probabilities and entropies, summed over the action's parts."""
        noise = (action - outputs) * torch.exp(-self._log_std)
        log_prob = -(0.5 * noise**2 + self._log_std + LOG_SQRT_2PI).sum(dim=1)
        entropy = (self._log_std + 0.5 + LOG_SQRT_2PI).sum().expand(len(outputs))
        return log_prob, entropy
