"""Behaviour cloning: supervised learning of a teacher's actions.

Pomerleau, "ALVINN: An Autonomous Land Vehicle in a Neural Network", NeurIPS 1988. The loss is cross-entropy with
label smoothing (Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016, section 7).

Deliberate deviations:
- Illegal actions are masked out of the softmax, and smoothing spreads over the *legal* actions only. Spread over all
  of them, it would ask for probability where the mask forbids it, and the loss would be infinite.
- The validation loss is the plain negative log-likelihood, so that runs with different smoothing compare.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from poke.algorithms.optimizers import AdamW, restore_optimizer
from poke.data.demonstrations import DemonstrationBatch
from poke.policies.distributions import masked_logits
from poke.policies.policy import Policy
from poke.protocols import NonFiniteError


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


class BehaviourCloning:
    """Algorithm: AdamW on the smoothed cross-entropy of demonstrated actions.

    Args:
        policy: its network maps observations to `[batch, num_actions]` float32 logits.
        lr: AdamW's peak learning rate.
        weight_decay: AdamW's decoupled weight decay.
        label_smoothing: share of the target spread over the legal actions.
        max_grad_norm: global gradient norm to clip at; 0: no clipping.
        lr_schedule: constant, or cosine from lr to 0.
        schedule_steps: the update at which the cosine reaches 0.
        warmup_steps: updates of linear warm-up.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        lr: float,
        weight_decay: float = 0.0,
        label_smoothing: float = 0.0,
        max_grad_norm: float = 0.0,
        lr_schedule: str = "constant",
        schedule_steps: int = 1,
        warmup_steps: int = 0,
    ) -> None:
        self.policy = policy
        self.network = policy.network
        self.label_smoothing = label_smoothing
        self.max_grad_norm = max_grad_norm
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.schedule_steps = schedule_steps
        self.warmup_steps = warmup_steps
        self.num_updates = 0
        self._parameters = list(self.network.parameters())
        self._optimizer = AdamW(self._parameters, lr=lr, weight_decay=weight_decay, fused=True)
        # On a device, whether any update was skipped; read only when a synchronisation happens anyway.
        self._met_non_finite = torch.zeros((), device=self._parameters[0].device)

    @torch.no_grad()
    def logits(self, observation: Tensor, action_mask: Tensor | None = None) -> Tensor:
        """Return masked `[batch, num_actions]` float32 logits, without gradient."""
        return masked_logits(self.network(observation)[0], action_mask)

    def update(self, batch: DemonstrationBatch) -> Mapping[str, Tensor | float]:
        """Make one gradient update.

        Returns:
            loss, accuracy (share of demonstrated actions that were the most probable), grad_norm (before clipping), lr.

        Raises:
            NonFiniteError: the loss or the gradient is not finite; the weights are as before.
        """
        lr = self._learning_rate()
        logits = masked_logits(self.network(batch.observation)[0], batch.action_mask)
        loss = smoothed_cross_entropy(
            logits.log_softmax(dim=1), batch.action, batch.action_mask, self.label_smoothing
        )
        for parameter in self._parameters:  # zero_grad, without its profiler's 8 us
            parameter.grad = None
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self._parameters, self.max_grad_norm or math.inf)
        loss = loss.detach()
        self._guard(loss=loss, grad_norm=norm)
        self._optimizer.param_groups[0]["lr"] = lr
        self._optimizer.step()
        self.num_updates += 1
        accuracy = (logits.detach().argmax(dim=1) == batch.action).float().mean()
        return {"loss": loss, "accuracy": accuracy, "grad_norm": norm.detach(), "lr": lr}

    def get_state(self) -> dict[str, Any]:
        """Return optimizer and the number of updates; the weights are the policy's.

        Raises:
            NonFiniteError: an update since the last call met a non-finite loss on a device.
        """
        if self._met_non_finite.item():
            self._met_non_finite.zero_()  # said once; the skipped updates left the weights good
            raise NonFiniteError("loss or grad_norm", math.nan)
        return {
            "optimizer": self._optimizer.state_dict(),
            "num_updates": self.num_updates,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned."""
        restore_optimizer(self._optimizer, state["optimizer"])
        self.num_updates = state["num_updates"]

    def _learning_rate(self) -> float:
        """The rate of the coming update: linear warm-up, then constant or cosine."""
        step = self.num_updates
        if step < self.warmup_steps:
            return self.lr * (step + 1) / self.warmup_steps
        if self.lr_schedule == "constant":
            return self.lr
        span = max(1, self.schedule_steps - self.warmup_steps)
        progress = min(1.0, (step - self.warmup_steps) / span)
        return self.lr * 0.5 * (1 + math.cos(math.pi * progress))

    def _guard(self, **quantities: Tensor) -> None:
        """Keep a non-finite loss or gradient away from the weights."""
        if self._met_non_finite.device.type == "cpu":
            for name, value in quantities.items():
                if not math.isfinite(value.item()):
                    raise NonFiniteError(name, value.item())
            return
        # A device is not synchronised for this: the fused optimizer skips a step whose found_inf is 1.
        bad = ~torch.stack([torch.isfinite(v) for v in quantities.values()]).all()
        self._optimizer.found_inf = bad.float()  # type: ignore[attr-defined]
        self._met_non_finite.add_(bad)


class HeldOutData(Protocol):
    """A source that keeps demonstrations back for validation."""

    @property
    def action_kinds(self) -> Mapping[str, Tensor]:
        """Kind of action (move, switch) to a `[num_actions]` bool mask."""
        ...

    def validation_batches(self, batch_size: int) -> Iterator[DemonstrationBatch]:
        """Yield every held-out decision once, in a fixed order."""
        ...


_OF_ALL_DECISIONS = ("loss", "accuracy", "top3_accuracy")


class HeldOutEvaluator:
    """Evaluator: how well the policy predicts demonstrations it was not trained on.

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
        seen = {
            kind
            for batch in self._source.validation_batches(self._batch_size)
            for kind, of_kind in self._source.action_kinds.items()
            if of_kind[batch.action].any()
        }
        kinds = [kind for kind in self._source.action_kinds if kind in seen]
        return (*_OF_ALL_DECISIONS, *(f"{kind}_accuracy" for kind in kinds))

    @torch.no_grad()
    def evaluate(self, algorithm: BehaviourCloning) -> dict[str, float]:
        """Return loss (mean negative log-likelihood), accuracy, top3_accuracy, and accuracy by kind of action."""
        network = algorithm.network
        network.eval()
        try:
            return self._measure(algorithm)
        finally:  # an interruption passes through here too, and training may go on after it
            network.train()

    def _measure(self, algorithm: BehaviourCloning) -> dict[str, float]:
        totals = dict.fromkeys(_OF_ALL_DECISIONS, 0.0)
        kinds = self._source.action_kinds
        count = 0
        counts = dict.fromkeys(kinds, 0)
        hits = dict.fromkeys(kinds, 0.0)
        for batch in self._source.validation_batches(self._batch_size):
            logits = algorithm.logits(batch.observation, batch.action_mask)
            action = batch.action
            nll = -logits.log_softmax(dim=1).gather(1, action.unsqueeze(1)).squeeze(1)
            right = logits.argmax(dim=1) == action
            top3 = logits.topk(min(3, logits.shape[1]), dim=1).indices
            totals["loss"] += nll.double().sum().item()
            totals["accuracy"] += right.sum().item()
            totals["top3_accuracy"] += (top3 == action.unsqueeze(1)).any(dim=1).sum().item()
            count += len(action)
            for kind, of_kind in kinds.items():
                chosen = of_kind[action]
                counts[kind] += int(chosen.sum().item())
                hits[kind] += (right & chosen).sum().item()
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
