"""data=ray_rollout on a cluster of its own: actors are processes, which die, are replaced, and end with the run."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import account, assert_gone, kill_at_step, rows

pytestmark = pytest.mark.slow

# Says which process it is in, and how many threads that has. In the folder `dies` one process dies, once, in the middle
# of its second block.
MORTAL = """
import os, pathlib
import gymnasium as gym
import numpy as np
import torch

class Mortal(gym.Env):
    observation_space = gym.spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        (self.folder / str(os.getpid())).write_text(str(torch.get_num_threads()))
        self.count = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.normal(size=3).astype(np.float32), {}

    def step(self, action):
        self.count += 1
        if self.count == 24 and self.folder.name == "dies":
            try:
                (self.folder / "died").touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os._exit(3)
        seen = self.np_random.normal(size=3).astype(np.float32)
        return seen, float(seen[action]), bool(self.np_random.random() < 0.1), False, {}

gym.register("Mortal-v0", Mortal)
"""
SHORT = (
    "algo=ppo",
    "algo.minibatch_size=32",
    "algo.lr_schedule=constant",
    "data=ray_rollout",
    "data.num_steps=16",
    "env=gym",
    "env.id=mortal:Mortal-v0",
    "env.num_envs=4",
    "env.normalize_observation=true",
    "env.normalize_reward=true",
    "eval.episodes=1",
    "trainer.max_steps=320",
    "trainer.eval_every=100000000",
    "checkpoint.save_every=64",
    "logger.backend_frequency=64",
    "logger.tensorboard.enabled=false",
    "device=cpu",
)


@pytest.fixture
def train(poke):
    pytest.importorskip("ray")
    (poke.cwd / "mortal.py").write_text(MORTAL)

    def arguments(run_dir, *more, folder="lives"):
        return (
            "poke.train",
            *SHORT,
            f"+env.kwargs.folder={folder}",
            f"hydra.run.dir={run_dir}",
            *more,
        )

    poke.arguments = arguments
    return poke


def processes(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir() if path.name.isdigit()]


def test_one_seed_gives_one_run_and_a_replay_says_that_it_is_not_exact(train):
    said = [train(*train.arguments(name, "torch_threads=2")) for name in ("a", "b")]
    first, second = (rows(train.cwd / name) for name in ("a", "b"))
    assert first == second
    assert len(first) > 5
    about = account(train.cwd / "a")
    assert (about["status"], about["exact_resume"]) == ("finished", False)
    assert "a resume begins the episodes under way anew: environments in a cluster" in said[0]
    assert "ray" not in said[0].lower()
    pids = processes(train.cwd / "lives")
    threads = sorted((train.cwd / "lives" / str(pid)).read_text() for pid in pids)
    assert threads == ["1"] * 4 + ["2"] * 2  # two actors and a learner, twice
    assert_gone(pids)
    assert "differs first at" in train("poke.verify", "a", expect=1)


def test_an_actor_that_dies_is_replaced(train):
    said = train(*train.arguments("run", folder="dies"))
    (line,) = [line for line in said.splitlines() if "was lost" in line]
    assert line.startswith("actor ")
    assert "raylet" not in said
    about = account(train.cwd / "run")
    assert (about["status"], about["step"]) == ("finished", 320)
    told = [row["train/actors_replaced"] for row in rows(train.cwd / "run") if "train/loss" in row]
    assert float(told[0]) == 0
    assert float(told[-1]) == 1
    assert_gone(processes(train.cwd / "dies"))


def test_a_signal_ends_the_actors_too_and_the_run_goes_on_with_other_episodes(train):
    process = train.start(*train.arguments("run", "trainer.max_steps=100000000"))
    kill_at_step(process, train.cwd / "run", 256, signal.SIGINT)
    assert process.returncode == 130
    assert_gone(processes(train.cwd / "lives"))
    about = account(train.cwd / "run")
    assert about["status"] == "interrupted"
    train("poke.train", "resume=run", f"trainer.max_steps={about['step'] + 320}")
    assert account(train.cwd / "run")["status"] == "finished"
    train("poke.train", "fork=run", f"trainer.max_steps={about['step'] + 640}", "data.num_actors=4")


def test_without_ray_it_says_what_to_install(tmp_path):
    code = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'ray' else find(name, *rest)\n"
        "from poke.train import main\n"
        "status = main(['algo=ppo', 'data=ray_rollout'])\n"
        "sys.exit(99 if 'torch' in sys.modules else status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.strip() == "poke: data=ray_rollout needs ray: pip install 'poke[ray]'"


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_a_place_where_no_cluster_is_is_answered_in_one_line(train, address):
    said = train(*train.arguments("run", f"data.address={address}"), expect=2)
    (line,) = said.splitlines()
    assert line.startswith(f"poke: data.address={address}: ")
