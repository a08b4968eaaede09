"""An environment that only a memory solves, for whoever has one."""

import gymnasium as gym
import numpy as np
import pytest


class MemoryCorridor(gym.Env):
    """A cue is shown at the first step; at the last, `length` steps later, the action must be the cue's.

    In between nothing is to be seen but how far it is, and nothing is rewarded.
    """

    def __init__(self, length=5):
        self.length = length
        self.observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
        self.action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.cue = int(self.np_random.integers(2))
        self.position = 0
        return self._observe(), {}

    def step(self, action):
        ended = self.position == self.length - 1
        reward = float(action == self.cue) if ended else 0.0
        self.position += 1
        return self._observe(), reward, ended, False, {}

    def _observe(self):
        cue = 2 * self.cue - 1 if self.position == 0 else 0
        return np.array([cue, self.position / self.length], np.float32)


@pytest.fixture
def corridor():
    """The id of a registered `MemoryCorridor`."""
    gym.register("MemoryCorridor-v0", MemoryCorridor)
    yield "MemoryCorridor-v0"
    del gym.registry["MemoryCorridor-v0"]
