import json

import pytest

from poke.sweep.job import JobChanged, changed_keys, decide, objective, set_aside

PLAIN = {
    "algo": {"lr": 0.1, "betas": [0.9, 0.99]},
    "logger": {"reduce": {"*.lr": "last"}},
    "seed": 0,
    "resume": None,
    "sweep": {"name": "grid", "on_change": "error", "fail_fast": False},
    "checkpoint": {"monitor": "val/loss"},
}


def changed(**sections):
    return {**PLAIN, **sections}


@pytest.fixture
def stored(tmp_path):
    def store(status, config=PLAIN, **account):
        (tmp_path / "config.json").write_text(json.dumps(config))
        (tmp_path / "run.json").write_text(json.dumps({"status": status, **account}))
        return tmp_path

    return store


@pytest.mark.parametrize(
    ("status", "todo"),
    [
        ("finished", "nothing"),
        ("interrupted", "resume"),
        ("running", "resume"),
        ("failed", "run"),
    ],
)
def test_what_is_left_to_do_depends_on_how_the_last_attempt_ended(stored, status, todo):
    assert decide(stored(status), PLAIN) == todo


def test_a_directory_without_an_account_is_run(tmp_path):
    assert decide(tmp_path, PLAIN) == "run"


def test_changed_keys_are_named_and_sweep_options_are_no_change(stored):
    run_dir = stored("finished")
    now = changed(
        algo={"lr": 0.2, "betas": [0.9, 0.99], "new": 1}, sweep={"on_change": "error", "name": "x"}
    )
    assert changed_keys(run_dir, {}, now) == ["algo.lr: 0.1 -> 0.2", "algo.new: (none) -> 1"]
    assert changed_keys(run_dir, {}, PLAIN) == []


@pytest.mark.parametrize("status", ["finished", "interrupted"])
def test_a_changed_config_is_an_error_run_again_or_ignored(stored, status):
    run_dir = stored(status)

    def now(on_change):
        return changed(seed=1, sweep={**PLAIN["sweep"], "on_change": on_change})

    with pytest.raises(JobChanged, match=r"was run with another config: seed: 0 -> 1 \("):
        decide(run_dir, now("error"))
    assert decide(run_dir, now("rerun")) == "run"
    assert decide(run_dir, now("ignore")) == ("nothing" if status == "finished" else "resume")


@pytest.mark.parametrize(
    ("cause", "on_failed", "has_checkpoint", "todo"),
    [
        ("outside", "auto", True, "resume"),
        ("outside", "auto", False, "run"),
        ("own", "auto", True, "run"),
        (None, "auto", True, "run"),  # an older poke's
        ("own", "resume", True, "resume"),
        ("own", "resume", False, "run"),
        ("outside", "rerun", True, "run"),
    ],
)
def test_a_failed_job_goes_on_where_something_from_outside_failed_it(
    stored, cause, on_failed, has_checkpoint, todo
):
    run_dir = stored("failed", cause=cause)
    if has_checkpoint:
        (run_dir / "checkpoints").mkdir()
        (run_dir / "checkpoints" / "checkpoint_epoch0_step5.pt").touch()
    assert decide(run_dir, changed(sweep={**PLAIN["sweep"], "on_failed": on_failed})) == todo


def test_a_failed_job_with_another_config_begins_again_unless_it_is_to_go_on(stored):
    run_dir = stored("failed", cause="outside")
    (run_dir / "checkpoints").mkdir()
    (run_dir / "checkpoints" / "checkpoint_epoch0_step5.pt").touch()
    assert decide(run_dir, changed(seed=1)) == "run"
    with pytest.raises(JobChanged):
        decide(run_dir, changed(seed=1, sweep={**PLAIN["sweep"], "on_failed": "resume"}))


def test_what_changes_no_result_is_no_change(stored):
    run_dir = stored("finished")
    now = changed(logger={"cli_frequency": 7}, checkpoint={"monitor": "val/loss", "save_every": 9})
    assert decide(run_dir, now) == "nothing"


@pytest.mark.parametrize(
    ("stored_device", "found", "now", "same"),
    [
        ("auto", "cpu", "cpu", True),
        ("cpu", "cpu", "auto", True),
        ("auto", "cpu", "auto", True),
        ("auto", "cuda:0", "cpu", False),
        ("cpu", "cpu", "cuda", False),
        ("cuda", "cuda", "auto", True),
    ],
)
def test_auto_is_the_device_that_the_run_found(stored, stored_device, found, now, same):
    run_dir = stored("finished", changed(device=stored_device), device=found)
    changes = changed_keys(run_dir, {"device": found}, changed(device=now))
    assert (changes == []) is same


def test_a_failed_job_may_be_mended_by_another_config(stored):
    assert decide(stored("failed"), changed(seed=1)) == "run"


def test_the_objective_is_the_best_of_the_monitored_metric():
    best = {"metric": "val/loss", "value": 0.5}
    assert objective({"best": best}, PLAIN) == 0.5
    assert objective({"best": {**best, "metric": "val/accuracy"}}, PLAIN) is None
    assert objective({"best": None}, PLAIN) is None
    assert objective(None, PLAIN) is None


def test_nothing_of_an_earlier_attempt_is_lost(tmp_path):
    run_dir = tmp_path / "seed_0"
    for attempt in ("first", "second"):
        run_dir.mkdir(exist_ok=True)
        (run_dir / "checkpoints").mkdir()
        (run_dir / "checkpoints" / "file").write_text(attempt)
        (run_dir / "run.json").write_text(attempt)
        (run_dir / ".hydra").mkdir(exist_ok=True)
        set_aside(run_dir)
        assert [p.name for p in run_dir.iterdir()] == [".hydra"]
    kept = sorted((tmp_path / ".aside").iterdir())
    assert [(k / "checkpoints" / "file").read_text() for k in kept] == ["first", "second"]
    assert all((k / ".hydra").is_dir() for k in kept)
