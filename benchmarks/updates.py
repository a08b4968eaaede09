"""How many updates a second do offline algorithms make beside d3rlpy's?

    python benchmarks/updates.py --peers PYTHON               # PYTHON: one that has d3rlpy
    python benchmarks/updates.py --peers PYTHON --rounds 7 --only cql

The same rows for all: 50,000 made-up decisions, 17 numbers seen, one choice of 6 (bc, cql) or 6 numbers (iql). Batches
of 256, layers of 256 and 256, as many critics, one thread; a round is every contestant once in a process of its own,
in turns. Ours train by the runner, with logging and checkpoints; counted is processor time from the first update to
the last. Rows go to `results/updates.csv`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rows import write

ROWS, SEEN, ACTIONS, EPISODE = 50_000, 17, 6, 500
LEARNERS = {
    "bc": (
        "algo=bc",
        "data=file",
        "algo.label_smoothing=0",
        "algo.weight_decay=0",
        "network=auto256",
    ),
    "cql": ("algo=cql", "algo.critics.num=2"),
    "iql": ("algo=iql", "algo.critics.num=2"),
}


def made_up(numbers: bool) -> dict:
    import numpy as np

    rng = np.random.default_rng(0)
    action = rng.uniform(-1, 1, (ROWS, ACTIONS)).astype(np.float32)
    ends = np.arange(1, ROWS + 1) % EPISODE == 0
    return {
        "observation": rng.standard_normal((ROWS, SEEN)).astype(np.float32),
        "action": action if numbers else rng.integers(0, ACTIONS, ROWS),
        "reward": rng.standard_normal(ROWS).astype(np.float32),
        "terminated": ends,
        "truncated": np.zeros(ROWS, bool),
    }


def ours(name: str, updates: int, folder: Path) -> float:
    import numpy as np

    from poke.config import composing
    from poke.run.experiment import Experiment

    arrays = made_up(name == "iql")
    np.savez(folder / "data.npz", episode=np.arange(ROWS) // EPISODE, **arrays)
    overrides = [*LEARNERS[name], f"data.path={folder / 'data.npz'}", "device=cpu"]
    overrides += ["data.val_fraction=0", "data.batch_size=256", "network.hidden_sizes=[256,256]"]
    overrides += [f"trainer.max_steps={updates}", "trainer.eval_every=0"]
    overrides += ["~eval", "checkpoint.monitor=train/loss"]
    plain = composing.to_plain(composing.compose("train", overrides))
    experiment = Experiment(plain, folder / "run")
    began = time.process_time()
    experiment.trainer.fit()
    seconds = time.process_time() - began
    experiment.close()
    return updates / seconds


def d3rlpys(name: str, updates: int, folder: Path) -> float:
    import logging

    import d3rlpy
    import numpy as np
    import torch

    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    arrays = made_up(name == "iql")
    action = arrays["action"]
    data = d3rlpy.dataset.MDPDataset(
        arrays["observation"],
        action[:, None] if action.ndim == 1 else action,
        arrays["reward"][:, None],
        arrays["terminated"].astype(np.float32),
        arrays["truncated"].astype(np.float32),
    )
    factory = d3rlpy.models.VectorEncoderFactory([256, 256])
    algos = d3rlpy.algos
    config = {
        "bc": lambda: algos.DiscreteBCConfig(batch_size=256, encoder_factory=factory),
        "cql": lambda: algos.DiscreteCQLConfig(
            batch_size=256, encoder_factory=factory, n_critics=2, target_update_interval=500
        ),
        "iql": lambda: algos.IQLConfig(
            batch_size=256,
            actor_encoder_factory=factory,
            critic_encoder_factory=factory,
            value_encoder_factory=factory,
            n_critics=2,
        ),
    }[name]()
    learner = config.create(device=False)
    began = time.process_time()
    learner.fit(
        data,
        n_steps=updates,
        n_steps_per_epoch=updates,
        logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
        show_progress=False,
    )
    return updates / (time.process_time() - began)


def child(python: str, which: str, name: str, updates: int) -> float:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [python, __file__, "child", which, name, str(updates)]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **threads}
    )
    return float(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    if sys.argv[1:2] == ["child"]:
        _, _, which, name, updates = sys.argv
        with tempfile.TemporaryDirectory() as folder:
            learn = ours if which == "poke" else d3rlpys
            print(json.dumps(learn(name, int(updates), Path(folder))))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--peers", required=True, help="a Python that has d3rlpy")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=2_000)
    parser.add_argument("--only", nargs="*", default=[*LEARNERS], choices=[*LEARNERS])
    arguments = parser.parse_args()
    rows = []
    for number in range(arguments.rounds):
        for name in arguments.only:
            pair = [("poke", sys.executable), ("d3rlpy", arguments.peers)]
            for which, python in pair if number % 2 == 0 else reversed(pair):
                rate = child(python, which, name, arguments.updates)
                rows.append(
                    {"algorithm": name, "learner": which, "round": number, "rate": round(rate, 1)}
                )
                print(rows[-1], flush=True)
    write("updates", rows)
    for name in arguments.only:
        found = {
            which: [r["rate"] for r in rows if (r["algorithm"], r["learner"]) == (name, which)]
            for which in ("poke", "d3rlpy")
        }
        ratios = [a / b for a, b in zip(found["poke"], found["d3rlpy"], strict=True)]
        rates = {which: statistics.median(values) for which, values in found.items()}
        print(
            f"{name}: {rates['poke']:.0f} and {rates['d3rlpy']:.0f} updates a second of processor time, "
            f"{statistics.median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
