"""Behaviour cloning: supervised learning of a teacher's actions.

Pomerleau, "ALVINN: An Autonomous Land Vehicle in a Neural Network", NeurIPS 1988. The loss is cross-entropy with
label smoothing (Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016, section 7); of
continuous actions the negative log-likelihood of a Gaussian whose deviation is learned and does not depend on the
state, or the mean squared error.

A network with a memory learns from sequences that are cut at episode ends; it remembers nothing at the first of one.

Deliberate deviations:
- Illegal actions are masked out of the softmax, and smoothing spreads over the *legal* actions only. Spread over all
  of them, it would ask for probability where the mask forbids it, and the loss would be infinite.
- The validation loss is the plain negative log-likelihood, so that runs with different smoothing compare.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from poke.algorithms.heldout import HeldOutEvaluator, decisions
from poke.algorithms.imitation import imitation_of
from poke.algorithms.optimizers import AdamW, restore_optimizer
from poke.data.demonstrations import DemonstrationBatch
from poke.data.experience import Experience
from poke.distributed.ranks import ALONE, Ranks
from poke.policies.policy import Policy
from poke.protocols import NonFiniteError

__all__ = ["BehaviourCloning", "HeldOutEvaluator"]

# Of a batch: the loss, and of its decisions outputs, actions and masks, without a graph.
Decided = tuple[Tensor, Tensor, Tensor, Tensor | None]


class BehaviourCloning:
    """Algorithm: AdamW on what demonstrated actions say.

    Args:
        policy: is trained; its critic, if it has one, is not.
        lr: AdamW's peak learning rate.
        weight_decay: AdamW's decoupled weight decay.
        loss: nll, or mse for continuous actions.
        label_smoothing: share of the target spread over the legal actions; means nothing for continuous ones.
        max_grad_norm: global gradient norm to clip at; 0: no clipping.
        lr_schedule: constant, or cosine from lr to 0.
        schedule_steps: the update at which the cosine reaches 0.
        warmup_steps: updates of linear warm-up.
        shard: shares a network's weights out among the ranks, in place; None: every rank has all of them.
        accumulate: in how many parts a batch's gradient is computed, one after the other: less memory, the same update.
        ranks: the processes that learn together.

    Raises:
        ValueError: mse for actions that are choices.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        lr: float,
        weight_decay: float = 0.0,
        loss: str = "nll",
        label_smoothing: float = 0.0,
        max_grad_norm: float = 0.0,
        lr_schedule: str = "constant",
        schedule_steps: int = 1,
        warmup_steps: int = 0,
        shard: Callable[[nn.Module], None] | None = None,
        accumulate: int = 1,
        ranks: Ranks = ALONE,
    ) -> None:
        self.policy = policy
        self.network = policy.network
        if shard is not None:
            shard(self.network)
            policy.use_torch()
        self._sharded = shard is not None
        self.imitation = imitation_of(
            policy.action_space, policy.distribution, loss=loss, label_smoothing=label_smoothing
        )
        self.max_grad_norm = max_grad_norm
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.schedule_steps = schedule_steps
        self.warmup_steps = warmup_steps
        self.num_updates = 0
        self._accumulate = accumulate
        self._ranks = ranks
        self._parameters = list(self.network.parameters())
        self._optimizer = AdamW(self._parameters, lr=lr, weight_decay=weight_decay, fused=True)
        # On a device, whether any update was skipped; read only when a synchronisation happens anyway.
        self._met_non_finite = torch.zeros((), device=self._parameters[0].device)

    def update(self, batch: DemonstrationBatch | Experience) -> Mapping[str, Tensor | float]:
        """Make one gradient update.

        Args:
            batch: decisions, or recorded transitions, of which it takes the decisions.

        Returns:
            loss; of choices accuracy (share of demonstrated actions that were the most probable; where an action is
            several choices besides part_accuracy, of single ones), of numbers mse; grad_norm (before clipping), lr.

        Raises:
            NonFiniteError: the loss or the gradient is not finite; the weights are as before.
        """
        if isinstance(batch, Experience):
            (part,) = batch.minibatches
            batch = DemonstrationBatch(part.observation, part.action, part.action_mask)
        lr = self._learning_rate()
        self.network.train()
        try:
            for parameter in self._parameters:  # zero_grad, without its profiler's 8 us
                parameter.grad = None
            if self._accumulate == 1 and not self._sharded:
                loss, outputs, action, mask = self._differentiate(batch)
            else:
                loss, outputs, action, mask = self._differentiate_in_parts(batch)
        finally:
            self.network.eval()
        if self._ranks.size > 1 and not self._sharded:
            gradients = [p.grad for p in self._parameters if p.grad is not None]
            (loss,) = self._ranks.average(gradients, loss[None], len(action))
        norm = nn.utils.clip_grad_norm_(self._parameters, self.max_grad_norm or math.inf)
        if self._sharded:
            norm = cast(Any, norm).full_tensor()
        self._guard(loss=loss, grad_norm=norm)
        self._optimizer.param_groups[0]["lr"] = lr
        self._optimizer.step()
        self.num_updates += 1
        progress = self.imitation.progress(outputs, action, mask)
        return {"loss": loss, **progress, "grad_norm": norm.detach(), "lr": lr}

    def _differentiate(self, batch: DemonstrationBatch, *, summed: bool = False) -> Decided:
        """Add the gradient of the mean loss over decisions, or of the sum."""
        outputs, action, mask = decisions(self.network, batch)
        if len(action):
            loss = self.imitation.loss(outputs, action, mask)
            if summed:
                loss = loss * len(action)
        else:  # sequences without a known choice: nothing to learn, but other ranks count on this one's part
            loss = outputs.sum() * 0
        loss.backward()
        return loss.detach(), outputs.detach(), action, mask

    def _differentiate_in_parts(self, batch: DemonstrationBatch) -> Decided:
        """Do as `_differentiate`, of one part after the other, which need not have equally many decisions.

        Where weights are shared out, what comes back from torch is the mean of the ranks' gradients already: of sums
        over their decisions, which are divided by the mean of how many these are.
        """
        parts = batch.parts(self._accumulate)
        told = [self._differentiate(part, summed=True) for part in parts]
        losses, outputs, actions, masks = zip(*told, strict=True)
        action = torch.cat(actions)
        mask = None if masks[0] is None else torch.cat(masks)
        loss = torch.stack(losses).sum()
        count = torch.full_like(loss, len(action))
        if self._sharded:
            loss, count = self._ranks.average([], torch.stack([loss, count]), 1).unbind()
        count = torch.where(count > 0, count, 1)
        for parameter in self._parameters:
            if parameter.grad is not None:
                parameter.grad.div_(count)
        return loss / count, torch.cat(outputs), action, mask

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
