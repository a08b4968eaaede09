"""MLflow, written by the real library and read back."""

import itertools
import os
import random
import shutil
import string
import subprocess
import sys

import pytest

pytest.importorskip("mlflow")

from mlflow import MlflowClient
from mlflow.utils.validation import _validate_metric_name, _validate_param_name

from poke.training.logging import MetricsLogger
from poke.training.writers import MlflowWriter
from poke.training.writers.services.mlflow import QUICK, fitted

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, about its libraries

ODD_NAMES = [
    *("/a", "a/", "a//b", "./a", "a/./b", "../a", "a/..", ".", "..", "/", "//", "", " "),
    *("a\nb", "a\n", "a;b", "a%b", 'a"b', "a\\b", "a:b", "naïve", "ポケモン", "(a)", "_a_"),
    *("x" * 250, "x" * 251, "x" * 250 + "y", "/" * 300, "é" * 300, "x" * 240 + "//y"),
]


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Nothing said to MLflow, and what the writer says forgotten afterwards."""
    for key in (*QUICK, "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.setenv(key, "")
        monkeypatch.delenv(key)


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory):
    """A store whose tables are made, which takes MLflow seconds."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(empty_store, tmp_path):
    path = tmp_path / "store.db"
    shutil.copy(empty_store, path)
    return f"sqlite:///{path}"


def log(writer, first=1, last=3, state=None):
    with MetricsLogger(backends=[writer], backend_frequency=1) as logger:
        if state is not None:
            logger.set_state(state)
        for step in range(first, last + 1):
            logger.log({"loss": float(step)}, step)
        return logger.get_state()


def runs(store, experiment="poke"):
    client = MlflowClient(store)
    found = client.get_experiment_by_name(experiment)
    return client.search_runs([found.experiment_id]) if found else []


def points(store, run):
    history = MlflowClient(store).get_metric_history(run.info.run_id, "train/loss")
    return [(metric.step, metric.value) for metric in history]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_is_made_one_that_mlflow_takes(name):
    _validate_metric_name(fitted(name))
    _validate_param_name(fitted(name))
    assert 0 < len(fitted(name)) <= 250
    assert fitted(fitted(name)) == fitted(name)


def test_two_names_never_become_one():
    generator = random.Random(0)
    alphabet = string.ascii_letters[:3] + "/._ ;(%\né"
    names = {
        "".join(generator.choices(alphabet, k=generator.randrange(1, 12))) for _ in range(20_000)
    }
    names |= {("x" * 260)[:n] + tail for n, tail in itertools.product((239, 251, 260), "abc;%")}
    names |= set(ODD_NAMES)
    assert len({fitted(name) for name in names}) == len(names)


def test_a_name_that_needs_no_change_is_left_as_it_is():
    for name in ("train/loss", "eval/return_mean", "a b-c.d/e:f", "naïve"):
        assert fitted(name) == name


def test_the_environment_says_where_to_unless_the_config_does(tmp_path, store, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "of the team")
    log(MlflowWriter(tmp_path / "a" / "mlflow"))
    log(MlflowWriter(tmp_path / "b" / "mlflow", experiment="mine"))
    assert len(runs(store, "of the team")) == len(runs(store, "mine")) == 1
    assert not list(tmp_path.rglob("mlflow.db"))


