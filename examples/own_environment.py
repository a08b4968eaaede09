"""An environment of your own, as Gymnasium has them: walk to the end of a corridor.

    python examples/own_environment.py env.kwargs.length=6

is the same, in this folder, as

    python -m poke.train algo=ppo env=gym env.id=own_environment:Corridor-v0 +env.kwargs.length=6
"""

import sys

import gymnasium as gym
import numpy as np

from poke.train import main


class Corridor(gym.Env):
    """Left or right; a step costs 0.1, the end is worth 1."""

    def __init__(self, length: int = 8):
        self.length = length
        self.observation_space = gym.spaces.Box(0, 1, (1,), np.float32)
        self.action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = 0
        return self.seen(), {}

    def step(self, action):
        self.place = max(0, self.place + (1 if action else -1))
        at_the_end = self.place == self.length
        return self.seen(), 1.0 if at_the_end else -0.1, at_the_end, False, {}

    def seen(self):
        return np.array([self.place / self.length], np.float32)


gym.register("Corridor-v0", Corridor, max_episode_steps=50)  # `env.id=MODULE:ID` imports the module

if __name__ == "__main__":
    own = ["algo=ppo", "env=gym", "env.id=own_environment:Corridor-v0", "+env.kwargs.length=8"]
    length = ["trainer.max_steps=10_000", "trainer.eval_every=5_000"]
    sys.exit(main([*own, *length, *sys.argv[1:]]))
