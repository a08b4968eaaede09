"""What behaviour cloning minimises and is measured by, one a kind of action.

All take decisions in a row: a network's outputs `[decisions, num_outputs]` float32, the teacher's actions
`[decisions, *action_shape]` and masks `[decisions, mask_size]` bool or None.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from poke.policies.distributions import Distribution, masked_logits
from poke.spaces import ActionSpace


class Imitation(Protocol):
    """How near a policy is to its teacher."""

    def loss(self, outputs: Tensor, action: Tensor, action_mask: Tensor | None) -> Tensor:
        """Return what is minimised: the mean over the decisions, with its graph."""
        ...

    def progress(
        self, outputs: Tensor, action: Tensor, action_mask: Tensor | None
    ) -> dict[str, Tensor]:
        """Return what training tells besides the loss: means over the decisions."""
        ...

    def measure(
        self, outputs: Tensor, action: Tensor, action_mask: Tensor | None
    ) -> dict[str, Tensor]:
        """Return what evaluation tells of each decision, by the names of `measures`."""
        ...


class OneChoice:
    """Cross-entropy of one choice.

    Args:
        label_smoothing: share of the target spread over the legal actions.
    """

    def __init__(self, label_smoothing: float) -> None:
        self._label_smoothing = label_smoothing

    def loss(self, outputs: Tensor, action: Tensor, action_mask: Tensor | None) -> Tensor:
        """Return the smoothed cross-entropy."""
        log_probs = masked_logits(outputs, action_mask).log_softmax(dim=1)
        return smoothed_cross_entropy(log_probs, action, action_mask, self._label_smoothing)

    def progress(
        self, outputs: Tensor, action: Tensor, action_mask: Tensor | None
    ) -> dict[str, Tensor]:
        """Return accuracy: the share of decisions whose action was the most probable."""
        right = masked_logits(outputs, action_mask).argmax(dim=1) == action
        return {"accuracy": right.float().mean()}

    def measure(
        self, outputs: Tensor, action: Tensor, action_mask: Tensor | None
    ) -> dict[str, Tensor]:
        """Return loss (negative log-likelihood), accuracy and top3_accuracy."""
        logits = masked_logits(outputs, action_mask)
        chosen = action.unsqueeze(1)
        top3 = logits.topk(min(3, logits.shape[1]), dim=1).indices
        return {
            "loss": -logits.log_softmax(dim=1).gather(1, chosen).squeeze(1),
            "accuracy": logits.argmax(dim=1) == action,
            "top3_accuracy": (top3 == chosen).any(dim=1),
        }


class SeveralChoices:
    """Cross-entropies of several choices at once, summed.

    Args:
        sizes: how many values each has.
        label_smoothing: share of each target spread over the legal values.
    """

    def __init__(self, sizes: tuple[int, ...], label_smoothing: float) -> None:
        self._sizes = sizes
        self._one = OneChoice(label_smoothing)

    def loss(self, outputs: Tensor, action: Tensor, action_mask: Tensor | None) -> Tensor:
        """Return the sum of the choices' smoothed cross-entropies."""
        parts = self._parts(outputs, action, action_mask)
        return torch.stack([self._one.loss(*part) for part in parts]).sum()

    def progress(
        self, outputs: Tensor, action: Tensor, action_mask: Tensor | None
    ) -> dict[str, Tensor]:
        """Return accuracy (of whole actions) and part_accuracy (of single choices)."""
        measured = self.measure(outputs, action, action_mask)
        return {n: measured[n].float().mean() for n in ("accuracy", "part_accuracy")}

    def measure(
        self, outputs: Tensor, action: Tensor, action_mask: Tensor | None
    ) -> dict[str, Tensor]:
        """Return loss (negative log-likelihood), accuracy (of whole actions) and part_accuracy (of single choices)."""
        each = [self._one.measure(*part) for part in self._parts(outputs, action, action_mask)]
        return {
            "loss": torch.stack([part["loss"] for part in each]).sum(dim=0),
            **_of_parts(torch.stack([part["accuracy"] for part in each], dim=1)),
        }

    def _parts(
        self, outputs: Tensor, action: Tensor, action_mask: Tensor | None
    ) -> list[tuple[Tensor, Tensor, Tensor | None]]:
        logits = outputs.split(self._sizes, dim=1)
        masks = [None] * len(logits) if action_mask is None else action_mask.split(self._sizes, 1)
        return list(zip(logits, action.unbind(1), masks, strict=True))


