"""Does a run keep a device busy? Behaviour cloning of a large network, beside a bare loop over tensors on the device.

    python benchmarks/device.py                      # on a GPU
    python benchmarks/device.py --device cpu --updates 30 --rounds 1

Ours runs by the runner, with its logging; `bare` is a tuned loop that never reads anything back. Both at batches of
4,096 and layers of 2,048, 2,048 and 2,048, in turns, as updates a second by the wall clock after a warm-up, in float32
and in bf16-mixed. A ratio below 1 is what the runner costs, above all any needless wait for the device. Rows go to
`results/device_DEVICE.csv`.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import bc
import torch
from rows import write
from torch import nn

from poke.config import composing
from poke.run.experiment import Experiment

BATCH, HIDDEN = 4096, 2048
PRECISIONS = ("32", "bf16-mixed")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--updates", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    device, updates = torch.device(arguments.device), arguments.updates
    rates: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.parquet"
        data = tuple(part.to(device) for part in bc.record(path))
        for number in range(arguments.rounds):
            for precision in PRECISIONS:
                contestants = {
                    "poke": ours(path, device, precision, Path(folder) / f"{number}-{precision}"),
                    "bare": bare(data, device, precision),
                }
                for name, learn in contestants.items():
                    rates.setdefault((name, precision), []).append(rate(learn, updates, device))
    rows = []
    for (name, precision), found in rates.items():
        beside = rates["bare", precision]
        ratio = statistics.median(a / b for a, b in zip(found, beside, strict=True))
        one = {"contestant": name, "precision": precision}
        one |= {"updates_a_second": round(statistics.median(found), 2), "ratio": round(ratio, 3)}
        rows.append(one)
        print(one)
    what = torch.cuda.get_device_name(device) if device.type == "cuda" else "processor"
    write(f"device_{device.type}", rows, what)


def rate(learn: Callable[[int], None], updates: int, device: torch.device) -> float:
    """Return updates a second, without those of a warm-up."""
    learn(max(3, updates // 10))
    began = time.perf_counter()
    learn(updates)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return updates / (time.perf_counter() - began)


def ours(path: Path, device: torch.device, precision: str, run: Path) -> Callable[[int], None]:
    overrides = ["algo=bc", "algo.label_smoothing=0", "data=file", f"data.path={path}", "~eval"]
    overrides += ["network=mlp", f"network.hidden_sizes={[HIDDEN] * 3}", "network.activation=relu"]
    overrides += [f"data.batch_size={BATCH}", "checkpoint.monitor=train/loss", f"device={device}"]
    overrides += [f"trainer.precision={precision}", "trainer.max_steps=1_000_000"]
    overrides += ["checkpoint.save_every=0", "algo.warmup_steps=0", "logger.cli_frequency=0"]
    run.mkdir()
    experiment = Experiment(composing.to_plain(composing.compose("train", overrides)), run)

    def learn(updates: int) -> None:
        experiment.trainer.run_until(experiment.trainer.step + updates)

    return learn


def bare(data: tuple, device: torch.device, precision: str) -> Callable[[int], None]:
    observation, action = data
    sizes = [observation.shape[1], HIDDEN, HIDDEN, HIDDEN]
    layers = [m for a, b in itertools.pairwise(sizes) for m in (nn.Linear(a, b), nn.ReLU())]
    model = nn.Sequential(*layers, nn.Linear(HIDDEN, bc.ACTIONS)).to(device)
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, fused=True)
    mixed = precision == "bf16-mixed"

    def learn(updates: int) -> None:
        for _ in range(updates):
            index = torch.randint(len(action), (BATCH,), device=device)
            with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
                logits = model(observation[index])
            loss = nn.functional.cross_entropy(logits.float(), action[index])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()

    return learn


if __name__ == "__main__":
    main()
