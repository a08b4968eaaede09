"""What logging costs, beside its peers: `python benchmarks/metrics_logging.py` (extra `bench`).

Ten scalars a call, csv and TensorBoard, a row every 100 calls; one torch thread. The contenders take
turns in short blocks, so that a busy machine slows them alike; a ratio is the median over rounds of
a contender's time over that of `dict.update` with the same ten values in the same round.
"""

from __future__ import annotations

import argparse
import csv
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.tensorboard import SummaryWriter

from poke.training.logging import MetricsLogger
from poke.training.writers import CsvWriter, TensorBoardWriter

NUM_SCALARS = 10
EVERY = 100
FLOATS = {f"metric_{i}": 0.1234567 * (i + 1) for i in range(NUM_SCALARS)}
TENSORS = {name: torch.tensor(value) for name, value in FLOATS.items()}


class Limit:
    """What nobody can beat: a dict takes the values."""

    name = "dict.update"

    def __init__(self, folder, metrics):
        self.metrics = metrics
        self.taken = {}

    def run(self, steps):
        update, metrics = self.taken.update, self.metrics
        for _ in steps:
            update(metrics)


class Poke:
    """MetricsLogger with CsvWriter and TensorBoardWriter."""

    name = "poke"

    def __init__(self, folder, metrics):
        self.metrics = metrics
        self.writers = [
            CsvWriter(folder / "metrics.csv"),
            TensorBoardWriter(folder / "tensorboard"),
        ]
        self.logger = MetricsLogger(backends=self.writers, backend_frequency=EVERY)

    def run(self, steps):
        log, metrics = self.logger.log, self.metrics
        for step in steps:
            log(metrics, step)


class Hanging:
    """A sink behind a network that does not answer: every call takes a minute."""

    in_background = True

    def write(self, metrics, step, category):
        time.sleep(60)

    def flush(self):
        pass

    def close(self):
        pass

    def get_state(self):
        return {}

    def set_state(self, state):
        pass


class ItemAlone:
    """What reading ten tensors costs by itself."""

    name = "[value.item() for value in ...] alone"

    def __init__(self, folder, metrics):
        self.metrics = metrics

    def run(self, steps):
        metrics = self.metrics
        for _ in steps:
            [value.item() for value in metrics.values()]


class StableBaselines3:
    """Its Logger: record each name, dump every 100 calls to csv and TensorBoard."""

    name = "SB3 Logger (csv + TensorBoard)"

    def __init__(self, folder, metrics):
        from stable_baselines3.common.logger import CSVOutputFormat, Logger, TensorBoardOutputFormat

        formats = [CSVOutputFormat(str(folder / "p.csv")), TensorBoardOutputFormat(str(folder))]
        self.logger = Logger(str(folder), formats)
        self.metrics = metrics
        self.as_float = metrics is TENSORS  # it takes a tensor for a histogram

    def run(self, steps):
        for step in steps:
            for name, value in self.metrics.items():
                self.logger.record(name, float(value) if self.as_float else value)
            if step % EVERY == 0:
                self.logger.dump(step)


class LightningCsv:
    """Its CSVLogger, which flushes every 100 calls."""

    name = "Lightning CSVLogger (csv)"

    def __init__(self, folder, metrics):
        from lightning.pytorch.loggers import CSVLogger

        self.logger = CSVLogger(str(folder), flush_logs_every_n_steps=EVERY)
        self.metrics = metrics

    def run(self, steps):
        for step in steps:
            self.logger.log_metrics(self.metrics, step)


class Summary:
    """torch's SummaryWriter, a scalar at a time, every step."""

    name = "SummaryWriter every step (TensorBoard)"

    def __init__(self, folder, metrics):
        self.writer = SummaryWriter(str(folder))
        self.metrics = metrics

    def run(self, steps):
        for step in steps:
            for name, value in self.metrics.items():
                self.writer.add_scalar(name, value, step)


