"""What distributions over returns are to become.

Bellemare, Dabney and Munos, "A Distributional Perspective on Reinforcement Learning", ICML 2017, section 4.1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from poke.networks.atoms import Atoms


def project(atoms: Atoms, probabilities: Tensor, rewards: Tensor, discount: Tensor) -> Tensor:
    """Return the distribution of `rewards + discount * return`, brought back to the atoms: equation 7.

    What lies beyond them is brought to the last of them; of rewards that are not finite all is NaN.

    Args:
        atoms: what distributions are over.
        probabilities: `[batch, atoms.num]` float32, of the return.
        rewards: `[batch]` float32.
        discount: likewise; 0 where nothing comes after.
    """
    moved = rewards.unsqueeze(1) + discount.unsqueeze(1) * atoms.support
    # Brought to the last atom, an infinite reward would never be noticed.
    moved = moved.masked_fill(~moved.isfinite(), torch.nan)
    place = moved.clamp(atoms.low, atoms.high) - atoms.low
    width = (atoms.high - atoms.low) / (atoms.num - 1)
    rank = torch.arange(atoms.num, device=moved.device)
    # Each return's share for every atom, [batch, from, to]: more numbers than a scatter takes, but a sum in an order
    # of its own, so that a device repeats itself.
    share = (1 - (place.unsqueeze(2) / width - rank).abs()).clamp(0, 1)
    return (probabilities.unsqueeze(1) @ share).squeeze(1)


def cross_entropy(target: Tensor, log_probs: Tensor) -> Tensor:
    """Return `-sum p log q` over the last axis: the loss, up to what no network moves, of section 4.1."""
    return -(target * log_probs).sum(dim=-1)


def divergence(target: Tensor, log_probs: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of distributions from their targets, over the last axis; 0 or more.

    The priority of a transition in Hessel et al., "Rainbow", AAAI 2018.
    """
    # A probability of 0 counts for nothing, whatever its logarithm.
    own = torch.special.entr(target).sum(dim=-1)
    return (cross_entropy(target, log_probs) - own).clamp(min=0)
