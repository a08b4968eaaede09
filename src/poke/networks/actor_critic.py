"""A policy's outputs and a state's value.

By two networks of one kind, by one with a value among its outputs, or by one that judges no states.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from poke.networks.atoms import Atoms
from poke.networks.noisy import make_noisy
from poke.networks.sharding import placed
from poke.spaces import ActionSpace


class ActorCritic(nn.Module):
    """Maps observations to what a distribution over actions is made of, and to the state's value.

    Args:
        make_network: makes a network with the given number of outputs.
        action_space: gives the number of outputs; continuous actions get a `log_std`, `[num_outputs]` float32, which
            does not depend on the state.
        critic: ``none``; ``separate``, a network of its own; or ``shared``, one network for both, as is usual for
            pictures.
        log_std: what it is at first.
        std: of continuous actions: ``parameter``, that `log_std`; or ``network``, which puts out its logarithms behind
            the means, so that it depends on the state.
        atoms: of one choice, arguments of `Atoms`: the policy's network puts out a distribution over returns for each
            action, and with a ``shared`` critic, which makes it a dueling one, for the state too. Its outputs are then
            all of that, read by `atoms`, and nothing is told of the state's value. None: a number each.
        noisy: the policy's network has noisy layers, see `make_noisy`.
        orthogonal: initialise orthogonally (Saxe et al., ICLR 2014) with the gains of Huang et al., "The 37
            Implementation Details of Proximal Policy Optimization", ICLR Blog Track 2022, detail 2: sqrt(2) inside,
            0.01 for the policy's last layer, 1 for the value's and for recurrent layers. Else as the networks
            initialise themselves.

    Raises:
        ValueError: atoms are of actions that are not one choice.
    """

    def __init__(
        self,
        make_network: Callable[[int], nn.Module],
        action_space: ActionSpace,
        *,
        critic: str = "none",
        log_std: float = 0.0,
        std: str = "parameter",
        atoms: Mapping[str, Any] | None = None,
        noisy: bool = False,
        orthogonal: bool = False,
    ) -> None:
        super().__init__()
        if atoms is not None and action_space.kind != "discrete":
            raise ValueError(f"atoms are of one choice, and these actions are {action_space}")
        by_state = std == "network" and action_space.continuous
        self.shared = critic == "shared"
        self.atoms = None if atoms is None else Atoms(**atoms, dueling=self.shared)
        each = 1 if self.atoms is None else self.atoms.num
        num_outputs = action_space.num_outputs * (1 + by_state) * each
        num_values = self.shared * each
        self.policy = make_network(num_outputs + num_values)
        if noisy:
            make_noisy(self)  # by now that is the policy's network, which may be a single layer
        self.critic = make_network(1) if critic == "separate" else None
        self.log_std = (
            nn.Parameter(torch.full((num_outputs,), float(log_std)))
            if action_space.continuous and not by_state
            else None
        )
        # Numbers that are remembered of one episode, the policy's and then the critic's; 0 without a memory.
        self._state_sizes = [_state_size(self.policy), _state_size(self.critic)]
        self.state_size = sum(self._state_sizes)
        # Width of what `forward_with_features` returns besides; 0 where the policy's network has no such method.
        self.features_size = int(getattr(self.policy, "features_size", 0))
        if orthogonal:
            _initialize(self.policy, [0.01] * num_outputs + [1.0] * num_values)
            if self.critic is not None:
                _initialize(self.critic, [1.0])

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map `[batch, *observation_shape]` to `[batch, num_outputs]` and `[batch]` float32, None without a critic.

        Networks with a memory have `step` and `unroll` instead.
        """
        return self._told(
            self.policy(observation), None if self.critic is None else self.critic(observation)
        )

    def forward_with_features(self, observation: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Do as `forward`, and return what the policy's outputs are made of, `[batch, features_size]` float32."""
        policy: Any = self.policy
        outputs, features = policy.forward_with_features(observation)
        judged = None if self.critic is None else self.critic(observation)
        return *self._told(outputs, judged), features

    def step(self, observation: Tensor, state: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Do as `forward`, with a memory: take and return what it holds, `[batch, state_size]` float32."""
        return self._remembering(state, lambda network, memory: _step(network, observation, memory))

    def unroll(
        self, observation: Tensor, state: Tensor, begins: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Do what a `step` for each time does, in one pass.

        Args:
            observation: `[time, batch, *observation_shape]`.
            state: `[batch, state_size]` float32, before the first time.
            begins: `[time, batch]` bool, where the row is the first of an episode: nothing from before is remembered.

        Returns:
            `[time, batch, num_outputs]` and `[time, batch]` float32, the latter None without a critic, and the state
            after the last time.
        """
        return self._remembering(
            state, lambda network, memory: _unroll(network, observation, memory, begins)
        )

    def _remembering(
        self, state: Tensor, run: Callable[[nn.Module, Tensor], tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Run policy and critic, each with its part of the state."""
        before = state.split(self._state_sizes, dim=1)
        outputs, after = run(self.policy, before[0])
        if self.critic is None:
            return *self._told(outputs, None), after
        judged, critic_after = run(self.critic, before[1])
        return *self._told(outputs, judged), torch.cat([after, critic_after], dim=1)

    def _told(self, outputs: Tensor, judged: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the policy's outputs and the states' values of what the networks put out."""
        if self.shared and self.atoms is None:
            return outputs[..., :-1], outputs[..., -1]
        return outputs, None if judged is None else judged.squeeze(-1)

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
        own = self.get_weights()
        rest = {n: placed(value, own[n]) if n in own else value for n, value in weights.items()}
        if self.log_std is not None:
            with torch.no_grad():
                self.log_std.copy_(rest.pop("log_std"))
        if self.critic is not None:
            names = [name for name in rest if name.startswith("critic.")]
            self.critic.load_state_dict({n.removeprefix("critic."): rest.pop(n) for n in names})
        self.policy.load_state_dict(rest)


def _state_size(network: nn.Module | None) -> int:
    return int(getattr(network, "state_size", 0))


def _step(network: Any, observation: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    if _state_size(network):
        return network.step(observation, state)
    return network(observation), state


def _unroll(
    network: Any, observation: Tensor, state: Tensor, begins: Tensor
) -> tuple[Tensor, Tensor]:
    if _state_size(network):
        return network.unroll(observation, state, begins)
    return network(observation.flatten(0, 1)).unflatten(0, begins.shape), state


def _initialize(network: nn.Module, head_gains: list[float]) -> None:
    layers = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    for layer in layers:
        nn.init.orthogonal_(layer.weight, math.sqrt(2))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    for memory in network.modules():
        if isinstance(memory, nn.RNNBase):
            for name, parameter in memory.named_parameters():
                if name.startswith("weight"):
                    nn.init.orthogonal_(parameter)
                else:
                    nn.init.zeros_(parameter)
    heads: Any = getattr(network, "heads", None)
    if heads is not None:  # it has several last layers, and says which
        for layer, gain in heads():
            nn.init.orthogonal_(layer.weight, gain)
        return
    if not layers or len(layers[-1].weight) != len(head_gains):
        return
    head = layers[-1].weight
    nn.init.orthogonal_(head, 1.0)
    with torch.no_grad():
        head.mul_(torch.tensor(head_gains).unsqueeze(1))
