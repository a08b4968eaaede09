"""Is what is learned from recordings better than what was recorded? Seeds of each algorithm on one file, peers beside.

    python benchmarks/offline.py cartpole --seeds 5 --peers PYTHON     # PYTHON: one that has d3rlpy
    python benchmarks/offline.py nim --seeds 5
    python benchmarks/offline.py lunarlander --seeds 5                 # needs poke[box2d]
    python benchmarks/offline.py expert --seeds 5                      # CartPole, nothing but the good player
    python benchmarks/offline.py hopper --seeds 5 --peers PYTHON       # needs poke[mujoco]
    python benchmarks/offline.py battles --seeds 1                     # needs poke[showdown]

Recordings are of a player that plays well and of one that is wrong in one way and always (`recorded/players.py`), in
shares of the decisions; of Hopper, of the policies that a PPO run left on its way. Of each run: the mean return of 100
episodes by the most probable actions at the end (of battles the share won of 1,000 against SimpleHeuristics), and the
updates it took. Rows go to `results/offline_TASK.csv`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from rows import write

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))


@dataclass(frozen=True)
class Task:
    """What is recorded, what learns from it, and with which values."""

    id: str  # of the environment
    players: str  # prefix of its rules in `recorded/players.py`
    decisions: int
    share: float  # of the decisions, the good player's
    updates: int
    common: tuple[str, ...]
    algorithms: dict[str, tuple[str, ...]]
    peers: tuple[str, ...] = ()
    episodes: int = 100  # that measure a run
    peer_alphas: tuple[float, ...] = field(default=(0.1, 1.0, 4.0))


# Peers learn from every episode: here nothing is held out either.
COMMON = (
    *("network=mlp", "network.hidden_sizes=[256,256]", "network.activation=relu"),
    "data.val_fraction=0",
)
CLONES = {
    "bc": ("algo=bc", "data=file", "algo.label_smoothing=0", "algo.weight_decay=0"),
    "bc best 10 %": (
        *("algo=bc", "data=file", "algo.label_smoothing=0", "algo.weight_decay=0"),
        "data.filter=best:0.1",
    ),
}
SQUASHED = ("data.action_bounds=squash", "env.action_bounds=squash")
TASKS = {
    "cartpole": Task(
        "CartPole-v1",
        "cartpole",
        20_000,
        0.1,
        6_000,
        COMMON,
        {
            **CLONES,
            "cql": ("algo=cql",),
            "iql": ("algo=iql",),
            "crr": ("algo=crr", "algo.filter=binary"),
        },
        peers=("bc", "bcq", "cql"),
    ),
    "expert": Task(
        "CartPole-v1",
        "cartpole",
        20_000,
        1.0,
        6_000,
        COMMON,
        {"bc": CLONES["bc"]}
        | {name: (f"algo={name}",) for name in ("cql", "iql", "awr")}
        | {
            f"crr {filter}": ("algo=crr", f"algo.filter={filter}")
            for filter in ("binary", "exponential")
        },
    ),
    "lunarlander": Task(
        "LunarLander-v3",
        "lander",
        50_000,
        0.2,
        10_000,
        COMMON,
        {**CLONES, "cql": ("algo=cql",), "iql": ("algo=iql",)},
    ),
    "hopper": Task(
        "Hopper-v5",
        "hopper",
        0,
        0.0,
        30_000,
        (*COMMON, "data.normalize_observation=true"),
        {
            "bc": ("algo=bc", "data=transitions", "algo.loss=mse"),
            "iql": ("algo=iql", "algo.reward_scale=0.3"),  # as its authors': returns up to 1,000
            "td3bc": ("algo=td3bc", *SQUASHED, "algo.critics.layer_norm=true"),
            "rebrac": ("algo=rebrac", *SQUASHED, "algo.bc_weight=1"),
        },
        peers=("mse", "iql", "rebrac"),
    ),
    "nim": Task(
        "recorded.nim:Nim-v0",
        "nim",
        20_000,
        0.2,
        6_000,
        COMMON,
        {
            **CLONES,
            "bc winners": (*CLONES["bc"], "data.filter=winners"),
            # Two-hot, near the authors' categorical ones: where everybody does the same, what is better than that by
            # mistake, because nobody did it, keeps a binary filter shut for good.
            "crr binary": (
                *("algo=crr", "algo.filter=binary", "algo.critics.bins=41"),
                *("algo.critics.low=-2", "algo.critics.high=2"),
            ),
            "crr exponential": ("algo=crr", "algo.filter=exponential", "algo.temperature=0.2"),
            "cql": ("algo=cql",),
            "iql": ("algo=iql",),
            "awr": ("algo=awr",),
        },
        episodes=1_000,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("task", choices=[*TASKS, "battles"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="*", help="algorithms")
    parser.add_argument("--updates", type=int)
    parser.add_argument("--peers", type=Path, help="a python that has d3rlpy")
    parser.add_argument("--runs", type=Path, default=Path("outputs/offline"))
    parser.add_argument("--more", nargs="*", default=[], help="overrides of poke's runs")
    arguments = parser.parse_args()
    if arguments.task == "battles":
        from recorded.battles import measure

        rows = measure(arguments)
    else:
        rows = compare(arguments)
    write(f"offline_{arguments.task}", rows)
    show(rows)


def compare(arguments: argparse.Namespace) -> list[dict]:
    task = TASKS[arguments.task]
    updates = arguments.updates or task.updates
    rows = [] if task.players == "hopper" else players_of(task, arguments.task)
    for seed in range(arguments.seeds):
        files = recordings(task, arguments.runs / "data", seed)
        for name, overrides in task.algorithms.items():
            if arguments.only and name not in arguments.only:
                continue
            run = (
                arguments.runs
                / f"{arguments.task}-{name.replace(' ', '_').replace('%', 'percent')}-{seed}"
            )
            rows.append(
                {"task": arguments.task, "algorithm": f"poke {name}", "seed": seed}
                | train(run, task, files, updates, seed, [*overrides, *arguments.more])
            )
            print(rows[-1], flush=True)
        write(f"offline_{arguments.task}", rows)  # what is measured stays, wherever this ends
        if arguments.peers:
            for row in peers(arguments.peers, task, files, updates, seed):
                rows.append({"task": arguments.task, "seed": seed, **row})
                print(rows[-1], flush=True)
    return rows


def recordings(task: Task, folder: Path, seed: int) -> list[str]:
    """Make the files of a task and a seed, and return them."""
    if task.players != "hopper":
        return record(task, folder, seed)
    from recorded import hopper

    return hopper.record(folder, 0)  # the same for all: it takes longer than what learns from it


def record(task: Task, folder: Path, seed: int) -> list[str]:
    """Record players until they have their share of the decisions, and return the files."""
    from recorded import players

    from poke.data import trajectories
    from poke.envs.episodes import record_episodes
    from poke.envs.gym import GymEnvironment

    files = []
    for which, share in (("right", task.share), ("wrong", 1 - task.share)):
        wanted = round(task.decisions * share)
        if not wanted:
            continue
        path = folder / f"{task.players}-{which}-{wanted}-{seed}.parquet"
        files.append(str(path))
        if path.exists():
            continue
        environment = GymEnvironment(task.id, num_envs=8)
        environments = environment.make_evaluation(8)
        player = players.Player(getattr(players, f"{task.players}_{which}"), environment)
        count = max(2, wanted // 500)
        while True:  # as many episodes as have so many decisions
            found = record_episodes(
                environments, player, num_episodes=count, seed=seed, metadata={"player": which}
            )
            if len(found) >= wanted:
                break
            count = math.ceil(count * max(1.05, wanted / len(found)))
        environments.close()
        last = int(np.searchsorted(found.episode, found.episode[wanted - 1], side="right"))
        returns = np.bincount(found.episode, found.reward)
        outcome = np.sign(returns)[found.episode].astype(np.int8)  # of games that are won or lost
        whole = replace(found, outcome=outcome).select(np.arange(len(found)) < last)
        trajectories.write(path, whole)
    return files


def players_of(task: Task, name: str) -> list[dict]:
    """Return what the recorded players reach on the very episodes that runs are judged by."""
    from recorded import players

    from poke.envs.evaluation import EpisodeEvaluator
    from poke.envs.gym import GymEnvironment

    rows = []
    for which in ("right", "wrong"):
        environment = GymEnvironment(task.id, num_envs=1)
        player = players.Player(getattr(players, f"{task.players}_{which}"), environment)
        evaluator = EpisodeEvaluator(environment, episodes=task.episodes, seed=1_000_003)
        score = evaluator.evaluate(SimpleNamespace(policy=player))["return_mean"]
        told = {"task": name, "algorithm": f"the {which} player", "seed": 0, "updates": 0}
        rows.append({**told, "score": round(score, 3)})
        print(rows[-1], flush=True)
    return rows


def train(
    run: Path, task: Task, files: Sequence[str], updates: int, seed: int, overrides: Sequence[str]
) -> dict:
    """Run one run to its end, unless it has come there, and return what became of it."""
    if not score(run):
        data = "[" + ",".join(files) + "]"
        command = [sys.executable, "-m", "poke.train", *overrides, f"data.path={data}"]
        command += [
            "env=gym",
            f"env.id={task.id}",
            "eval=episodes",
            f"eval.episodes={task.episodes}",
        ]
        command += [*task.common, f"trainer.max_steps={updates}", "trainer.eval_every=0"]
        command += [f"seed={seed}", "logger.cli_frequency=0", f"hydra.run.dir={run}"]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
        }
        run.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return {"updates": updates, "score": round(score(run)["eval/return_mean"], 3)}


def score(run: Path) -> dict:
    """Return what a run has measured at its end; nothing where it did not come there."""
    told = run / "run.json"
    return json.loads(told.read_text()).get("final", {}) if told.exists() else {}


def peers(python: Path, task: Task, files: Sequence[str], updates: int, seed: int) -> list[dict]:
    """Let d3rlpy's algorithms learn from the same rows, as many updates."""
    from poke.data import trajectories

    if not task.peers:
        return []
    parts = [trajectories.read(file) for file in files]
    arrays = Path(files[0]).with_suffix(".npz")
    names = ("observation", "action", "reward", "terminated", "truncated")
    np.savez(arrays, **{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})
    command = [str(python), str(HERE / "recorded" / "d3rlpy_peers.py"), str(arrays), task.id]
    command += [str(updates), str(seed), ",".join(task.peers), ",".join(map(str, task.peer_alphas))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def show(rows: Sequence[dict]) -> None:
    by: dict[str, list[float]] = {}
    for row in rows:
        by.setdefault(row["algorithm"], []).append(row["score"])
    for name, scores in by.items():
        spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
        print(f"{name:24s} {statistics.mean(scores):9.3f} +- {spread:.3f}  of {len(scores)} seeds")


if __name__ == "__main__":
    main()
