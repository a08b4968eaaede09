"""What the contract suite of writers needs to know of each sink: how it is made, how it is read back.

Run as a script it plays one process of a run: `sinks.py write SINK FOLDER PART` or `sinks.py read SINK
FOLDER`; or it makes MLflow's tables: `sinks.py tables FILE`.
"""

import csv
import importlib.util
import json
import os
import signal
import struct
import sys
import time
from pathlib import Path

from poke.training import writers
from poke.training.logging import MetricsLogger

END, SAVED, STOPPED = (
    45,
    23,
    31,
)  # a run's last step, that of its state, and where its first part ends
CONFIG = {"seed": 0, "algo": {"lr": 1e-3, "betas": [0.9, 0.999], "schedule": None}}
NAMES = [
    "loss",
    "nested/accuracy",
    "naïve",
    "-rate (max)",
    "-rate _max_",
    "a\nb",
    "a\rb",
    "a\r\nb",
    "a;b,c\tq",
    'it\'s "quoted" `twice`',
    "100%",
    "%s {} \\ $x #",
    "/a",
    "a//b",
    "./a",
    "../a",
    "a/..",
    "a/",
    " padded ",
    "x" * 300,
    "x" * 299 + "y",
    "ポケモン ⚡",
]


def make_writer(sink, folder):
    made = {
        "csv": lambda: writers.CsvWriter(folder / "metrics.csv"),
        "tensorboard": lambda: writers.TensorBoardWriter(folder / "tensorboard"),
        "wandb": lambda: writers.WandbWriter(folder, mode="offline"),
        "mlflow": lambda: writers.MlflowWriter(folder / "mlflow"),
        "trackio": lambda: writers.TrackioWriter(folder / "trackio"),
        "console": lambda: writers.ConsoleWriter(folder / "train.log"),
        "memory": lambda: writers.MemoryWriter(),
    }
    return made[sink]()


def installed(sink):
    return sink not in ("mlflow", "trackio") or importlib.util.find_spec(sink) is not None


def log_run(logger, first, last):
    for step in range(first, last + 1):
        logger.log({name: (i + 1) / step for i, name in enumerate(NAMES)}, step)
        if step % 20 == 0:
            logger.log({"loss": 1 / step}, step, category="val")


def wait_for_delivery(sink, folder):
    """Wait until a service has all rows of the first part: 1, 10, 20 and 30 of train, 20 of val."""
    while sink in ("wandb", "mlflow", "trackio"):
        lines = [
            line for path in folder.rglob("logged-*") for line in path.read_text().splitlines()
        ]
        if len(lines) == 5:
            return
        time.sleep(0.05)


def write(sink, folder, part):
    """Log, to one or several sinks, a whole run, or its first part with a state in it, or the rest from that state."""
    kill = part == "killed"
    backends = [make_writer(name, folder) for name in sink.split(",")]
    with MetricsLogger(backends=backends, backend_frequency=10) as logger:
        if part == "rest":
            logger.set_state(json.loads((folder / "state.json").read_text()))
        logger.log_config(CONFIG)
        if part == "whole":
            log_run(logger, 1, END)
        elif part in ("first", "killed"):
            log_run(logger, 1, SAVED)
            (folder / "state.json").write_text(json.dumps(logger.get_state()))
            log_run(logger, SAVED + 1, STOPPED)
            if kill:
                wait_for_delivery(sink, folder)
                os.kill(os.getpid(), signal.SIGKILL)
        else:
            log_run(logger, SAVED + 1, END)


def read(sink, folder):
    """Every point that the sink holds, as (step, full name, value)."""
    return sorted(READERS[sink](folder))


def read_csv(folder):
    with open(folder / "metrics.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if name not in ("step", "time") and value:
                    yield int(row["step"]), name, float(value)


def read_tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    for tag in events.Tags()["scalars"]:
        for event in events.Scalars(tag):
            yield event.step, tag, event.value


def read_wandb(folder):
    for path in sorted((folder / "wandb").glob("offline-run-*/*.wandb")):
        for record in wandb_records(path):
            if record.WhichOneof("record_type") == "history":
                row = {
                    item.key or "/".join(item.nested_key): json.loads(item.value_json)
                    for item in record.history.item
                }
                step = next(value for key, value in row.items() if key.endswith("/step"))
                for name, value in row.items():
                    if not name.startswith("_") and not name.endswith("/step"):
                        yield step, name, value


def wandb_records(path):
    """The records of a .wandb file: LevelDB's log format, blocks of 32 KiB behind a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, parts = path.read_bytes(), 7, []
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, size, kind = struct.unpack_from("<IHB", data, at)
        parts.append(data[at + 7 : at + 7 + size])
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            record = Record()
            record.ParseFromString(b"".join(parts))
            parts = []
            yield record


def read_mlflow(folder):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("poke")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["algo.lr"] == "0.001"
    for name in run.data.metrics:
        for metric in client.get_metric_history(run.info.run_id, name):
            yield metric.step, name, metric.value


def read_trackio(folder):
    os.environ["TRACKIO_DIR"] = str(folder / "trackio")
    from trackio.sqlite_storage import SQLiteStorage

    (run,) = SQLiteStorage.get_runs("poke")
    for row in SQLiteStorage.get_logs("poke", run):
        for name, value in row.items():
            if "/" in name:
                yield row["step"], name, value


READERS = {
    "csv": read_csv,
    "tensorboard": read_tensorboard,
    "wandb": read_wandb,
    "mlflow": read_mlflow,
    "trackio": read_trackio,
}


def make_tables(file):
    from mlflow import MlflowClient

    MlflowClient(f"sqlite:///{file}").search_experiments()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", sinks, folder, part]:
            write(sinks, Path(folder), part)
        case ["read", sink, folder]:
            print("POINTS" + json.dumps(read(sink, Path(folder))))
        case ["tables", file]:
            make_tables(file)
