"""Acting as one torch module: raw observations in, the environment's action out, for whoever has no poke."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from poke.policies.policy import Policy
from poke.spaces.observations import Entry, Field

MASK = "action_mask"
STATE = "state"


@dataclass(frozen=True)
class Input:
    """One input of the module.

    Args:
        name: `observation`, or `observation.NAME` of each part of several; `action_mask`; `state`.
        shape: without the batch's axis.
        dtype: of its elements.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype


class Acting(nn.Module):
    """What `Policy.act` computes for a batch, without exploring: normaliser, masks and bounds are in it.

    It takes each part of an observation as the environment gives it, then `action_mask` `[batch, mask_size]` bool where
    the policy chooses among legal actions, then `state` `[batch, state_size]` float32 where it has a memory, zeros at
    first. It returns the action as the environment takes it, and with a memory also the next state. Unlike `act` it
    refuses nothing: a choice that is none of its space counts as no choice.

    Args:
        policy: on the CPU; its weights are shared, not copied.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.inputs = inputs_of(policy)
        self.outputs = ("action", "next_state") if policy.network.state_size else ("action",)
        self._space = policy.observation_space
        self._actions = policy.action_space
        self._atoms = policy.network.atoms
        self._shared = policy.network.shared and self._atoms is None
        self._masked = policy.masked
        self._has_memory = policy.network.state_size > 0
        # Where it can be left out, a critic would be dead weight.
        self.network: Any = policy.network if self._has_memory else policy.network.policy
        self._limit: float | None = None
        if policy.normalizer is not None:
            moments = policy.normalizer.moments
            self._limit = policy.normalizer.limit
            self.register_buffer("mean", torch.tensor(moments.mean))
            self.register_buffer("scale", torch.tensor(np.sqrt(moments.variance + 1e-8)))

    def forward(self, *given: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the actions `[batch, *shape]`, and with a memory the next state `[batch, state_size]`."""
        rest = list(given)
        parts = [self._encoded(rest.pop(0), field) for field in self._space.fields]
        mask = rest.pop(0) if self._masked else None
        # Networks of several parts take them apart, too: not every runtime can look into bytes.
        seen = parts if self._space.packed else parts[0]
        if self._has_memory:
            outputs, _, state = self.network.step(seen, rest.pop(0))
            return self._action(outputs, mask), state
        outputs = self.network(seen)
        return self._action(outputs[:, :-1] if self._shared else outputs, mask)

    def _encoded(self, part: Tensor, field: Field) -> Tensor:
        """Do what `ObservationSpace.write` and the normaliser do with a part."""
        entry = field.entry
        if entry.kind == "discrete":
            ids = part.reshape(-1, math.prod(entry.shape)) - torch.tensor(entry.starts)
            if self._space.packed:
                return ids.int().reshape(-1, *field.shape)
            columns = zip(ids.split(1, 1), entry.sizes, strict=True)
            part = torch.cat([column == torch.arange(size) for column, size in columns], 1)
        part = part.to(_torch_dtype(field.dtype.name))
        if self._limit is None or field.dtype != np.float32:
            return part
        # In float64, as the policy does it, so that not a bit differs; the numbers of packed parts come first.
        own = slice(field.offset // 4, field.offset // 4 + math.prod(field.shape))
        numbers = (part.flatten(1).double() - self.mean[own]) / self.scale[own]
        return numbers.clamp(-self._limit, self._limit).float().reshape(-1, *field.shape)

    def _action(self, outputs: Tensor, mask: Tensor | None) -> Tensor:
        space = self._actions
        if self._atoms is not None:
            outputs = self._atoms.values(outputs, mask)
        if mask is not None:
            outputs = torch.where(mask, outputs, torch.finfo(torch.float32).min)
        if space.kind == "discrete":
            action = outputs.argmax(1)
        elif space.kind == "multi_discrete":
            action = torch.stack([part.argmax(1) for part in outputs.split(space.sizes, 1)], 1)
        elif space.kind == "multi_binary":
            action = (outputs > 0).long()
        else:
            # Deviations that depend on the state stand behind the means.
            action = self._within_bounds(outputs[:, : space.num_outputs])
        if any(space.starts):
            action = action + torch.tensor(space.starts).reshape(space.action_shape)
        return action.reshape(-1, *space.shape).to(_torch_dtype(space.dtype))

    def _within_bounds(self, outputs: Tensor) -> Tensor:
        low, high = (
            torch.tensor(end, dtype=torch.float64)
            for end in (self._actions.low, self._actions.high)
        )
        if self._actions.bounds == "squash":
            action = low + ((outputs.tanh() + 1) / 2).double() * (high - low)
        else:
            action = outputs.double()
        return torch.minimum(torch.maximum(action, low), high)


def inputs_of(policy: Policy) -> tuple[Input, ...]:
    """Return what `Acting` of a policy takes, in order."""
    space = policy.observation_space
    found = [
        Input(f"observation.{entry.name}" if space.packed else "observation", entry.shape, dtype)
        for entry, dtype in ((entry, _raw_dtype(entry)) for entry in space.entries)
    ]
    if policy.masked:
        found.append(Input(MASK, (policy.action_space.mask_size,), np.dtype(np.bool_)))
    if policy.network.state_size:
        found.append(Input(STATE, (policy.network.state_size,), np.dtype(np.float32)))
    return tuple(found)


def _raw_dtype(entry: Entry) -> np.dtype:
    """Of an entry as the environment gives it."""
    kinds = {"discrete": "int64", "binary": "int8"}
    return np.dtype(kinds.get(entry.kind, entry.dtype))


def _torch_dtype(name: str) -> torch.dtype:
    return torch.from_numpy(np.empty(0, name)).dtype
