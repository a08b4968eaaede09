"""Does learning from a replay buffer reach what Stable-Baselines3 does, in as many steps, and how fast is it?

    python benchmarks/off_policy.py dqn --seeds 5                     # needs poke[bench]
    python benchmarks/off_policy.py sac --seeds 5 --peers PYTHON      # PYTHON: one that has stable-baselines3
    python benchmarks/off_policy.py halfcheetah --seeds 3 --peers PYTHON    # SAC; needs poke[mujoco]

DQN on CartPole-v1 by the values of RL Baselines3 Zoo, SAC on Pendulum-v1 and HalfCheetah-v5, with equal settings:
`poke` is as conf/algo has it, `poke as sb3` leaves out what Stable-Baselines3 lacks (double Q-learning), where that
makes a difference. Of each seed, poke and its peer in turns: the mean return of evaluation episodes on the way, the
same for all, by the most probable actions; and environment steps a second of processor time, learning from the first
step to the last without evaluations, one thread each; ours through the runner, with logging and checkpoints. Rows go to
`results/off_policy_TASK.csv`, and are there from the first seed on.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from rows import write

# A peer's Python need not have poke, whose evaluation judges it.
SOURCES = Path(__file__).parent.parent / "src"
EVALUATION_SEED = 1_000_003


@dataclass(frozen=True)
class Task:
    """What is learned, by which of poke's settings and which of the peer's."""

    algorithm: str
    id: str
    steps: int
    ours: dict[str, tuple[str, ...]]
    peer: dict[str, object]
    hidden: tuple[int, ...] = (256, 256)


SAC = {
    "learning_rate": 1e-3,
    "batch_size": 256,
    "buffer_size": 100_000,
    "learning_starts": 1_000,
    "gamma": 0.99,
    "tau": 0.005,
    "train_freq": 1,
    "gradient_steps": 1,
}
TASKS = {
    "dqn": Task(
        "dqn",
        "CartPole-v1",
        50_000,
        {"poke": (), "poke as sb3": ("algo.double=false",)},
        {
            "learning_rate": 2.3e-3,
            "batch_size": 64,
            "buffer_size": 100_000,
            "learning_starts": 1_000,
            "gamma": 0.99,
            "target_update_interval": 10,
            "train_freq": 256,
            "gradient_steps": 128,
            "exploration_fraction": 0.16,
            "exploration_final_eps": 0.04,
        },
    ),
    "sac": Task("sac", "Pendulum-v1", 20_000, {"poke": ()}, SAC),
    "halfcheetah": Task(
        "sac",
        "HalfCheetah-v5",
        50_000,
        {"poke": ("env=gym", "env.id=HalfCheetah-v5", "algo.lr=3e-4", "algo.policy_lr=3e-4")},
        {**SAC, "learning_rate": 3e-4},
    ),
}


def ours(task: str, which: str, seed: int, steps: int, evaluations: int, episodes: int) -> dict:
    """Learn by poke, and return evaluations, or what it cost where there are none."""
    from poke.config import composing
    from poke.run.experiment import Experiment

    every = steps // evaluations if evaluations else 0
    given = TASKS[task]
    overrides = [f"algo={given.algorithm}", f"seed={seed}", "device=cpu", *given.ours[which]]
    # What goes by the number of steps is as of a whole run, however short this one is.
    if task == "dqn":
        overrides.append(f"algo.epsilon_steps={round(0.16 * steps)}")
    overrides += [f"trainer.max_steps={steps}", f"trainer.eval_every={every}"]
    overrides += [f"eval.episodes={episodes}"] if evaluations else ["~eval"]
    overrides += [] if evaluations else ["checkpoint.monitor=train/loss"]
    plain = composing.to_plain(composing.compose("train", overrides))
    with tempfile.TemporaryDirectory() as folder:
        experiment = Experiment(plain, Path(folder))
        cost = Cost()
        experiment.trainer.fit()
        told = cost.told(steps)
        experiment.close()
        if not evaluations:
            return told
        with open(Path(folder) / "metrics.csv", newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["eval/return_mean"]]
        return {"curve": [(int(row["step"]), float(row["eval/return_mean"])) for row in rows]}


def peer(task: str, which: str, seed: int, steps: int, evaluations: int, episodes: int) -> dict:
    """The same by Stable-Baselines3."""
    import stable_baselines3
    import torch
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env

    from poke.envs.evaluation import EpisodeEvaluator
    from poke.envs.gym import GymEnvironment

    assert which == "sb3"
    torch.set_num_threads(1)
    given = TASKS[task]
    network = {"net_arch": list(given.hidden), "activation_fn": torch.nn.ReLU}
    make = getattr(stable_baselines3, given.algorithm.upper())
    environment = make_vec_env(given.id, 1, seed=seed)
    values = {**given.peer, "policy_kwargs": network, "device": "cpu", "seed": seed}
    model = make("MlpPolicy", environment, **values)
    if not evaluations:
        cost = Cost()
        model.learn(steps)
        return cost.told(steps)
    environment_of_all = GymEnvironment(given.id, num_envs=1)
    judge = EpisodeEvaluator(environment_of_all, episodes=episodes, seed=EVALUATION_SEED)
    curve = []
    every = steps // evaluations

    class Judging(BaseCallback):
        def _on_step(self) -> bool:
            if self.num_timesteps % every == 0:
                found = judge.evaluate(SimpleNamespace(policy=Predicting(model)))
                curve.append((self.num_timesteps, found["return_mean"]))
            return True

    model.learn(steps, callback=Judging())
    return {"curve": curve}


class Predicting:
    """A model of Stable-Baselines3 as poke's evaluation plays it: on the very episodes that ours are judged by."""

    def __init__(self, model) -> None:
        self._model = model

    def initial_state(self, batch_size: int) -> None:
        return None

    def choose(self, observation, **_):
        return SimpleNamespace(action=self._model.predict(observation, deterministic=True)[0])


