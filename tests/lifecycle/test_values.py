"""Runs that learn values, from a replay buffer or a recording, go on as if they had never stopped."""

import json

import pytest

from poke.data import trajectories

from ..data.transitions.episodes import drawn
from ..selecting import few
from .comparing import assert_a_killed_run_goes_on
from .conftest import BATTLES, checkpoints

ANY = (
    "network=mlp",
    "network.hidden_sizes=[8]",
    "logger.tensorboard.enabled=false",
    "device=cpu",
)
PLAYED = (
    *ANY,
    "data.capacity=600",
    "data.batch_size=16",
    "data.train_freq=4",
    "data.updates=2",
    "data.warmup_steps=64",
    "eval.episodes=1",
    "trainer.max_steps=960",
    "trainer.eval_every=480",
    "checkpoint.save_every=128",
    "logger.backend_frequency=64",
)
RECORDED = (
    *ANY,
    f"data.path={BATTLES}",
    "data.batch_size=64",
    "trainer.max_steps=120",
    "trainer.eval_every=40",
    "checkpoint.save_every=30",
    "logger.backend_frequency=10",
)
RUNS = {
    # A ring that is gone round, priorities, transitions that wait, and statistics of what is seen.
    "dqn": (
        "algo=dqn",
        *PLAYED,
        "env.num_envs=2",
        "data.alpha=0.6",
        "data.n_step=3",
        "env.normalize_observation=true",
    ),
    "rainbow": (
        "algo=dqn",
        *PLAYED,
        "algo.dueling=true",
        "algo.atoms=11",
        "algo.noisy=true",
        "data.alpha=0.6",
        "data.n_step=3",
    ),
    "sac": ("algo=sac", *PLAYED),
    "td3": ("algo=td3", *PLAYED),
    "cql": ("algo=cql", *RECORDED),
    "crr": ("algo=crr", *RECORDED, "eval=values", "eval.fitted_updates=3"),
}


@pytest.mark.parametrize("name", few(RUNS, *RUNS.keys() - {"rainbow", "sac", "crr", "td3"}))
def test_a_killed_run_is_resumed_bit_for_bit_and_can_be_replayed(poke, name, capsys):
    assert_a_killed_run_goes_on(poke, RUNS[name], capsys)


def test_a_run_of_another_recording_is_refused(poke):
    for name, seed in (("a", 0), ("b", 1)):
        trajectories.write(poke.cwd / f"{name}.parquet", drawn(seed))
    small = (
        "algo=iql",
        *ANY,
        "data.batch_size=16",
        "trainer.max_steps=20",
        "checkpoint.save_every=10",
    )
    poke(*small, "data.path=a.parquet", "trainer.eval_every=10", "hydra.run.dir=run")
    (poke.cwd / "b.parquet").replace(poke.cwd / "a.parquet")
    said = poke("resume=run", "trainer.max_steps=40", expect=2)
    assert "a.parquet has changed since the run began" in said


def test_a_buffer_begins_with_a_recording(poke):
    poke("algo=ppo", *ANY, "trainer.max_steps=512", "eval.episodes=1", "hydra.run.dir=teacher")
    from poke.record import main as record

    assert (
        record(
            [
                "env=cartpole",
                f"policy={poke.cwd}/teacher",
                f"out={poke.cwd}/seen.parquet",
                "episodes=20",
            ]
        )
        == 0
    )
    known = trajectories.read(poke.cwd / "seen.parquet")
    options = [o for o in PLAYED if not o.startswith(("data.warmup", "trainer.", "checkpoint."))]
    poke(
        "algo=dqn",
        *options,
        "data.fill=seen.parquet",
        "trainer.max_steps=64",
        "trainer.eval_every=0",
        "hydra.run.dir=run",
    )
    ring = _ring(poke.cwd / "run")
    assert not known.truncated.any()  # or what that led to would be missing
    assert ring["num_appended"] == len(known) + 64 - 1  # the last decision waits for the next
    said = poke("algo=sac", *options, "data.fill=seen.parquet", "hydra.run.dir=other", expect=2)
    assert "data.fill has observations of float32 [4], the environment of float32 [3]" in said


def _ring(run_dir):
    from poke.training.checkpointing import CheckpointManager

    newest = max(checkpoints(run_dir).items())[1]
    manager = CheckpointManager(run_dir / "checkpoints", open_now=False)
    return manager.load(newest).components["source"]["ring"]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (("algo=iql",), "data.path must be given"),
        (
            ("algo=bc", "data=replay"),
            "data=replay plays an environment: add one, as in env=cartpole",
        ),
        (("algo=iql", "data=replay", "env=cartpole"), "algo=iql learns from recorded transitions"),
        (("algo=cql", "data=sample"), "algo=cql learns from recorded transitions"),
        (("algo=bc", "data=replay", "env=cartpole"), "algo=bc learns from demonstrations"),
        (("algo=ppo", "data=replay"), "algo=ppo learns from its own experience"),
        (("algo=dqn", "data.capacity=10"), "data.capacity=10 holds no batch of data.batch_size=64"),
        (("algo=dqn", "env=pendulum"), "algo=dqn judges the actions of one choice"),
        (("algo=sac", "env.action_bounds=clip"), "algo=sac needs actions within bounds"),
        (("algo=dqn", "network=auto", "network.memory=gru"), "leave out network.memory"),
        (("algo=bc", "data.filter=worst"), "data.filter must be winners, or best:SHARE"),
        (("algo=bc", "eval=values"), "eval=values judges by recorded transitions"),
    ],
)
def test_what_does_not_go_together_is_answered_in_one_line(poke, given, line):
    said = poke(*given, "hydra.run.dir=run", expect=2)
    assert line in said
    assert len(said.splitlines()) == 1
    assert not (poke.cwd / "run").exists()


def test_run_json_says_what_was_learned_from(poke):
    poke(*RUNS["crr"], "trainer.max_steps=20", "hydra.run.dir=run")
    about = json.loads((poke.cwd / "run" / "run.json").read_text())
    assert str(BATTLES) in json.dumps(about["data"])
    assert {"val/fitted_value", "val/td_error", "val/q_gap", "val/accuracy"} <= about[
        "final"
    ].keys()
