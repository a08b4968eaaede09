"""Operators over the legal actions of a choice, as value learning needs them.

Each takes values `[..., num_actions]` and a mask that fits them, bool and true where legal; None where everything is.
"""

from __future__ import annotations

import torch
from torch import Tensor


def legal_max(values: Tensor, action_mask: Tensor | None) -> Tensor:
    """Return the greatest value of a legal action, `[...]`."""
    return _illegal(values, action_mask, -torch.inf).amax(dim=-1)


def legal_argmax(values: Tensor, action_mask: Tensor | None) -> Tensor:
    """Return the legal action of greatest value, `[...] int64`."""
    return _illegal(values, action_mask, -torch.inf).argmax(dim=-1)


def legal_logsumexp(values: Tensor, action_mask: Tensor | None) -> Tensor:
    """Return the logarithm of the sum of the exponentials of the legal actions' values, `[...]`."""
    return _illegal(values, action_mask, -torch.inf).logsumexp(dim=-1)


def legal_mean(values: Tensor, action_mask: Tensor | None) -> Tensor:
    """Return the mean over the legal actions, `[...]`."""
    if action_mask is None:
        return values.mean(dim=-1)
    return _illegal(values, action_mask, 0.0).sum(dim=-1) / action_mask.sum(dim=-1)


def expectation(probabilities: Tensor, values: Tensor, action_mask: Tensor | None) -> Tensor:
    """Return the mean of values by probabilities `[..., num_actions]`, which are 0 where illegal; `[...]`.

    The value of an illegal action means nothing and may be anything, also infinite.
    """
    return (probabilities * _illegal(values, action_mask, 0.0)).sum(dim=-1)


def chosen(values: Tensor, action: Tensor) -> Tensor:
    """Return the values of actions `[batch] int64` among `[..., batch, num_actions]`: `[..., batch]`."""
    index = action.expand(values.shape[:-1]).unsqueeze(-1)
    return values.gather(-1, index).squeeze(-1)


def _illegal(values: Tensor, action_mask: Tensor | None, becomes: float) -> Tensor:
    return values if action_mask is None else values.masked_fill(~action_mask, becomes)
