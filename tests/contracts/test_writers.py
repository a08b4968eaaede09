"""The suite every writer passes."""

import importlib.util
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from poke.protocols import Stateful, Writer
from poke.training.logging import MetricsLogger
from poke.training.writers import MemoryWriter
from poke.training.writers.services.mlflow import fitted

from ..processes.commands import Zygote

SCRIPT = Path(__file__).with_name("sinks.py")
spec = importlib.util.spec_from_file_location("sinks", SCRIPT)
sinks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sinks)

READABLE = [*sinks.READERS]
ALL = [*READABLE, "console", "memory"]
LIBRARIES = ("mlflow.store.tracking.sqlalchemy_store", "wandb")


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path):
    """No account, no user files, no network."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def needs(sink):
    if not sinks.installed(sink):
        pytest.skip(f"{sink} is not installed")


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    """Runs sinks.py in a process of its own, forked from one that has the sinks' libraries."""
    home = {"HOME": str(tmp_path_factory.mktemp("home")), "WANDB_ERROR_REPORTING": "false"}
    cwd = tmp_path_factory.mktemp("cwd")
    there = [name for name in LIBRARIES if importlib.util.find_spec(name.partition(".")[0])]
    with Zygote(there) as zygote:

        def run(*arguments, status=0):
            env = {name: value for name, value in os.environ.items() if name != "WANDB_API_KEY"}
            done = zygote.run(SCRIPT, *arguments, cwd=cwd, env={**env, **home})
            assert done.returncode == status, done.stderr
            return done.stdout

        yield run


@pytest.fixture(scope="module")
def read(process):
    """Returns what a sink holds, as a process of its own sees it."""

    def points(sink, folder):
        printed = process("read", sink, folder).split("POINTS")[-1]
        return [(step, name, value) for step, name, value in json.loads(printed)]

    return points


@pytest.fixture(scope="module")
def with_tables(tmp_path_factory, process):
    """Puts MLflow's empty tables into a folder, which it takes seconds to make."""
    kept = tmp_path_factory.mktemp("tables") / "mlflow.db"

    def put(sink, folder):
        if "mlflow" in sink:
            if not kept.exists():
                process("tables", kept)
            (folder / "mlflow").mkdir()
            shutil.copy(kept, folder / "mlflow")

    return put


def expected():
    memory = MemoryWriter()
    with MetricsLogger(backends=[memory], backend_frequency=10) as logger:
        sinks.log_run(logger, 1, sinks.END)
    return points_of(memory)


def points_of(memory):
    return sorted(
        (step, f"{category}/{name}", value)
        for metrics, step, category in memory.rows
        for name, value in metrics.items()
    )


def as_kept_by(sink, points):
    """The points as the sink can hold them: TensorBoard has float32, MLflow its own rules for names."""
    if sink == "tensorboard":
        points = [(step, name, float(np.float32(value))) for step, name, value in points]
    if sink == "mlflow":
        points = [(step, fitted(name), value) for step, name, value in points]
    return sorted(points)


@pytest.mark.parametrize("sink", ALL)
def test_it_is_a_writer_and_opens_nothing_before_it_is_written_to(sink, run_folder):
    needs(sink)
    writer = sinks.make_writer(sink, run_folder)
    assert isinstance(writer, Writer)
    assert isinstance(writer, Stateful)
    writer.flush()
    writer.close()
    writer.close()
    assert not list(run_folder.iterdir())


@pytest.mark.parametrize("sink", ALL)
def test_its_state_is_plain_values_and_round_trips(sink, run_folder):
    needs(sink)
    state = sinks.make_writer(sink, run_folder).get_state()
    torch.save(state, run_folder / "state.pt")
    loaded = torch.load(run_folder / "state.pt", weights_only=True)
    fresh = sinks.make_writer(sink, run_folder)
    fresh.set_state(loaded)
    assert fresh.get_state() == state == loaded


@pytest.mark.parametrize("sink", READABLE)
def test_what_was_logged_can_be_read_back(sink, run_folder, process, read):
    needs(sink)
    process("write", sink, run_folder, "whole")
    assert read(sink, run_folder) == as_kept_by(sink, expected())


@pytest.mark.parametrize("sink", READABLE)
def test_a_fresh_process_resumes_it(sink, run_folder, process, read, with_tables):
    needs(sink)
    with_tables(sink, run_folder)
    process("write", sink, run_folder, "first")
    process("write", sink, run_folder, "rest")
    found = read(sink, run_folder)
    wanted = as_kept_by(sink, expected())
    if sink in ("csv", "tensorboard"):
        assert found == wanted
    else:  # services keep what was logged past the state: none of it comes twice, the last, partial row stays
        assert [point for point in found if point[0] != sinks.STOPPED] == wanted


@pytest.mark.parametrize("sink", READABLE)
def test_after_a_kill_and_a_resume_it_holds_every_step_once(
    sink, run_folder, process, read, with_tables
):
    needs(sink)
    with_tables(sink, run_folder)
    process("write", sink, run_folder, "killed", status=-signal.SIGKILL)
    process("write", sink, run_folder, "rest")
    assert read(sink, run_folder) == as_kept_by(sink, expected())


@pytest.mark.parametrize("sink", READABLE)
def test_all_sinks_of_one_run_hold_the_same_points(sink, run_folder, shared_run):
    if sink not in shared_run:
        pytest.skip(f"{sink} is not installed")
    reference = [tuple(point) for point in shared_run["csv"]]
    assert shared_run[sink] == as_kept_by(sink, reference)


@pytest.fixture(scope="module")
def shared_run(tmp_path_factory, process, read, with_tables):
    """One run logged to every sink at once, read back from each."""
    folder = tmp_path_factory.mktemp("shared") / "run"
    folder.mkdir()
    chosen = [sink for sink in READABLE if sinks.installed(sink)]
    with_tables(chosen, folder)
    process("write", ",".join(chosen), folder, "whole")
    return {sink: read(sink, folder) for sink in chosen}
