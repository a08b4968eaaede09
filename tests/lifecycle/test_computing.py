"""Runs that compute otherwise than in float32 by turns go on as if they had never stopped."""

import shutil
import signal

import pytest

from poke.verify import main as verify

from .comparing import assert_same_run
from .conftest import PPO, account, checkpoints, wait_for

CLONE = (
    "algo=bc",
    "network=mlp",
    "network.hidden_sizes=[8]",
    "logger.tensorboard.enabled=false",
    "device=cpu",
    "trainer.max_steps=120",
    "trainer.eval_every=40",
    "checkpoint.save_every=30",
    "logger.backend_frequency=10",
)
RUNS = {
    "mixed clone": (*CLONE, "trainer.precision=bf16-mixed", "trainer.deterministic=true"),
    "mixed ppo": (*PPO, "trainer.precision=bf16-mixed"),
    "overlapping ppo": (*PPO, "data.overlap=true"),
    "overlapping, normalised, in mixed precision": (
        *(*PPO, "data.overlap=true", "trainer.precision=bf16-mixed", "env=pendulum"),
        *("env.num_envs=2", "env.normalize_observation=true", "env.normalize_reward=true"),
    ),
    "compiled clone": (*CLONE, "trainer.compile=true"),
}


@pytest.mark.filterwarnings(
    "ignore:.*torch.jit:DeprecationWarning"
)  # torch's own, where it compiles
@pytest.mark.parametrize("name", RUNS)
def test_a_killed_run_is_resumed_bit_for_bit_and_can_be_replayed(poke, name, capsys):
    if "compiled" in name and shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler")
    process = poke.start(*RUNS[name], "hydra.run.dir=run")
    wait_for(lambda: len(checkpoints(poke.cwd / "run")) > 2, process, seconds=300)
    process.signal(signal.SIGKILL)
    process.wait()
    poke("resume=run")
    poke(*RUNS[name], "hydra.run.dir=whole")
    assert_same_run(poke.cwd / "run", poke.cwd / "whole")
    assert account(poke.cwd / "run")["exact_resume"]
    assert verify([str(poke.cwd / "run")]) == 0
    assert "bit-equal" in capsys.readouterr().out
