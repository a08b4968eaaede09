"""Forward passes for acting: by torch, or in numpy over the memory of small networks' weights.

numpy is a fast path, see `poke.networks.numpy_mlp`: a small policy is asked once a step, for a few rows, and must
answer as torch does, up to rounding.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from poke.networks.actor_critic import ActorCritic
from poke.networks.mlp import MLP
from poke.networks.numpy_mlp import NumpyMLP


class Inference:
    """A network's outputs without gradients; dropout and the like are off. Several threads may call it.

    Args:
        network: on its device; its weights may be changed in place at any time. Looked at when first called, since
            an algorithm may lay its weights out anew before.
    """

    def __init__(self, network: ActorCritic) -> None:
        self._network = network
        self._by_numpy: tuple[NumpyMLP, NumpyMLP | None] | None = None
        self._chosen = False  # between numpy and torch

    def use_torch(self) -> None:
        """Let torch compute whatever the network is."""
        self._by_numpy, self._chosen = None, True

    def __call__(
        self, observation: np.ndarray, judge: bool = True
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return outputs `[batch, num_outputs]` and values `[batch]` float32.

        Args:
            observation: `[batch, *observation_shape]`.
            judge: values are wanted; without it, or without a critic, they may be None.
        """
        if not self._chosen:
            self._choose()
        if self._by_numpy is None:
            return self._by_torch(observation, judge)
        policy, critic = self._by_numpy
        outputs = policy.predict(observation)
        if critic is None or not judge:
            return outputs, None
        return outputs, critic.predict(observation)[:, 0]

    @torch.no_grad()
    def step(
        self, observation: np.ndarray, state: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """The same of a network with memory: outputs, values, and the next state `[batch, state_size]` float32."""
        with _not_training(self._network):
            outputs, value, after = self._network.step(self._there(observation), self._there(state))
        return *_here(outputs, value), after.cpu().numpy()

    @torch.no_grad()
    def _by_torch(
        self, observation: np.ndarray, judge: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        network, seen = self._network, self._there(observation)
        with _not_training(network):
            if network.critic is not None and not judge:
                return _here(network.policy(seen), None)
            return _here(*network(seen))

    def _there(self, array: np.ndarray) -> Tensor:
        # torch takes neither memory that is not to be written nor strides backwards.
        array = np.require(array, requirements=("C", "W"))
        return torch.from_numpy(array).to(next(self._network.parameters()).device)

    def _choose(self) -> None:
        if runs_in_numpy(self._network):
            self._by_numpy = numpy_networks(self._network, 0)
        self._chosen = True


def _here(outputs: Tensor, value: Tensor | None) -> tuple[np.ndarray, np.ndarray | None]:
    return outputs.cpu().numpy(), None if value is None else value.cpu().numpy()


class _not_training:
    """Switches dropout and the like off for a while, where somebody left them on."""

    def __init__(self, network: torch.nn.Module) -> None:
        self._network = network if network.training else None

    def __enter__(self) -> None:
        if self._network is not None:
            self._network.eval()

    def __exit__(self, *raised: object) -> None:
        if self._network is not None:
            self._network.train()


def runs_in_numpy(network: ActorCritic) -> bool:
    """Whether a network's parts are such as `NumpyMLP` computes."""
    return (
        not network.state_size
        # With atoms all that a network puts out is the policy's.
        and (network.atoms is not None or not network.shared)
        and NumpyMLP.supports(network.policy)
        and (network.critic is None or NumpyMLP.supports(network.critic))
    )


def numpy_networks(network: ActorCritic, batch_size: int) -> tuple[NumpyMLP, NumpyMLP | None]:
    """Return policy and critic in numpy, of a network that `runs_in_numpy`.

    Args:
        network: whose weights are seen, changes in place too.
        batch_size: of training, as of `NumpyMLP`.
    """
    policy, critic = network.policy, network.critic
    assert isinstance(policy, MLP)
    assert critic is None or isinstance(critic, MLP)
    return NumpyMLP(policy, batch_size), None if critic is None else NumpyMLP(critic, batch_size)
