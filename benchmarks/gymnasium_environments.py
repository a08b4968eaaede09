"""Which of Gymnasium's own environments can poke play? Each is trained for two updates, resumed for a third, evaluated,
loaded from its run directory and acted in, all by the commands and functions that a user has.

    python benchmarks/gymnasium_environments.py [--only TEXT] [--games N] [--jobs N]

Prints a table: every environment that Gymnasium registers and that can be made here (classic control, toy text, Box2D
and MuJoCo where they are installed, the Arcade Learning Environment where ale-py is). Its games have the same
observations and one row, with how many of them work. Ends with status 1 where one does not work. MuJoCo's versions
before 5 want another simulator and are left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

KINDS = ("classic_control", "toy_text", "box2d", "mujoco")
SECONDS = 900  # for one environment

SETTINGS = (
    "algo=ppo",
    "env=gym",
    "env.num_envs=2",
    "env.vectorization=serial",
    "data.num_steps=16",
    "algo.minibatch_size=16",
    "algo.num_epochs=1",
    "trainer.max_steps=64",
    "trainer.eval_every=0",
    "checkpoint.save_every=32",
    "eval.episodes=1",
    "eval.max_episode_steps=50",
    "logger.backend_frequency=1",
)


def environments() -> list[str]:
    """Return the ids that Gymnasium registers itself, the newest version of each, and those of the games."""
    import gymnasium as gym

    try:
        import ale_py

        gym.register_envs(ale_py)
    except ImportError:
        pass
    newest: dict[tuple[str | None, str], gym.envs.registration.EnvSpec] = {}
    for spec in gym.registry.values():
        where = str(spec.entry_point).partition(":")[0]
        game = spec.namespace == "ALE" and spec.version == 5
        if not game and not where.startswith(tuple(f"gymnasium.envs.{kind}" for kind in KINDS)):
            continue
        if ".mujoco." in where and (spec.version or 0) < 5:
            continue
        before = newest.get((spec.namespace, spec.name))
        if before is None or (spec.version or 0) > (before.version or 0):
            newest[spec.namespace, spec.name] = spec
    return [spec.id for spec in newest.values()]


def try_one(id: str, folder: Path) -> dict[str, Any]:
    """Train, resume, evaluate, load and act in this process, and return a row of the table."""
    import gymnasium as gym

    import poke
    from poke.envs.registration import find
    from poke.train import main

    def command(*overrides: str) -> None:
        sys.argv = ["poke.train", *overrides]
        status = main()
        assert not status, f"status {status}"

    run = folder / "run"
    command(*SETTINGS, f"env.id={id}", f"hydra.run.dir={run}")
    command(f"resume={run}", "trainer.max_steps=96")
    told = json.loads((run / "run.json").read_text())
    assert "eval/return_mean" in told["final"], "it was not evaluated"
    policy = poke.load(run)
    find(id)
    env = gym.make(id, disable_env_checker=True)
    observation, info = env.reset(seed=0)
    for _ in range(20):
        action = policy.act(observation, info=info, explore=True)
        assert env.action_space.contains(action), f"{action!r} is none of its actions"
        observation, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            observation, info = env.reset()
    env.close()
    why = told.get("inexact_reason") or "no"
    return {
        "observation": str(policy.observation_space),
        "action": str(policy.action_space),
        "exact": "yes" if told["exact_resume"] else why,
        "result": "works",
    }


def try_in_a_process(id: str) -> dict[str, Any]:
    """Return the row of an environment; where it fails, with the last line that was said."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-W", "ignore", __file__, "--one", id, folder]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return _failed(f"took longer than {SECONDS} s")
        row = Path(folder) / "row.json"
        if done.returncode == 0 and row.exists():
            return dict(json.loads(row.read_text()))
        said = (
            done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}"
        ).splitlines()
        return _failed(said[-1])


def _failed(line: str) -> dict[str, Any]:
    return {"observation": "", "action": "", "exact": "", "result": f"fails: {line}"}


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Return the rows as Markdown, the games of the Arcade Learning Environment as one."""
    lines = [
        "| environment | observation | action | exact resume | result |",
        "|---|---|---|---|---|",
    ]
    games = {id: row for id, row in rows.items() if id.startswith("ALE/")}
    shown = {id: row for id, row in rows.items() if id not in games}
    working = [row for row in games.values() if row["result"] == "works"]
    if working:
        exact = sum(row["exact"] == "yes" for row in working)
        actions = sorted({int(row["action"].split()[-1]) for row in working})
        shown[f"ALE, {len(games)} games"] = {
            "observation": working[0]["observation"],
            "action": f"one of {actions[0]} to {actions[-1]}",
            "exact": f"{exact} yes" if exact < len(games) else "yes",
            "result": f"{len(working)} work" if len(working) < len(games) else "works",
        }
    shown.update({id: row for id, row in games.items() if row["result"] != "works"})
    for id, row in shown.items():
        cells = (id, row["observation"], row["action"], row["exact"], row["result"])
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Try all, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="those whose id has this text in it")
    parser.add_argument("--games", type=int, default=None, help="at most so many of the games")
    parser.add_argument("--jobs", type=int, default=1, help="at once")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        id, folder = options.one
        row = try_one(id, Path(folder))
        (Path(folder) / "row.json").write_text(json.dumps(row))
        return 0
    ids = [id for id in environments() if options.only in id]
    games = [id for id in ids if id.startswith("ALE/")]
    ids = [id for id in ids if id not in games] + games[: options.games]
    with ThreadPoolExecutor(options.jobs) as pool:
        rows = {}
        for id, row in zip(ids, pool.map(try_in_a_process, ids), strict=True):
            rows[id] = row
            print(f"{len(rows)}/{len(ids)} {id} {row['result']}", file=sys.stderr, flush=True)
    print(table(rows))
    return int(any(row["result"] != "works" for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
