"""A network of your own, as PPO's policy and critic, on CartPole.

    python examples/own_network.py network.width=64

is the same, in this folder, as

    python -m poke.train algo=ppo network._target_=own_network.Residual +network.width=64
"""

import sys

import torch
from torch import nn

from poke.train import main


class Residual(nn.Module):
    """Blocks with a way around; shape and outputs are given by the run, every other argument is a key under network."""

    def __init__(
        self, observation_shape, num_outputs: int, *, width: int = 32, num_blocks: int = 2
    ):
        super().__init__()
        size = torch.Size(observation_shape).numel()
        self.first = nn.Linear(size, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(num_blocks))
        self.last = nn.Linear(width, num_outputs)

    def forward(self, observation):
        hidden = self.first(observation.float().flatten(1))
        for block in self.blocks:
            hidden = hidden + torch.tanh(block(hidden))
        return self.last(hidden)


if __name__ == "__main__":
    own = ["algo=ppo", "network._target_=own_network.Residual", "+network.width=32"]
    length = ["trainer.max_steps=20_000", "trainer.eval_every=10_000"]
    sys.exit(main([*own, *length, *sys.argv[1:]]))
