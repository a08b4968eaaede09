"""Forward passes for acting: by torch, or in numpy over the memory of small networks' weights."""

from __future__ import annotations

import threading

import numpy as np
import torch

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
        self._small: bool | None = None  # computed in numpy; not known yet
        self._own = _Own()

    def use_torch(self) -> None:
        """Let torch compute whatever the network is."""
        self._small = False

    def __call__(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return outputs `[batch, num_outputs]` and values `[batch]`, None without a critic; both float32."""
        if self._small is None:
            self._small = runs_in_numpy(self._network)
        if not self._small:
            return self._by_torch(observation)
        sizes = self._own.sizes
        size = len(observation)
        if size not in sizes:
            sizes[size] = numpy_networks(self._network, size)
        policy, critic = sizes[size]
        outputs = policy.forward(observation)
        return outputs, None if critic is None else critic.forward(observation)[:, 0]

    @torch.no_grad()
    def step(
        self, observation: np.ndarray, state: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """The same of a network with memory: outputs, values, and the next state `[batch, state_size]` float32."""
        network = self._network
        device = next(network.parameters()).device
        with _not_training(network):
            seen, before = (torch.from_numpy(a).to(device) for a in (observation, state))
            outputs, value, after = network.step(seen, before)
        return (
            outputs.cpu().numpy(),
            None if value is None else value.cpu().numpy(),
            after.cpu().numpy(),
        )

    @torch.no_grad()
    def _by_torch(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        network = self._network
        with _not_training(network):
            outputs, value = network(
                torch.from_numpy(observation).to(next(network.parameters()).device)
            )
        return outputs.cpu().numpy(), None if value is None else value.cpu().numpy()


class _Own(threading.local):
    """Networks in numpy by batch size: their buffers are one thread's."""

    def __init__(self) -> None:
        self.sizes: dict[int, tuple[NumpyMLP, NumpyMLP | None]] = {}


class _not_training:
    """Switches dropout and the like off for a while, where they are on."""

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
        and not network.shared
        and NumpyMLP.supports(network.policy)
        and (network.critic is None or NumpyMLP.supports(network.critic))
    )


def numpy_networks(network: ActorCritic, batch_size: int) -> tuple[NumpyMLP, NumpyMLP | None]:
    """Return policy and critic in numpy, of a network that `runs_in_numpy`."""
    policy, critic = network.policy, network.critic
    assert isinstance(policy, MLP)
    assert critic is None or isinstance(critic, MLP)
    return NumpyMLP(policy, batch_size), None if critic is None else NumpyMLP(critic, batch_size)