class Cost:
    """Counts seconds from when it is made."""

    def __init__(self) -> None:
        self._processor, self._wall = time.process_time(), time.perf_counter()

    def told(self, steps: int) -> dict[str, float]:
        return {
            "steps_per_processor_second": steps / (time.process_time() - self._processor),
            "steps_per_second": steps / (time.perf_counter() - self._wall),
        }


def child(python: str, values: dict) -> dict:
    """Run one learner in a process of its own."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [python, __file__, "child", json.dumps(values)]
    environment = {**os.environ, **threads, "PYTHONPATH": str(SOURCES)}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def compare(arguments: argparse.Namespace) -> list[dict]:
    task = TASKS[arguments.task]
    steps = arguments.steps or task.steps
    learners = [*task.ours, "sb3"]
    rows: list[dict] = []
    for seed in range(arguments.seeds):
        # Who begins changes from seed to seed.
        for which in learners if seed % 2 == 0 else reversed(learners):
            python = arguments.peers if which == "sb3" else sys.executable
            values = {"task": arguments.task, "which": which, "seed": seed, "episodes": 20}
            speed_steps = arguments.speed_steps or steps
            speed = {}
            if not arguments.no_speed:
                speed = child(python, {**values, "steps": speed_steps, "evaluations": 0})
            learned = child(python, {**values, "steps": steps, "evaluations": 5})
            one = {"task": arguments.task, "learner": which, "seed": seed}
            one |= {name: round(value, 1) for name, value in speed.items()}
            rows += [
                {**one, "step": step, "return_mean": round(score, 2)}
                for step, score in learned["curve"]
            ]
            print(rows[-1], flush=True)
        write(f"off_policy_{arguments.task}", rows)
    return rows


def show(rows: Sequence[dict]) -> None:
    """Print the last evaluations, the mean over all, and how fast each was beside the peer."""
    speeds = {}
    for which in dict.fromkeys(row["learner"] for row in rows):
        own = [row for row in rows if row["learner"] == which]
        last = {row["seed"]: row for row in own}
        ends = [row["return_mean"] for row in last.values()]
        spread = statistics.stdev(ends) if len(ends) > 1 else 0.0
        rates = [row.get("steps_per_processor_second", 0.0) for row in last.values()]
        speeds[which] = statistics.median(rates)
        overall = statistics.fmean(row["return_mean"] for row in own)
        print(
            f"{which:12s} at the end {statistics.fmean(ends):8.1f} +- {spread:.1f} of {len(ends)} "
            f"seeds, on the way {overall:8.1f}, {speeds[which]:7.0f} steps/s of processor time"
        )
    for which, speed in speeds.items() if all(speeds.values()) else ():
        print(f"{which:12s} {speed / speeds['sb3']:.2f} times sb3's steps/s")


def main() -> None:
    if sys.argv[1:2] == ["child"]:
        values = json.loads(sys.argv[2])
        learn = peer if values["which"] == "sb3" else ours
        print(json.dumps(learn(**values)))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("task", choices=sorted(TASKS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="of each run; the task's by default")
    parser.add_argument("--speed-steps", type=int, help="of the runs that are timed; as many")
    parser.add_argument("--no-speed", action="store_true", help="measure returns alone")
    parser.add_argument("--peers", default=sys.executable, help="a Python with stable-baselines3")
    show(compare(parser.parse_args()))


if __name__ == "__main__":
    main()
