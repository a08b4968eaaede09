"""Environments that come as extras: they run, learn signals are finite, and copies are exact where they can be."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from poke.config import composing
from poke.envs.gym import GymEnvironment
from poke.run.agent import Agent

EXTRAS = {
    "ppo_halfcheetah": "mujoco",
    "ppo_hopper": "mujoco",
    "ppo_walker2d": "mujoco",
    "ppo_breakout": "ale_py",
    "ppo_pong": "ale_py",
}


@pytest.mark.slow
@pytest.mark.parametrize("preset", EXTRAS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_preset_runs_2000_steps_with_finite_signals(preset):
    pytest.importorskip(EXTRAS[preset], reason="an extra")
    overrides = [f"experiment={preset}", "algo.num_epochs=1"]
    if "ale" in EXTRAS[preset]:
        overrides += ["network.hidden_size=16", "data.num_steps=64"]
    agent = Agent(composing.to_plain(composing.compose("train", overrides)))
    done = 0
    while done < 2000:
        batch = agent.source.sample()
        assert np.isfinite(batch.reward).all()
        metrics = agent.algorithm.update(batch)
        assert all(np.isfinite(value) for value in metrics.values())
        done += batch.num_steps
    assert all(torch.isfinite(w).all() for w in agent.algorithm.policy.network.parameters())
    agent.source.close()


@pytest.mark.parametrize(
    "id", ["HalfCheetah-v5", "Hopper-v5", "Humanoid-v5", "InvertedPendulum-v5"]
)
def test_a_copy_of_mujoco_goes_on_as_the_original_does(id, tmp_path):
    pytest.importorskip("mujoco", reason="an extra")
    environments = GymEnvironment(id, num_envs=1).make()
    assert environments.inexact_reason is None
    environments.reset([0])
    torch.save(environments.get_state(), tmp_path / "state.pt")
    environments.set_state(torch.load(tmp_path / "state.pt", weights_only=True))


def test_a_copy_of_a_single_atari_goes_on_as_the_original_does_and_its_own_vectors_cannot_be_copied():
    ale_py = pytest.importorskip("ale_py", reason="an extra")
    gym.register_envs(ale_py)
    kwargs = {"frameskip": 4}
    single = GymEnvironment("ALE/Pong-v5", num_envs=1, vectorization="serial", kwargs=kwargs)
    assert single.make().exact_state
    many = GymEnvironment("ALE/Pong-v5", num_envs=2, vectorization="vector_entry_point")
    assert not many.make().exact_state
