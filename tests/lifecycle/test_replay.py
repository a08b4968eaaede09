"""A run that learns from a replay buffer goes on as if it had never stopped, buffer and priorities included."""

import signal

import pytest

from poke.data import trajectories
from poke.record import main as record

from .comparing import assert_same_run, last_state
from .conftest import account, checkpoints, wait_for

DQN = (
    "algo=dqn",
    "env.num_envs=2",
    "network.hidden_sizes=[8]",
    "data.capacity=700",
    "data.batch_size=16",
    "data.train_freq=4",
    "data.updates=2",
    "data.warmup_steps=100",
    "algo.epsilon_steps=500",
    "eval.episodes=1",
    "logger.tensorboard.enabled=false",
    "device=cpu",
    "trainer.max_steps=2400",
    "trainer.eval_every=800",
    "checkpoint.save_every=80",
    "logger.backend_frequency=100",
)


@pytest.mark.parametrize(
    "options",
    [
        ("data.n_step=3", "data.alpha=0.6", "env.normalize_observation=true"),
        ("env.vectorization=serial", "data.train_freq=3"),
    ],
    ids=["prioritised", "plain"],
)
def test_a_run_that_is_killed_is_resumed_bit_for_bit(poke, options):
    run = poke.cwd / "run"
    process = poke.start(*DQN, *options, "hydra.run.dir=run")
    # The buffer has been overwritten once by then, and segments have been put away.
    wait_for(lambda: max(checkpoints(run), default=0) >= 1200, process)
    process.signal(signal.SIGKILL)
    process.wait()
    poke("resume=run")
    poke(*DQN, *options, "hydra.run.dir=whole")
    assert_same_run(run, poke.cwd / "whole")
    assert account(run)["status"] == "finished"
    assert len(account(run)["sessions"]) == 2
    assert last_state(run)["source"]["ring"]["num_appended"] > 700


@pytest.mark.slow
def test_a_buffer_that_begins_with_a_recording_is_resumed_and_knows_the_recording(poke):
    poke(*DQN, "trainer.max_steps=400", "hydra.run.dir=teacher")
    path = poke.cwd / "played.parquet"
    status = record(
        ["env=cartpole", f"policy={poke.cwd / 'teacher'}", f"out={path}", "episodes=20"]
    )
    assert status == 0
    rows = len(trajectories.read(path))
    filled = (*DQN, f"data.fill={path}", "data.warmup_steps=0")
    poke(*filled, "trainer.max_steps=400", "hydra.run.dir=run")
    run = poke.cwd / "run"
    assert account(run)["data"]["rows"] == rows
    poke("resume=run", "trainer.max_steps=800")
    poke(*filled, "trainer.max_steps=800", "hydra.run.dir=whole")
    ours, theirs = (last_state(poke.cwd / name)["source"] for name in ("run", "whole"))
    assert ours["ring"]["num_appended"] == theirs["ring"]["num_appended"] >= 700
    # Another recording under its name is noticed; without it the run goes on, the buffer is its own.
    data = trajectories.read(path)
    trajectories.write(path, data.select(data.episode < 10))
    line = poke.refuse(run, "resume=run", "trainer.max_steps=900")
    assert "played.parquet has changed since the run began" in line
    assert "data.on_change=accept goes on with it" in line
    path.unlink()
    assert "played.parquet: no such file" in poke.refuse(run, "resume=run")
    poke("resume=run", "trainer.max_steps=900", "data.fill=null")
    assert account(run)["step"] >= 900
