"""How fast is behaviour cloning (200k x 128, MLP 256x256, batch 256), beside a bare loop and Lightning, in one run?

    python benchmarks/bc.py             # needs poke[bench]

Ours runs through the runner with logging and checkpoints on; `bare` is a tuned loop over tensors in memory; `lightning`
is its Trainer with a DataLoader. One thread each, taken in turns, in samples a second of processor time.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from poke.config import composing
from poke.data import trajectories
from poke.run.experiment import Experiment

ROWS, SIZE, ACTIONS, BATCH = 200_000, 128, 10, 256


def record(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Write random demonstrations and return them."""
    rng = np.random.default_rng(0)
    observation = rng.normal(size=(ROWS, SIZE)).astype(np.float32)
    action = rng.integers(ACTIONS, size=ROWS)
    length = 100
    data = trajectories.Trajectories(
        observation=observation,
        action=action,
        action_mask=None,
        reward=np.zeros(ROWS, np.float32),
        terminated=np.arange(ROWS) % length == length - 1,
        truncated=np.zeros(ROWS, np.bool_),
        episode=np.arange(ROWS) // length,
        player=np.zeros(ROWS, np.int8),
        timestep=(np.arange(ROWS) % length).astype(np.int32),
        outcome=np.zeros(ROWS, np.int8),
        metadata={
            "observation": {"dtype": "float32", "shape": [SIZE]},
            "action": {"kind": "discrete", "num_actions": ACTIONS},
        },
    )
    trajectories.write(path, data, compression_level=1)
    return torch.from_numpy(observation), torch.from_numpy(action)


def ours(path: Path, num_updates: int) -> Callable[[], None]:
    overrides = [
        "algo=bc",
        "algo.label_smoothing=0",
        "data=file",
        f"data.path={path}",
        "network=mlp",
        "~eval",
    ]
    overrides += [
        f"data.batch_size={BATCH}",
        "data.val_fraction=0.01",
        "checkpoint.monitor=train/loss",
    ]
    overrides += [f"trainer.max_steps={num_updates}", "checkpoint.save_every=1000"]
    folder = tempfile.TemporaryDirectory()
    experiment = Experiment(
        composing.to_plain(composing.compose("train", overrides)), Path(folder.name)
    )

    def run() -> None:
        experiment.trainer.fit()
        experiment.close()
        folder.cleanup()

    return run


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(SIZE, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, ACTIONS)
    )


def bare(data: tuple[torch.Tensor, torch.Tensor], num_updates: int) -> Callable[[], None]:
    model = network()
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, fused=True)

    def run() -> None:
        order = torch.randperm(ROWS)
        for i in range(num_updates):
            index = order[i * BATCH % (ROWS - BATCH) :][:BATCH]
            logits = model(data[0][index])
            loss = nn.functional.cross_entropy(logits, data[1][index])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()

    return run


def lightning(data: tuple[torch.Tensor, torch.Tensor], num_updates: int) -> Callable[[], None]:
    import lightning as L

    class Clone(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = network()

        def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
            logits = self.model(batch[0])
            loss = nn.functional.cross_entropy(logits, batch[1])
            self.log("loss", loss)
            self.log("accuracy", (logits.argmax(1) == batch[1]).float().mean())
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=1e-3, fused=True)

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    folder = tempfile.TemporaryDirectory()
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(*data), batch_size=BATCH, shuffle=True
    )
    trainer = L.Trainer(
        max_steps=num_updates,
        accelerator="cpu",
        gradient_clip_val=1.0,
        default_root_dir=folder.name,
        logger=L.pytorch.loggers.CSVLogger(folder.name),
        log_every_n_steps=100,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    model = Clone()
    return lambda: trainer.fit(model, loader)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--updates", type=int, default=2_000, help="of each side in each round")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.parquet"
        data = record(path)
        sides: dict[str, Callable[[], Callable[[], None]]] = {
            "poke": lambda: ours(path, given.updates),
            "bare": lambda: bare(data, given.updates),
            "lightning": lambda: lightning(data, given.updates),
        }
        rates: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(given.rounds):
            for name, prepare in sides.items():
                run = prepare()
                torch.set_num_threads(1)
                begun = time.process_time()
                with contextlib.redirect_stdout(io.StringIO()):
                    run()
                rates[name].append(given.updates * BATCH / (time.process_time() - begun))
    for name, measured in rates.items():
        ratios = [ours / theirs for ours, theirs in zip(rates["poke"], measured, strict=True)]
        print(
            f"{name:10} {statistics.median(measured):9.0f} samples/s   "
            f"poke / {name} {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