class Wandb:
    """W&B offline, every step."""

    name = "W&B offline every step"

    def __init__(self, folder, metrics):
        import wandb

        os.environ["WANDB_SILENT"] = "true"
        self.run_ = wandb.init(mode="offline", dir=str(folder), project="bench")
        self.metrics = metrics

    def run(self, steps):
        for _ in steps:
            self.run_.log(self.metrics)


# Calls a block: long enough to flush several times, short enough to take turns.
PEERS = {StableBaselines3: 1000, LightningCsv: 400, Summary: 100, Wandb: 100}


def time_in_turns(folder, metrics, calls, rounds):
    """Return each contender's seconds a call, one a round, by name."""
    contenders = {}
    for kind, count in {Limit: 20_000, Poke: 5_000, **calls}.items():
        place = folder / f"{kind.__name__}-{id(metrics)}"
        place.mkdir()
        try:
            contenders[kind.name] = (kind(place, metrics), count)
        except ImportError as error:
            print(f"{kind.name} is left out: {error}")
    seconds = {name: [] for name in contenders}
    for block in range(rounds + 1):
        for name, (contender, count) in contenders.items():
            steps = range(block * count + 1, (block + 1) * count + 1)
            start = time.perf_counter()
            contender.run(steps)
            if block:  # the first one warms up
                seconds[name].append((time.perf_counter() - start) / count)
    return seconds


def ratios(seconds, limit=Limit.name):
    """Return the median over rounds of each contender's time over the limit's."""
    return {
        name: statistics.median(a / b for a, b in zip(times, seconds[limit], strict=True))
        for name, times in seconds.items()
    }


def time_single_calls(folder, metrics, count):
    """Return the seconds of single calls, sorted, less what reading the clock takes."""
    clock = time.perf_counter_ns
    logger = Poke(folder, metrics).logger
    reading = statistics.median(-(clock() - clock()) for _ in range(10_000))
    times = []
    for step in range(1, count + 1):
        start = clock()
        logger.log(metrics, step)
        times.append(clock() - start - reading)
    return sorted(time_ns / 1e9 for time_ns in times[EVERY:])


