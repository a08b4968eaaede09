"""Which weights of another run a new one can start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


class WarmStartError(ValueError):
    """Weights that do not fit; the message is one line."""


@dataclass(frozen=True)
class Fit:
    """How another run's weights fit one's own, by name.

    Args:
        taken: those of one's own names and shapes.
        missing: names of one's own that the other run does not have; they keep their initial values.
        unused: names that only the other run has.
        misshapen: names of both with different shapes.
    """

    taken: dict[str, Tensor]
    missing: list[str]
    unused: list[str]
    misshapen: list[str]


def check_normalizer(own: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Refuse a policy's state whose weights mean other inputs than one's own.

    Args:
        own: the new run's, of `Policy.get_state`.
        theirs: the other run's.

    Raises:
        WarmStartError: the one normalises observations and the other does not, or they are of other sizes.
    """
    normalizers = own["normalizer"], theirs["normalizer"]
    here, there = (str(state is not None).lower() for state in normalizers)
    if here != there:
        raise WarmStartError(
            f"its env.normalize_observation is {there}, here it is {here}: "
            "weights that were learned on the one mean nothing on the other"
        )
    if all(normalizers) and normalizers[0]["mean"].numel() != normalizers[1]["mean"].numel():
        raise WarmStartError("its observations are of another size")


def by_state(own: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return another run's weights for a policy whose network puts out its deviations, if its own were a parameter.

    Where one's own has no `log_std` and theirs has, the last layer gets rows for deviations behind those of the means:
    weights of 0 and that `log_std` as bias, so that in every state both policies draw from the same distribution.

    Args:
        own: the new run's weights.
        theirs: the other run's.
    """
    log_std = theirs.get("log_std")
    if log_std is None or "log_std" in own:
        return dict(theirs)
    size = len(log_std)
    last = [
        name
        for name in own.keys() & theirs.keys()
        if theirs[name].shape[0] == size and own[name].shape == (2 * size, *theirs[name].shape[1:])
    ]
    # Of one linear layer: else it is another network, and `fit` says so.
    if len({name.rpartition(".")[0] for name in last}) != 1:
        return dict(theirs)
    rows = {
        name: log_std if theirs[name].dim() == 1 else torch.zeros_like(theirs[name])
        for name in last
    }
    widened = {name: torch.cat([theirs[name], rows[name]]) for name in last}
    return {**{n: w for n, w in theirs.items() if n != "log_std"}, **widened}


def fit(own: Mapping[str, Tensor], theirs: Mapping[str, Tensor], *, strict: bool) -> Fit:
    """Match weights by name and shape.

    Args:
        own: the new run's weights.
        theirs: the other run's.
        strict: refuse names whose shapes differ, instead of leaving them out.

    Raises:
        WarmStartError: shapes differ and `strict`, or nothing fits at all.
    """
    shared = own.keys() & theirs.keys()
    misshapen = sorted(name for name in shared if own[name].shape != theirs[name].shape)
    if misshapen and strict:
        name = misshapen[0]
        more = f" and {len(misshapen) - 1} more" if len(misshapen) > 1 else ""
        raise WarmStartError(
            f"{name}{more} has shape {tuple(theirs[name].shape)} there and {tuple(own[name].shape)} here; "
            "init_from.strict=false leaves it out"
        )
    taken = {name: theirs[name] for name in own if name in shared and name not in misshapen}
    if not taken:
        raise WarmStartError("none of its weights fits: is it the same network?")
    return Fit(
        taken=taken,
        missing=sorted(own.keys() - theirs.keys()),
        unused=sorted(theirs.keys() - own.keys()),
        misshapen=misshapen,
    )
