"""Runs that compute otherwise than in float32 by turns go on as if they had never stopped."""

import shutil

import pytest

from ..selecting import few
from .comparing import assert_a_killed_run_goes_on
from .conftest import PPO, SMALL

RUNS = {
    "mixed clone": (*SMALL, "trainer.precision=bf16-mixed", "trainer.deterministic=true"),
    "mixed ppo": (*PPO, "trainer.precision=bf16-mixed"),
    "overlapping ppo": (*PPO, "data.overlap=true"),
    "overlapping, normalised, in mixed precision": (
        *(*PPO, "data.overlap=true", "trainer.precision=bf16-mixed", "env=pendulum"),
        *("env.num_envs=2", "env.normalize_observation=true", "env.normalize_reward=true"),
    ),
    "clone in float16, in parts": (
        *(*SMALL, "trainer.precision=16-mixed", "trainer.accumulate=3"),
        *("network=auto", "network.activation_checkpointing=true"),
    ),
    "ppo in float16, in parts": (*PPO, "trainer.precision=16-mixed", "trainer.accumulate=2"),
    "compiled clone": (*SMALL, "trainer.compile=true"),
}


# What torch says of itself while it compiles is no concern of ours.
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    "name",
    few(RUNS, "overlapping, normalised, in mixed precision", "ppo in float16, in parts"),
)
def test_a_killed_run_is_resumed_bit_for_bit_and_can_be_replayed(poke, name, capsys):
    if "compiled" in name and shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler")
    assert_a_killed_run_goes_on(poke, RUNS[name], capsys)