def time_late_names(folder, num_rows=20_000, every=20):
    """Return the seconds that rows take in CsvWriter, and the slowest of them, by whether their names come late.

    Every row tells a loss and the newest name, a new one every so many rows; or all names are in the
    file before the first.
    """
    found = {}
    for is_late in (False, True):
        writer = CsvWriter(folder / f"late-{is_late}.csv")
        if not is_late:
            names = [f"name_{number}" for number in range(num_rows // every)]
            writer.write({"loss": 0.0, **dict.fromkeys(names, 0.0)}, 0, "train")
        seconds = []
        for step in range(1, num_rows):
            row = {"loss": step / 7, f"name_{step // every}": step / 3}
            start = time.perf_counter()
            writer.write(row, step, "train")
            seconds.append(time.perf_counter() - start)
        writer.close()
        found[is_late] = sum(seconds), max(seconds)
    return found


def time_tensorboard_flush(folder, rounds):
    """Return the median ratio of one flush of ten scalars, ours over SummaryWriter's."""
    ours, theirs = TensorBoardWriter(folder / "ours"), SummaryWriter(str(folder / "theirs"))
    found = []
    for step in range(rounds):
        start = time.perf_counter()
        ours.write(FLOATS, step, "train")
        ours.flush()
        middle = time.perf_counter()
        for name, value in FLOATS.items():
            theirs.add_scalar(name, value, step)
        theirs.flush()
        found.append((middle - start, time.perf_counter() - middle))
    a, b = (statistics.median(column) for column in zip(*found, strict=True))
    return a, b


def time_lost_to_a_hanging_sink(folder, rounds, steps=1000):
    """Return what a sink that hangs adds to logging, as a share of a step of about a millisecond, one a round.

    The step is a product of matrices. Two loggers, one with such a sink, take turns; the first rows, with which the
    sink's thread starts, are not counted.
    """
    weights = torch.randn(384, 384)
    loggers = {}
    for name, more in {"without": [], "with": [Hanging()]}.items():
        backends = [
            CsvWriter(folder / name / "metrics.csv"),
            TensorBoardWriter(folder / name),
            *more,
        ]
        loggers[name] = MetricsLogger(backends=backends, backend_frequency=EVERY, close_seconds=0)
    shares = []
    for block in range(rounds + 1):
        spent, working = dict.fromkeys(loggers, 0.0), 0.0
        order = sorted(loggers, reverse=bool(block % 2))
        for step in range(block * steps + 1, (block + 1) * steps + 1):
            for name in order:
                start = time.perf_counter()
                weights @ weights
                middle = time.perf_counter()
                loggers[name].log(FLOATS, step)
                working += (middle - start) / len(loggers)
                spent[name] += time.perf_counter() - middle
        if block:
            shares.append((spent["with"] - spent["without"]) / (working + spent["without"]))
    for logger in loggers.values():
        logger.close()
    return shares


def logging_share(overrides):
    """Return the share of a behaviour-cloning run spent in logging, by its own metrics.csv."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "poke.train", "algo=bc", *overrides]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        (path,) = Path(folder).glob("outputs/*/*/metrics.csv")
        with open(path, newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["time/log_fraction"]]
    shares = [float(row["time/log_fraction"]) for row in rows]
    seconds = [1 / float(row["time/steps_per_second"]) for row in rows[1:]]
    return sum(a * b for a, b in zip(shares[1:], seconds, strict=True)) / sum(seconds)


def report(name, value, target):
    print(f"{name:58} {value:>16} {target:>12}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--train", nargs="*", metavar="KEY=VALUE", help="time a run too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        floats = time_in_turns(folder, FLOATS, PEERS, options.rounds)
        tensors = time_in_turns(
            folder,
            TENSORS,
            {ItemAlone: 5000, StableBaselines3: 400, LightningCsv: 400},
            options.rounds,
        )
        singles = time_single_calls(folder / "singles", FLOATS, 100_000)
        num_rows_bytes = (folder / "singles" / "metrics.csv").stat().st_size
        ours, theirs = time_tensorboard_flush(folder, 500)
        lost = time_lost_to_a_hanging_sink(folder / "hanging", options.rounds)
        late = []
        for number in range(3):
            (folder / f"late-{number}").mkdir()
            late.append(time_late_names(folder / f"late-{number}"))
    limit = statistics.median(floats[Limit.name])
    print(f"{'10 scalars a call':58} {'measured':>16} {'target':>12}")
    print(f"{Limit.name:58} {limit * 1e6:13.2f} us")
    for name, ratio in ratios(floats).items():
        if name != Limit.name:
            report(f"floats: {name}", f"{ratio:.2f}x", "<= 5x" if name == Poke.name else "")
    for name, ratio in ratios(tensors).items():
        if name != Limit.name:
            target = "<= 25x" if name == Poke.name else ""
            report(f"0-dim CPU tensors: {name}", f"{ratio:.1f}x", target)
    report("median call", f"{statistics.median(singles) / limit:.2f}x", "<= 2.5x")
    report("99.9th percentile", f"{singles[int(len(singles) * 0.999)] * 1e6:.0f} us", "<= 300 us")
    report(
        f"TensorBoard flush of 10 / SummaryWriter ({theirs * 1e6:.0f} us)",
        f"1/{theirs / ours:.1f}",
        "<= 1/8",
    )
    report(
        "time lost to a sink that hangs, of a step",
        f"{statistics.median(lost):.2%}",
        "<= 1 %",
    )
    ratio = statistics.median(times[True][0] / times[False][0] for times in late)
    report(f"csv, 1,000 late names / known ({late[0][False][0]:.2f} s)", f"{ratio:.2f}x", "<= 3x")
    worst = statistics.median(times[True][1] for times in late)
    report("csv, slowest row of these", f"{worst * 1e3:.1f} ms", "<= 20 ms")
    report("csv bytes a step", f"{num_rows_bytes / 100_000:.1f}", "<= 6")
    if options.train is not None:
        share = logging_share(options.train)
        report("share of a behaviour-cloning run", f"{share:.2%}", "<= 2 %")


if __name__ == "__main__":
    main()
