"""A source of your own: decisions made up as they are asked for, with no end. Is there an even number of ones?

    python examples/own_source.py data.num_bits=5

is the same, in this folder, as

    python -m poke.train data._target_=own_source.Parity +data.num_bits=5 ~eval checkpoint.monitor=train/loss
"""

import sys

import torch

from poke.data.demonstrations import DemonstrationBatch
from poke.protocols import SourceDefaults
from poke.spaces import ActionSpace, ObservationSpace
from poke.train import main


class Parity(SourceDefaults):
    """Rows of bits and their parity; `seed` is given by the run, every other argument is a key under data."""

    def __init__(self, seed: int, *, num_bits: int = 4, batch_size: int = 64):
        self.observation_space = ObservationSpace.box((num_bits,))
        self.action_space = ActionSpace.discrete(2)
        self.shape = (batch_size, num_bits)
        self.generator = torch.Generator().manual_seed(seed)

    def sample(self):
        bits = torch.randint(2, self.shape, generator=self.generator)
        return DemonstrationBatch(bits.float(), bits.sum(dim=1) % 2, action_mask=None)

    def get_state(self):
        return {"generator": self.generator.get_state()}

    def set_state(self, state):
        self.generator.set_state(state["generator"])


if __name__ == "__main__":
    own = ["data._target_=own_source.Parity", "+data.num_bits=4"]
    measured = ["~eval", "checkpoint.monitor=train/loss", "trainer.max_steps=1000"]
    sys.exit(main([*own, *measured, *sys.argv[1:]]))
