import signal
from pathlib import Path

import pytest

from poke.data import trajectories

from ..selecting import few
from .conftest import account, kill_at_step, rows
from .test_train import assert_same_run, last_checkpoint

SHORT = (
    "algo=ppo",
    "algo.minibatch_size=64",
    "algo.num_epochs=2",
    "data.num_steps=64",
    "env.num_envs=2",
    "eval.episodes=2",
    "trainer.max_steps=6000",
    "trainer.eval_every=2500",
    "checkpoint.save_every=1000",
    "logger.backend_frequency=256",
    "logger.tensorboard.enabled=false",
)

# Everything an environment may hold: arrays, counters, a queue, and two random generators.
WALK = """
from collections import deque
import gymnasium as gym
import numpy as np

class Walk(gym.Env):
    observation_space = gym.spaces.Box(-np.inf, np.inf, (3,), np.float64)
    action_space = gym.spaces.Discrete(3)

    def __init__(self):
        self.wind = np.random.default_rng(5)
        self.history = deque(maxlen=3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position = self.np_random.normal(size=3)
        self.history.extend([0.0] * 3)
        self.count = 0
        return self.position.copy(), {}

    def step(self, action):
        self.count += 1
        self.position[action] += self.wind.normal() - np.sign(self.position[action])
        self.history.append(float(-np.abs(self.position).sum()))
        ended = bool(self.np_random.random() < 0.03)
        return self.position.copy(), sum(self.history), ended, self.count >= 40, {}

gym.register("Walk-v0", Walk)
"""


def arguments(env: str) -> tuple[str, ...]:
    return (
        (*SHORT, "env=cartpole")
        if env == "cartpole"
        else (*SHORT, "env=gym", "env.id='walk:Walk-v0'")
    )


@pytest.fixture
def walk(poke) -> None:
    (poke.cwd / "walk.py").write_text(WALK)


@pytest.mark.parametrize("env", few(["cartpole", "walk"], "cartpole"))
@pytest.mark.usefixtures("walk")
def test_killed_and_resumed_it_is_as_if_it_had_never_stopped(poke, env):
    reference = poke.cwd / "reference"
    poke("poke.train", *arguments(env), f"hydra.run.dir={reference}")
    assert account(reference)["exact_resume"] is True
    for step in (1500, 4000):
        run_dir = poke.cwd / f"killed{step}"
        process = poke.start("poke.train", *arguments(env), f"hydra.run.dir={run_dir}")
        kill_at_step(process, run_dir, step)
        assert process.returncode == -signal.SIGKILL
        poke("poke.train", f"resume={run_dir}")
        assert len(account(run_dir)["sessions"]) == 2
        assert_same_run(run_dir, reference)


def test_one_seed_gives_one_run_and_another_seed_another(poke):
    runs = {}
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        run_dir = runs[name] = poke.cwd / name
        poke(
            "poke.train",
            *SHORT,
            "trainer.max_steps=1500",
            f"seed={seed}",
            f"hydra.run.dir={run_dir}",
        )
    assert_same_run(runs["a"], runs["b"])
    assert rows(runs["a"]) != rows(runs["c"])


SECRETIVE = '''
import gymnasium as gym
import numpy as np

def make_secret():
    """State in a closure, where nobody finds it."""
    position = [0.0]
    class Secret(gym.Env):
        observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)
        action_space = gym.spaces.Box(-1, 1, (1,), np.float32)
        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            position[0] = self.np_random.normal()
            return np.array(position, np.float32), {}
        def step(self, action):
            position[0] += float(action[0])
            return np.array(position, np.float32), -abs(position[0]), False, False, {}
    return Secret()

gym.register("Secret-v0", make_secret, max_episode_steps=30)
'''


