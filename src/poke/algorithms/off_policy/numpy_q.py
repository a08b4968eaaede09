"""Gradients of deep Q-learning by hand, of small networks on the CPU.

Fast path, which must equal `DQN` by torch up to rounding: a minibatch of 64 and two layers of 256 take torch 1.6 ms,
more than half of which is its operators' and autograd's overhead and the rest what numpy takes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from poke.data.experience import Transitions
from poke.networks.actor_critic import ActorCritic
from poke.networks.noisy import NoisyLinear
from poke.networks.numpy_mlp import NumpyMLP
from poke.policies.inference import numpy_networks, runs_in_numpy


class NumpyQ:
    """Computes what `DQN` computes by torch, up to rounding, and writes the gradient where that would.

    Args:
        network: one for which `supports` is true; it has gradients already, and learns.
        target: a copy of it that judges what comes next.
        gamma: discount factor.
        reward_scale: rewards are multiplied by this.
        double: what is best next is chosen by the network that learns.
    """

    def __init__(
        self,
        network: ActorCritic,
        target: ActorCritic,
        *,
        gamma: float,
        reward_scale: float,
        double: bool,
    ) -> None:
        self._network = network
        self._target = numpy_networks(target, 0)[0]
        self._gamma = gamma
        self._reward_scale = np.float32(reward_scale)
        self._double = double
        self._sizes: dict[int, NumpyMLP] = {}
        self._powers = np.ones(1, np.float32)

    @staticmethod
    def supports(network: ActorCritic) -> bool:
        """Whether a network is a small MLP on the CPU that puts out action values as numbers, and nothing besides."""
        plain = not any(isinstance(module, NoisyLinear) for module in network.modules())
        return runs_in_numpy(network) and network.critic is None and network.atoms is None and plain

    def differentiate(self, part: Transitions) -> tuple[Tensor, Tensor, Tensor]:
        """Write the gradient of the loss over a minibatch.

        Returns:
            The loss, the mean of what was chosen, both 0-dim, and `[batch]` absolute temporal-difference errors.
        """
        count = len(part)
        if count not in self._sizes:
            self._sizes[count] = numpy_networks(self._network, count)[0]
        network, row = self._sizes[count], np.arange(count)
        target = self._aim(part, network, row)
        outputs = network.forward(part.observation.numpy())
        action = part.action.numpy()
        said = outputs[row, action]
        difference = said - target
        error = np.abs(difference)
        loss = np.where(error <= 1, np.float32(0.5) * difference * difference, error - 0.5)
        slope = np.minimum(np.maximum(difference, -1), 1) * np.float32(1 / count)
        if part.weight is not None:
            weight = part.weight.numpy()
            loss, slope = loss * weight, slope * weight
        gradient = np.zeros_like(outputs)
        gradient[row, action] = slope
        network.backward(gradient)
        means = np.array([np.add.reduce(loss), np.add.reduce(said)], np.float32) / count
        told = torch.from_numpy(means)
        return told[0], told[1], torch.from_numpy(error)

    def _aim(self, part: Transitions, network: NumpyMLP, row: np.ndarray) -> np.ndarray:
        """Return the targets, `[batch]`, as `DQN` has them."""
        seen = part.next_observation.numpy()
        worth = self._target.predict(seen)
        judged = network.forward(seen) if self._double else worth
        if part.next_action_mask is not None:
            judged = np.where(part.next_action_mask.numpy(), judged, -np.inf)
        after = worth[row, judged.argmax(axis=1)]
        reward = part.reward.numpy()
        steps = reward.shape[1]
        if len(self._powers) != steps + 1:
            self._powers = np.float32(self._gamma) ** np.arange(steps + 1, dtype=np.float32)
        rewards = (reward * self._reward_scale) @ self._powers[:steps]
        discount: np.ndarray = self._powers[part.length.numpy()] * ~part.terminated.numpy()
        # A target network that is not finite is an error also where nothing comes after, as it is in torch.
        return rewards + discount * after
