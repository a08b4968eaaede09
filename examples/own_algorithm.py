"""An algorithm of your own: behaviour cloning, and nothing else, of the battles shipped with poke.

    python examples/own_algorithm.py algo.lr=3e-3

is the same, in this folder, as

    python -m poke.train algo._target_=own_algorithm.Cloning algo.lr=3e-3
"""

import sys

import torch
from torch.nn.functional import cross_entropy

from poke.protocols import NonFiniteError
from poke.train import main


class Cloning:
    """Adam on the cross-entropy; `policy` is given by the run, every other argument is a key under algo."""

    def __init__(self, policy, *, lr: float = 1e-3):
        self.policy = policy
        self.optimizer = torch.optim.Adam(policy.network.parameters(), lr=lr)

    def update(self, batch):
        logits, _ = self.policy.network(batch.observation)
        if batch.action_mask is not None:
            logits = logits.masked_fill(~batch.action_mask, -1e9)
        loss = cross_entropy(logits, batch.action)
        if not loss.isfinite():
            raise NonFiniteError("loss", loss.item())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.detach()}

    def get_state(self):
        return {"optimizer": self.optimizer.state_dict()}  # the weights are the policy's

    def set_state(self, state):
        self.optimizer.load_state_dict(state["optimizer"])


if __name__ == "__main__":
    own = ["algo._target_=own_algorithm.Cloning", "trainer.max_steps=500"]
    sys.exit(main([*own, *sys.argv[1:]]))
