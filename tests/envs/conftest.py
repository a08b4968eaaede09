import gymnasium as gym
import pytest


@pytest.fixture
def register():
    """Register environments for the time of a test."""
    before = dict(gym.registry)
    yield gym.register
    gym.registry.clear()
    gym.registry.update(before)