class Switches:
    """Binary cross-entropies of several switches, summed.

    Args:
        label_smoothing: share of each target spread over on and off.
    """

    def __init__(self, label_smoothing: float) -> None:
        self._label_smoothing = label_smoothing

    def loss(self, outputs: Tensor, action: Tensor, action_mask: Tensor | None) -> Tensor:
        """Return the sum of the switches' smoothed cross-entropies."""
        target = action * (1 - self._label_smoothing) + self._label_smoothing / 2
        return _binary_cross_entropy(outputs, target).mean()

    def progress(
        self, outputs: Tensor, action: Tensor, action_mask: Tensor | None
    ) -> dict[str, Tensor]:
        """Return accuracy (of whole actions) and part_accuracy (of single switches)."""
        return {
            name: value.float().mean() for name, value in _of_parts(_right(outputs, action)).items()
        }

    def measure(
        self, outputs: Tensor, action: Tensor, action_mask: Tensor | None
    ) -> dict[str, Tensor]:
        """Return loss (negative log-likelihood), accuracy (of whole actions) and part_accuracy (of single switches)."""
        loss = _binary_cross_entropy(outputs, action.to(outputs.dtype))
        return {"loss": loss, **_of_parts(_right(outputs, action))}


class Numbers:
    """Continuous actions: negative log-likelihood of a Gaussian, or mean squared error.

    Args:
        distribution: the Gaussian, whose deviation is learned and does not depend on the state; the squared error
            leaves it as it began.
        squared: minimise the squared error.
    """

    def __init__(self, distribution: Distribution, *, squared: bool) -> None:
        self._distribution = distribution
        self._squared = squared

    def loss(self, outputs: Tensor, action: Tensor, action_mask: Tensor | None) -> Tensor:
        """Return the negative log-likelihood, or the squared error, the mean over an action's numbers."""
        return self._losses(outputs, action).mean()

    def progress(
        self, outputs: Tensor, action: Tensor, action_mask: Tensor | None
    ) -> dict[str, Tensor]:
        """Return mse."""
        return {"mse": _squared_error(outputs, action).mean()}

    def measure(
        self, outputs: Tensor, action: Tensor, action_mask: Tensor | None
    ) -> dict[str, Tensor]:
        """Return loss (what is minimised) and mse."""
        return {"loss": self._losses(outputs, action), "mse": _squared_error(outputs, action)}

    def _losses(self, outputs: Tensor, action: Tensor) -> Tensor:
        if self._squared:
            return _squared_error(outputs, action)
        return -self._distribution.log_prob_and_entropy(outputs, action, None)[0]


def imitation_of(
    space: ActionSpace, distribution: Distribution, *, loss: str, label_smoothing: float
) -> Imitation:
    """Return what is minimised for actions of a space.

    Args:
        space: of the actions.
        distribution: the policy's.
        loss: ``nll``, or ``mse`` for continuous actions.
        label_smoothing: of choices; numbers have nothing to spread over.

    Raises:
        ValueError: a squared error of choices.
    """
    if loss != "nll" and not space.continuous:
        raise ValueError(f"algo.loss={loss} is for continuous actions, and these are {space}")
    if space.kind == "continuous":
        return Numbers(distribution, squared=loss == "mse")
    if space.kind == "multi_discrete":
        return SeveralChoices(space.sizes, label_smoothing)
    return Switches(label_smoothing) if space.kind == "multi_binary" else OneChoice(label_smoothing)


def measures(space: ActionSpace) -> tuple[str, ...]:
    """Return the names of what `Imitation.measure` tells of actions of a space."""
    if space.continuous:
        return ("loss", "mse")
    return ("loss", "accuracy", "top3_accuracy" if space.kind == "discrete" else "part_accuracy")


def smoothed_cross_entropy(
    log_probs: Tensor, action: Tensor, action_mask: Tensor | None, label_smoothing: float
) -> Tensor:
    """Return the mean cross-entropy against `(1 - s) * onehot + s * uniform(legal actions)`.

    Args:
        log_probs: `[batch, num_actions]` float32, masked and normalised.
        action: `[batch]` int64.
        action_mask: `[batch, num_actions]` bool or None.
        label_smoothing: s, in [0, 1).
    """
    nll = nn.functional.nll_loss(log_probs, action)
    if label_smoothing == 0:
        return nll
    if action_mask is None:
        uniform = -log_probs.mean()
    else:
        legal = log_probs.masked_fill(~action_mask, 0.0)
        uniform = -(legal.sum(dim=1) / action_mask.sum(dim=1)).mean()
    return (1 - label_smoothing) * nll + label_smoothing * uniform


def _of_parts(right: Tensor) -> dict[str, Tensor]:
    """Tell which of `[decisions, parts]` are right as a whole, and what share of each decision's parts."""
    return {"accuracy": right.all(dim=1), "part_accuracy": right.float().mean(dim=1)}


def _right(outputs: Tensor, action: Tensor) -> Tensor:
    return (outputs > 0) == action.bool()


def _binary_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    each = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return each.sum(dim=1)


def _squared_error(outputs: Tensor, action: Tensor) -> Tensor:
    # A deviation that depends on the state stands behind the mean.
    return (outputs[:, : action.shape[1]] - action).square().mean(dim=1)
