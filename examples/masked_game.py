"""A game in which not every move is legal: Nim against a random player. Who takes the last stone wins.

    python examples/masked_game.py

PPO plays by the mask that stands under `action_mask`, here in the observation; `info["action_mask"]` does as well.
"""

import sys

import gymnasium as gym
import numpy as np

from poke.train import main


class Nim(gym.Env):
    """A heap of stones; each player in turn takes one, two or three of those that are left."""

    def __init__(self, stones: int = 15):
        self.stones = stones
        self.action_space = gym.spaces.Discrete(3, start=1)
        self.observation_space = gym.spaces.Dict(
            left=gym.spaces.Discrete(stones + 1), action_mask=gym.spaces.MultiBinary(3)
        )

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = self.stones
        return self.seen(), {}

    def step(self, action):
        assert action <= self.left, "the mask forbids that"
        self.left -= int(action)
        if self.left == 0:
            return self.seen(), 1.0, True, False, {}
        self.left -= int(self.np_random.integers(1, min(3, self.left) + 1))
        lost = self.left == 0
        return self.seen(), -1.0 if lost else 0.0, lost, False, {}

    def seen(self):
        legal = np.arange(1, 4) <= max(self.left, 1)  # at the end nothing is asked any more
        return {"left": self.left, "action_mask": legal.astype(np.int8)}


gym.register("Nim-v0", Nim)

if __name__ == "__main__":
    game = ["algo=ppo", "env=gym", "env.id=masked_game:Nim-v0"]
    length = ["trainer.max_steps=20_000", "trainer.eval_every=10_000", "eval.episodes=100"]
    sys.exit(main([*game, *length, *sys.argv[1:]]))
