"""Distributions over actions, one a kind of action."""

from __future__ import annotations

from torch import nn

from poke.networks.atoms import Atoms
from poke.policies.distributions.atoms import AtomCategorical
from poke.policies.distributions.binary import MultiBinary
from poke.policies.distributions.categorical import Categorical, MultiDiscrete, masked_logits
from poke.policies.distributions.gaussian import DiagonalGaussian, StateGaussian
from poke.policies.distributions.protocol import Differentiable, Distribution, Terms
from poke.spaces import ActionSpace

__all__ = [
    "AtomCategorical",
    "Categorical",
    "DiagonalGaussian",
    "Differentiable",
    "Distribution",
    "MultiBinary",
    "MultiDiscrete",
    "StateGaussian",
    "Terms",
    "distribution_of",
    "masked_logits",
]


def distribution_of(
    space: ActionSpace, log_std: nn.Parameter | None, atoms: Atoms | None = None
) -> Distribution:
    """Return what a network's outputs mean for actions of a space.

    Args:
        space: of the actions.
        log_std: the network's, where actions are continuous and their deviation does not depend on the state.
        atoms: the network's, where it puts out distributions over returns.
    """
    if space.kind == "continuous":
        return StateGaussian() if log_std is None else DiagonalGaussian(log_std)
    if space.kind == "multi_discrete":
        return MultiDiscrete(space.sizes)
    if space.kind == "multi_binary":
        return MultiBinary()
    return Categorical() if atoms is None else AtomCategorical(atoms)
