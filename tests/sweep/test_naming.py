import pytest

from poke.config import composing
from poke.config.identity import bookkeeping
from poke.sweep import naming


def test_order_and_spelling_make_no_difference():
    one = naming.job_name(["algo.lr=1e-4", "seed=0"])
    assert one == naming.job_name(["seed=0", "algo.lr=0.0001"])
    assert one.startswith("algo.lr_0.0001+seed_0-")


def test_jobs_that_differ_have_different_names():
    jobs = [
        ["algo.lr=1e-4", "seed=0"],
        ["algo.lr=1e-4", "seed=1"],
        ["algo.lr=-1e-4", "seed=0"],
        ["algo.lr=1e-4"],
        ["algo.lr='1e-4'", "seed=0"],
        ["+algo.lr=1e-4", "seed=0"],
    ]
    assert len({naming.digest(job) for job in jobs}) == len(jobs)


def test_numbers_read_as_numbers():
    for value, shown in (("-0.5", "-0.5"), ("1e30", "1e30"), ("1e-30", "1e-30"), ("true", "true")):
        assert naming.job_name([f"algo.lr={value}"]).startswith(f"algo.lr_{shown}-")


def test_how_the_sweep_runs_is_no_part_of_a_job():
    assert naming.job_name(["seed=0"]) == naming.job_name(
        ["seed=0", "sweep.name=grid", "sweep.on_change=ignore", "hydra.launcher.n_jobs=2"]
    )


@pytest.mark.parametrize(
    "override",
    [
        "logger.cli_frequency=50",
        "logger=many",
        "+logger.own={_target_:mine.Sink}",
        "~logger.csv",
        "checkpoint.save_every=5",
        "checkpoint={save_every:5,max_to_keep:2}",
        "trainer.max_seconds=60",
        "data.on_change=accept",
        "device=auto",
        "hydra/launcher=joblib",
    ],
)
def test_what_changes_no_result_is_no_part_of_a_job(override):
    assert naming.digest(["seed=0", override]) == naming.digest(["seed=0"])


@pytest.mark.parametrize(
    "override",
    [
        "checkpoint.monitor=val/accuracy",
        "checkpoint={save_every:5,mode:max}",
        "device=cuda",
        "debug=fast",
        "checkpoint=mine",
    ],
)
def test_what_may_change_a_result_is_part_of_a_job(override):
    assert naming.digest(["seed=0", override]) != naming.digest(["seed=0"])


def test_names_of_before_are_kept():
    """Directories made by earlier versions are found again."""
    assert (
        naming.job_name(["algo.lr=1e-4", "network=mlp", "seed=0"])
        == "algo.lr_0.0001+network_mlp+seed_0-562082c6"
    )


@pytest.mark.parametrize(
    "options",
    [[], ["env=cartpole", "algo=ppo", "data=rollout", "eval=episodes"], ["data=minari"]],
)
def test_all_that_a_config_calls_bookkeeping_is_left_out_of_names(options):
    config = composing.to_plain(composing.compose("train", options))
    assert set(bookkeeping(config)) <= naming.BOOKKEEPING


def test_only_the_axes_are_named_but_all_overrides_count():
    short = naming.job_name(["seed=0", "trainer.max_steps=5"], axes={"seed"})
    assert short.startswith("seed_0-")
    assert short != naming.job_name(["seed=0", "trainer.max_steps=6"], axes={"seed"})
    assert naming.digest_of(short) == naming.digest(["trainer.max_steps=5", "seed=0"])


@pytest.mark.parametrize(
    "value", ["a/b", "../..", "[8,16]", "{a:1}", "'x y'", "'a=b,c'", "null", "'é'"]
)
def test_names_are_plain_and_are_taken_by_resume_as_they_are(value):
    name = naming.job_name([f"network.hidden_sizes={value}", "seed=0"])
    assert "/" not in name
    assert len(name) < 120
    (parsed,) = composing.parse([f"resume=multirun/grid/{name}"])
    assert parsed.value() == f"multirun/grid/{name}"


def test_long_names_are_cut_but_stay_apart():
    names = {naming.job_name([f"data.path={'x' * 300}", f"seed={seed}"]) for seed in range(20)}
    assert len(names) == 20
    assert max(map(len, names)) < 120