def test_environments_that_cannot_be_copied_are_restarted_and_run_json_says_so(poke):
    (poke.cwd / "secret.py").write_text(SECRETIVE)
    run_dir = poke.cwd / "run"
    overrides = (*SHORT, "env=gym", "env.id='secret:Secret-v0'", "trainer.max_steps=1024")
    poke("poke.train", *overrides, f"hydra.run.dir={run_dir}")
    assert account(run_dir)["exact_resume"] is False
    assert account(run_dir)["inexact_reason"]
    assert last_checkpoint(run_dir)["components"]["source"]["environments"]["environments"] is None
    poke("poke.train", f"resume={run_dir}", "trainer.max_steps=2048")
    assert account(run_dir)["step"] == 2048


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["env.id=CartPol-v1"], "unknown environment env.id=CartPol-v1 (did you mean CartPole-v1"),
        (["env.num_envs=0"], "env.num_envs must be >= 1, not 0"),
        (
            ["algo.minibatch_size=100"],
            "algo.minibatch_size=100 must divide env.num_envs * data.num_steps = 128",
        ),
        (["env.id=tests.nowhere:Odd-v0"], "unknown environment env.id=tests.nowhere:Odd-v0"),
        (["network=battle"], "network=battle needs observations made of Pokemon"),
    ],
)
def test_a_mistake_is_answered_in_one_line(poke, overrides, line):
    out = poke("poke.train", *SHORT, *overrides, expect=2)
    lines = [text for text in out.splitlines() if text.startswith("poke: ")]
    assert len(lines) == 1
    assert line in lines[0]
    assert "Traceback" not in out


def test_it_leaves_what_a_run_leaves(poke):
    run_dir = Path(poke.cwd / "run")
    poke("poke.train", *SHORT, "trainer.max_steps=3000", f"hydra.run.dir={run_dir}")
    written = rows(run_dir)
    assert {"train/episode_return", "train/approx_kl", "train/explained_variance"} <= written[
        -1
    ].keys() | written[-2].keys()
    evaluations = [row for row in written if "eval/return_mean" in row]
    assert [int(row["step"]) for row in evaluations] == [2560, 3072]
    for row in evaluations:
        assert (
            float(row["eval/return_min"])
            <= float(row["eval/return_mean"])
            <= float(row["eval/return_max"])
        )
    assert account(run_dir)["best"]["metric"] == "eval/return_mean"


def test_a_policy_is_recorded_cloned_and_trained_on(poke):
    teacher, clone, warm = (poke.cwd / name for name in ("teacher", "clone", "warm"))
    poke("poke.train", *SHORT, "trainer.max_steps=2560", f"hydra.run.dir={teacher}")
    record = (
        "poke.record",
        "env=cartpole",
        f"policy={teacher}",
        "episodes=12",
        "out=played.parquet",
    )
    assert "played.parquet holds 12 episodes with a mean return of" in poke(*record)
    data = trajectories.read(poke.cwd / "played.parquet")
    assert data.num_episodes == 12
    assert data.reward.sum() == len(data)
    assert (data.terminated | data.truncated).sum() == 12

    playing = ("env=cartpole", "eval=episodes", "eval.episodes=2", "network=mlp64")
    best = ("checkpoint.monitor=eval/return_mean", "checkpoint.mode=max", "trainer.max_steps=20")
    source = ("data=file", "data.path=played.parquet", "data.batch_size=16")
    poke("poke.train", "algo=bc", *source, *playing, *best, f"hydra.run.dir={clone}")
    assert account(clone)["best"]["metric"] == "eval/return_mean"

    out = poke(
        "poke.train", *SHORT, f"init_from={clone}", "trainer.max_steps=128", f"hydra.run.dir={warm}"
    )
    assert "starting from 6 weights" in out
    assert "not there, left as initialised: critic." in out


def test_a_policy_is_recorded_only_where_it_learned_to_play(poke):
    run_dir = poke.cwd / "run"
    poke("poke.train", *SHORT, "trainer.max_steps=128", f"hydra.run.dir={run_dir}")
    out = poke("poke.record", "env=acrobot", f"policy={run_dir}", "out=x.parquet", expect=2)
    assert "plays CartPole-v1, env is Acrobot-v1" in out
