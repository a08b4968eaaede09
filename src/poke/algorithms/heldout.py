"""How well a policy predicts demonstrations that it was not trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from poke.algorithms.imitation import Imitation, imitation_of, measures
from poke.data.demonstrations import DemonstrationBatch
from poke.networks.actor_critic import ActorCritic
from poke.policies.policy import Policy
from poke.spaces import ActionSpace


class HeldOutData(Protocol):
    """A source that keeps demonstrations back for validation."""

    action_space: ActionSpace

    @property
    def action_kinds(self) -> Mapping[str, Tensor]:
        """Kind of action (move, switch) to a `[num_actions]` bool mask."""
        ...

    def validation_batches(self, batch_size: int) -> Iterator[DemonstrationBatch]:
        """Yield every held-out decision once, in a fixed order."""
        ...


class Imitating(Protocol):
    """An algorithm that imitates a teacher.

    It may have an attribute ``imitation``, an `Imitation`: how near it is measured to come. Where it is missing, that
    is the plain negative log-likelihood.
    """

    policy: Policy


class HeldOutEvaluator:
    """Evaluator: how well the policy predicts demonstrations it was not trained on.

    A policy with a memory sees whole episodes from their beginning.

    Args:
        source: holds the validation data.
        batch_size: decisions at once; memory and speed only.
    """

    category = "val"

    def __init__(self, source: HeldOutData, *, batch_size: int) -> None:
        self._source = source
        self._batch_size = batch_size

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The names that `evaluate` returns: no kind of action that no held-out decision is of."""
        kinds = self._source.action_kinds
        seen = {
            kind
            for batch in (self._source.validation_batches(self._batch_size) if kinds else ())
            for kind, of_kind in kinds.items()
            if of_kind[batch.action].any()
        }
        of_kinds = (f"{kind}_accuracy" for kind in kinds if kind in seen)
        return (*measures(self._source.action_space), *of_kinds)

    @torch.no_grad()
    def evaluate(self, algorithm: Imitating) -> dict[str, float]:
        """Return means over all held-out decisions.

        Of one choice loss (negative log-likelihood), accuracy, top3_accuracy, and accuracy by kind of action; of
        several at once loss, accuracy (of whole actions) and part_accuracy; of numbers loss (negative log-likelihood,
        or the squared error where that is minimised) and mse.
        """
        network = algorithm.policy.network
        training = network.training
        network.eval()
        try:
            return self._measure(network, _imitation(algorithm.policy, algorithm))
        finally:  # an interruption passes through here too, and training may go on after it
            network.train(training)

    def _measure(self, network: ActorCritic, imitation: Imitation) -> dict[str, float]:
        totals = dict.fromkeys(measures(self._source.action_space), 0.0)
        kinds = self._source.action_kinds
        count = 0
        counts = dict.fromkeys(kinds, 0)
        hits = dict.fromkeys(kinds, 0.0)
        for batch in self._source.validation_batches(self._batch_size):
            outputs, action, mask = decisions(network, batch)
            if network.atoms is not None:  # its choices are by the means of these distributions
                outputs = network.atoms.values(outputs, mask)
            measured = imitation.measure(outputs, action, mask)
            for name in totals:
                totals[name] += measured[name].double().sum().item()
            count += len(action)
            for kind, of_kind in kinds.items():
                chosen = of_kind[action]
                counts[kind] += int(chosen.sum().item())
                hits[kind] += (measured["accuracy"] & chosen).sum().item()
        metrics = {name: total / count for name, total in totals.items()}
        for kind in kinds:
            if counts[kind]:
                metrics[f"{kind}_accuracy"] = hits[kind] / counts[kind]
        return metrics

    def get_state(self) -> dict[str, Any]:
        """Return nothing: the validation data stands still."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take nothing back."""


def _imitation(policy: Policy, algorithm: Imitating) -> Imitation:
    plain = imitation_of(policy.action_space, policy.distribution, loss="nll", label_smoothing=0.0)
    return getattr(algorithm, "imitation", plain)


def decisions(
    network: ActorCritic, batch: DemonstrationBatch
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return a network's outputs for a batch, its actions and its masks, all of them in a row and without padding.

    Raises:
        ValueError: the network has a memory and the batch no sequences.
    """
    real, mask = batch.real, batch.action_mask
    if real is None:
        if network.state_size:
            raise ValueError(
                "a network with a memory learns from sequences: attach the algorithm to its data"
            )
        return network(batch.observation)[0], batch.action, mask
    # A sequence begins with nothing remembered, and no episode begins within one.
    nothing = torch.zeros(real.shape[1], network.state_size, device=real.device)
    outputs = network.unroll(batch.observation, nothing, torch.zeros_like(real))[0]
    return outputs[real], batch.action[real], None if mask is None else mask[real]