def test_what_the_environment_says_of_requests_is_left_alone(tmp_path, store, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    log(MlflowWriter(tmp_path, tracking_uri=store))
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "3"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == QUICK["MLFLOW_HTTP_REQUEST_TIMEOUT"]


def test_a_run_is_named_after_its_directory_and_draws_nothing(tmp_path, store):
    run_dir = tmp_path / "2026-01-31" / "12-00-00-a1b2"
    before = random.getstate()
    log(MlflowWriter(run_dir / "mlflow", tracking_uri=store, run_dir=run_dir))
    log(MlflowWriter(run_dir / "b", tracking_uri=store, name="mine"))
    assert random.getstate() == before
    assert {run.info.run_name for run in runs(store)} == {"2026-01-31/12-00-00-a1b2", "mine"}


@pytest.mark.parametrize(
    ("status", "shown"),
    [("finished", "FINISHED"), ("failed", "FAILED"), ("interrupted", "KILLED")],
)
def test_a_run_ends_as_it_ended_and_runs_again_when_it_is_resumed(tmp_path, store, status, shown):
    logger = MetricsLogger(backends=[MlflowWriter(tmp_path, tracking_uri=store)])
    for step in (1, 2):
        logger.log({"loss": 1.0}, step)
    logger.close(status)
    (run,) = runs(store)
    assert run.info.status == shown

    again = MlflowWriter(tmp_path, tracking_uri=store)
    again.set_state({"run_id": run.info.run_id, "store": again.get_state()["store"]})
    again.write({"loss": 1.0}, 3, "train")
    (run,) = runs(store)
    assert run.info.status == "RUNNING"
    again.log_end("finished")
    again.close()
    (run,) = runs(store)
    assert run.info.status == "FINISHED"


def test_a_state_from_before_the_first_row_leads_to_the_same_run(tmp_path, store):
    fresh = MetricsLogger(backends=[MlflowWriter(tmp_path, tracking_uri=store)])
    state = fresh.get_state()
    fresh.abandon()
    log(MlflowWriter(tmp_path, tracking_uri=store))
    log(MlflowWriter(tmp_path, tracking_uri=store), 1, 5, state)
    (run,) = runs(store)
    assert points(store, run) == [(step, float(step)) for step in range(1, 6)]


def test_in_another_store_a_run_of_its_own_is_begun(tmp_path, store):
    state = log(MlflowWriter(tmp_path, tracking_uri=store))
    shutil.copy(store.removeprefix("sqlite:///"), tmp_path / "other.db")
    other = f"sqlite:///{tmp_path / 'other.db'}"
    log(MlflowWriter(tmp_path, tracking_uri=other), 4, 5, state)
    assert len(runs(store)) == 1
    assert len(runs(other)) == 2  # the copied one too


def test_a_row_whose_answer_was_lost_is_not_doubled_nor_is_the_run(tmp_path, store, monkeypatch):
    answers = {"create_run": 1, "log_batch": 2}

    def losing(name, original):
        def call(*arguments, **options):
            answer = original(*arguments, **options)
            if answers[name]:
                answers[name] -= 1
                raise ConnectionError("the answer was lost")
            return answer

        return call

    for name in answers:
        monkeypatch.setattr(MlflowClient, name, losing(name, getattr(MlflowClient, name)))
    monkeypatch.setattr("poke.training.logging.sinks.outbox.FIRST_DELAY_SECONDS", 0.001)
    monkeypatch.setattr("poke.training.logging.sinks.background.TRIES_AT_CLOSE", 100)
    log(MlflowWriter(tmp_path, tracking_uri=store))
    (run,) = runs(store)
    assert points(store, run) == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_other_values_after_a_resume_are_said_to_be_missing(tmp_path, store, caplog):
    log(MlflowWriter(tmp_path, tracking_uri=store), 1, 3)
    again = MlflowWriter(tmp_path, tracking_uri=store)
    with MetricsLogger(backends=[again], backend_frequency=1) as logger:
        logger.log({"loss": 1.0}, 1)
        logger.log({"loss": 9.0}, 2)
        logger.log({"loss": 4.0}, 4)
    (run,) = runs(store)
    assert points(store, run) == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]
    assert caplog.text.count("it has other values of train from step 2 on") == 1


def test_a_config_of_odd_names_and_long_values_is_shown(tmp_path, store):
    writer = MlflowWriter(tmp_path, tracking_uri=store)
    writer.log_config(
        {"seed": 1, "a b": {"c%d": "x" * 9000, "e": None}, **{f"k{i}": i for i in range(250)}}
    )
    writer.close()
    (run,) = runs(store)
    assert len(run.data.params) == 253
    assert (run.data.params["seed"], run.data.params["a b.e"]) == ("1", "None")
    assert len(run.data.params[fitted("a b.c%d")]) == 6000


def test_a_row_of_more_metrics_than_one_request_takes(tmp_path, store):
    writer = MlflowWriter(tmp_path, tracking_uri=store)
    writer.write({f"m{i}": float(i) for i in range(1500)}, 1, "train")
    writer.close()
    (run,) = runs(store)
    assert len(run.data.metrics) == 1500


JOBS = """
import os, sys
from multiprocessing import get_context
import mlflow, mlflow.store.tracking.sqlalchemy_store  # once, for all jobs
from poke.training.logging import MetricsLogger
from poke.training.writers import MlflowWriter

def job(number, barrier):
    writer = MlflowWriter(f"jobs/{number}", tracking_uri="sqlite:///store.db")
    barrier.wait(60)
    with MetricsLogger(backends=[writer], backend_frequency=1, close_seconds=200) as logger:
        for step in range(1, 11):
            logger.log({"loss": float(number)}, step)

context = get_context("fork")
barrier = context.Barrier(4)
jobs = [context.Process(target=job, args=(n, barrier)) for n in range(4)]
for process in jobs:
    process.start()
for process in jobs:
    process.join()
sys.exit(max(process.exitcode for process in jobs))
"""


@pytest.mark.slow
def test_jobs_that_begin_at_once_on_one_fresh_store_lose_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", JOBS], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "MlflowWriter" not in done.stderr  # nothing failed on the way
    store = f"sqlite:///{tmp_path / 'store.db'}"
    found = runs(store)
    assert sorted(run.info.status for run in found) == ["FINISHED"] * 4
    assert sorted(points(store, run) for run in found) == [
        [(step, float(number)) for step in range(1, 11)] for number in range(4)
    ]
