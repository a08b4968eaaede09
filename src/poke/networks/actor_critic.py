"""A policy and a value function, as two networks of one kind or as one network with a value among its outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn


class ActorCritic(nn.Module):
    """Maps observations to the policy's outputs and the state's value.

    Orthogonal initialisation (Saxe et al., ICLR 2014) with the gains of Huang et al., "The 37 Implementation Details
    of Proximal Policy Optimization", ICLR Blog Track 2022, detail 2: sqrt(2) inside, 0.01 for the policy's last
    layer, 1 for the value's.

    Args:
        make_network: makes a network with the given number of outputs.
        num_outputs: of the policy: number of discrete actions, or size of a continuous one.
        continuous: give a continuous policy its `log_std`, `[num_outputs]` float32, independent of the state.
        shared: one network for both, as is usual for pictures.
    """

    def __init__(
        self,
        make_network: Callable[[int], nn.Module],
        num_outputs: int,
        *,
        continuous: bool,
        shared: bool,
    ) -> None:
        super().__init__()
        self.policy = make_network(num_outputs + shared)
        self.critic = None if shared else make_network(1)
        self.log_std = nn.Parameter(torch.zeros(num_outputs)) if continuous else None
        _initialize(self.policy, [0.01] * num_outputs + [1.0] * shared)
        if self.critic is not None:
            _initialize(self.critic, [1.0])

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Map `[batch, *observation_shape]` to `[batch, num_outputs]` and `[batch]` float32."""
        outputs = self.policy(observation)
        if self.critic is None:
            return outputs[:, :-1], outputs[:, -1]
        return outputs, self.critic(observation).squeeze(1)

    def get_weights(self) -> dict[str, Any]:
        """Return the policy's parameters under their own names, which a behaviour clone has too, and the rest."""
        weights: dict[str, Any] = dict(self.policy.state_dict())
        if self.critic is not None:
            weights |= {f"critic.{name}": value for name, value in self.critic.state_dict().items()}
        if self.log_std is not None:
            weights["log_std"] = self.log_std.detach()
        return weights

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Take over what `get_weights` returned.

        Raises:
            RuntimeError: a name or shape does not fit.
        """
        rest = dict(weights)
        if self.log_std is not None:
            with torch.no_grad():
                self.log_std.copy_(rest.pop("log_std"))
        if self.critic is not None:
            names = [name for name in rest if name.startswith("critic.")]
            self.critic.load_state_dict({n.removeprefix("critic."): rest.pop(n) for n in names})
        self.policy.load_state_dict(rest)


def _initialize(network: nn.Module, head_gains: list[float]) -> None:
    layers = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    for layer in layers:
        nn.init.orthogonal_(layer.weight, math.sqrt(2))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    head = layers[-1]
    if len(head.weight) != len(head_gains):
        return
    nn.init.orthogonal_(head.weight, 1.0)
    with torch.no_grad():
        head.weight.mul_(torch.tensor(head_gains).unsqueeze(1))
