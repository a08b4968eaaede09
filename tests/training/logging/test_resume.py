"""A run that was interrupted and resumed leaves the metrics of one that never was."""

import math
import os
import signal

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from poke.training.logging import MetricsLogger
from poke.training.writers import CsvWriter, MemoryWriter, TensorBoardWriter

END = 700
VALUES = np.random.default_rng(0).lognormal(size=END + 1).tolist()


def make(folder, **options):
    writers = [CsvWriter(folder / "metrics.csv"), TensorBoardWriter(folder / "tensorboard")]
    options = {"backend_frequency": 100, "reduce": {"peak": "max", "last_*": "last"}, **options}
    logger = MetricsLogger(console=MemoryWriter(), backends=writers, **options)
    logger.add_probe(lambda: {"time": {"steps_per_second": 1.0}})
    return logger


def train(logger, first, last, *, save_every=0, folder=None, stride=1):
    """Log steps first to last as a training loop does, with a checkpoint every save_every."""
    for step in range(first, last + 1, stride):
        value = VALUES[step]
        logger.log({"loss": torch.tensor(value, dtype=torch.float64), "peak": value}, step)
        logger.log({"last_lr": 1 / step, "odd": math.nan if step == 333 else value}, step)
        if step > 450:
            logger.log({'late, "name"': value}, step)
        if step % 150 == 0:
            logger.log({"loss": value}, step, category="val")
        if save_every and step % save_every == 0:
            torch.save(logger.get_state(), folder / f"{step}.pt")


def load(path):
    return torch.load(path, weights_only=True)


def table(folder):
    """metrics.csv without its times."""
    lines = (folder / "metrics.csv").read_text().splitlines()
    return [[f for i, f in enumerate(line.split(",")) if i != 1] for line in lines]


def points(folder):
    """What TensorBoard shows: every tag's steps and values."""
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    tags = events.Tags()["scalars"]
    return {tag: [(e.step, repr(e.value)) for e in events.Scalars(tag)] for tag in tags}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    with make(folder) as logger:
        train(logger, 1, END)
    return folder


@pytest.mark.parametrize("saved", [1, 2, 99, 100, 101, 150, 300, 333, 460, 500, 699])
@pytest.mark.parametrize("killed_after", [0, 1, 150, 400])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, uninterrupted, saved, killed_after):
    first = make(tmp_path)
    train(first, 1, saved)
    torch.save(first.get_state(), tmp_path / "state.pt")
    train(first, saved + 1, min(saved + killed_after, END))
    first.abandon()  # a kill: nothing more is written

    with make(tmp_path) as second:
        second.set_state(load(tmp_path / "state.pt"))
        train(second, saved + 1, END)
    assert table(tmp_path) == table(uninterrupted)
    assert points(tmp_path) == points(uninterrupted)


def test_a_run_that_was_closed_and_is_extended_equals_one_that_went_on(tmp_path, uninterrupted):
    with make(tmp_path) as first:
        train(first, 1, 250)
        state = first.get_state()
    assert table(tmp_path)[-1][0] == "250"  # the partial window, flushed by close
    with make(tmp_path) as second:
        second.set_state(state)
        train(second, 251, END)
    assert table(tmp_path) == table(uninterrupted)
    assert points(tmp_path) == points(uninterrupted)


def test_resuming_twice_from_one_state_equals_resuming_once(tmp_path, uninterrupted):
    with make(tmp_path) as first:
        train(first, 1, 250)
        state = first.get_state()
    for _ in range(2):
        with make(tmp_path) as again:
            again.set_state(state)
            train(again, 251, END)
    assert table(tmp_path) == table(uninterrupted)
    assert points(tmp_path) == points(uninterrupted)


def test_checkpoints_do_not_change_what_is_written(tmp_path, uninterrupted):
    with make(tmp_path) as logger:
        train(logger, 1, END, save_every=7, folder=tmp_path)
    assert table(tmp_path) == table(uninterrupted)


def test_the_console_window_goes_on_too(tmp_path):
    with make(tmp_path, cli_frequency=200) as first:
        train(first, 1, 250)
        state = first.get_state()
    console = MemoryWriter()
    with MetricsLogger(console=console, cli_frequency=200) as second:
        second.set_state(state)
        train(second, 251, 401)
    later = [row for row in console.rows if row[1] > 250 and row[2] == "train"]
    metrics, step, _ = later[0]
    assert step == 400
    assert metrics["loss"] == pytest.approx(np.mean(VALUES[201:401]))


def test_another_frequency_after_a_resume_holds_from_the_next_boundary_on(tmp_path):
    with make(tmp_path) as first:
        train(first, 1, 130)
        state = first.get_state()
    with make(tmp_path, backend_frequency=50) as second:
        second.set_state(state)
        train(second, 131, 220)
    steps = [int(row[0]) for row in table(tmp_path)[1:] if row[1]]
    assert steps == [1, 100, 150, 200, 220]


def test_a_sink_that_was_off_when_the_state_was_made_starts_fresh(tmp_path):
    with MetricsLogger(backends=[]) as first:
        train(first, 1, 130)
        state = first.get_state()
    memory = MemoryWriter()
    with MetricsLogger(backends=[memory]) as second:
        second.set_state(state)
        train(second, 131, 220)
    assert [step for _, step, category in memory.rows if category == "train"] == [200, 220]


def test_the_state_is_plain_values_and_small(tmp_path):
    logger = make(tmp_path)
    train(logger, 1, 460)
    state = logger.get_state()
    torch.save(state, tmp_path / "state.pt")
    assert load(tmp_path / "state.pt") == state
    assert (tmp_path / "state.pt").stat().st_size < 100_000
    logger.close()


def test_a_newer_state_is_refused(tmp_path):
    logger = make(tmp_path)
    with pytest.raises(ValueError, match="newer"):
        logger.set_state({**logger.get_state(), "version": 99})


SCRIPT = """
import os, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import torch
from test_resume import END, load, make, train

folder = Path(sys.argv[1])
logger = make(folder)
saved = sorted(folder.glob("[0-9]*.pt"), key=lambda path: int(path.stem))
start = 0
if saved:
    start = int(saved[-1].stem)
    logger.set_state(load(saved[-1]))
print("ready", flush=True)
class Slow:
    def __getattr__(self, name):
        return getattr(logger, name)
    def log(self, metrics, step, **kwargs):
        logger.log(metrics, step, **kwargs)
        print(step, flush=True)
def save(state, path, original=torch.save):
    original(state, f"{{path}}.tmp")
    os.replace(f"{{path}}.tmp", path)
torch.save = save
with logger:
    train(Slow(), start + 1, END, save_every=60, folder=folder)
"""


def test_killed_by_sigkill_at_many_moments_and_resumed_by_fresh_processes(
    tmp_path, uninterrupted, zygote, tmp_path_factory
):
    script = tmp_path_factory.mktemp("script") / "train.py"
    script.write_text(SCRIPT.format(tests=os.path.dirname(__file__)))
    for kill_at in ("97", "151", "451", None):
        process = zygote.start(script, tmp_path, cwd=tmp_path)
        for line in process.stdout:
            if line.strip() == kill_at:
                process.kill()
                break
        _, said = process.communicate(timeout=60)
        assert process.returncode == (-signal.SIGKILL if kill_at else 0), said
    assert table(tmp_path) == table(uninterrupted)
    assert points(tmp_path) == points(uninterrupted)
