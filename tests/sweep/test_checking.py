import pytest

from poke.config import composing
from poke.config.composing import Primary
from poke.config.knobs import ConfigError
from poke.sweep.axes import read_axes
from poke.sweep.checking import check_axes


def check(overrides, primary=Primary()):  # noqa: B008 - frozen
    with primary.hydra() as hydra:
        return check_axes(read_axes(overrides, hydra.config_loader), primary)


def test_the_first_job_is_composed_with_hydras_own_part():
    first = check(["algo.lr=1e-4,3e-4", "seed=3,4", "sweep.name=grid", "hydra/launcher=basic"])
    assert (first["algo"]["lr"], first["seed"], first["sweep"]["name"]) == (1e-4, 3, "grid")
    assert first.hydra.runtime.choices["hydra/launcher"] == "basic"


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["seed=range(0,0)"], "seed=range(0,0) is an empty axis: there is nothing to run"),
        (["algo.lr=1e-4,abc"], "algo.lr must be a number, not 'abc'"),
        (["algo.lr=1e-4,3e-4", "seed=0,-1"], "seed must be >= 0, not -1"),
        (["algo.lrr=1,2"], "unknown key algo.lrr (did you mean algo.lr?)"),
        (["network=mlp,mpl"], "no option network=mpl"),
        (["network=mlp,battle", "network.hidden_sizes=[8]"], "unknown key network.hidden_sizes"),
        (["sweep.name=a/b", "seed=0,1"], "sweep must be a plain directory name, not 'a/b'"),
        (["sweep.name=''"], "sweep must be a plain directory name, not ''"),
        (
            ["sweep.fail_fast=true,false"],
            "sweep.fail_fast says how the sweep runs and cannot be swept itself",
        ),
        (["sweep.on_failed=abort"], "sweep.on_failed must be one of auto, resume, rerun"),
        (["sweep.max_parallel=0"], "sweep.max_parallel must be >= 1, not 0"),
        (["hydra.sweeper.max_batch_size=0"], "hydra.sweeper.max_batch_size must be >= 1, not 0"),
        (
            ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=x"],
            "hydra.sweeper.n_trials must be a whole number, not 'x'",
        ),
        (["sweep.on_change=abort"], "sweep.on_change must be one of error, rerun, ignore"),
    ],
)
def test_a_mistake_on_any_axis_is_one_line(overrides, line):
    with pytest.raises(ConfigError) as caught:
        check(overrides)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_values_are_checked_without_composing_each(monkeypatch):
    compose, calls = composing.compose_whole, []
    monkeypatch.setattr(composing, "compose_whole", lambda *a: (calls.append(a), compose(*a))[1])
    check(["seed=range(0,500)", "algo.lr=1e-4,3e-4", "network=mlp,battle"])
    assert len(calls) == 2


def test_a_launcher_that_is_not_installed_is_said_with_the_command(monkeypatch):
    monkeypatch.setitem(composing.PLUGIN_PACKAGES, "hydra/launcher=elsewhere", "hydra-elsewhere")
    with pytest.raises(
        ConfigError, match="hydra/launcher=elsewhere needs hydra-elsewhere: pip install"
    ):
        check(["hydra/launcher=elsewhere", "seed=0,1"])


# Of each form one that fits and one that does not; the check must come to an end for all of them.
FORMS = (
    ("network=mlp,mlp64", "network.hidden_sizes=[32]"),
    ("network=glob(mlp*)", "network.hidden_sizes=[8],[16]"),
    ("network=choice(mlp,cnn)", "algo.lr=1e-4"),
    ("network=choice(mlp,cnn)", "network.hidden_sizes=[8]"),
    ("experiment=ppo_hopper,ppo_walker2d", "algo.clip_range=0.3"),
    ("experiment=ppo_hopper,null", "algo.clip_range=0.3"),
    ("algo={lr:1e-3},{lr:1e-4}",),
    ("algo={lr:1e-3},{lrr:1e-4}",),
    ("+algo.new=1,2",),
    ("++algo.lr=1e-3,1e-4",),
    ("+logger.own={_target_:mine.Sink}",),
    ("~logger.csv",),
    ("~algo.lr",),
    ("~nope",),
    ("+network@extra=mlp",),
    ("algo.lr=${algo.weight_decay},1",),
    ("algo.lr='${nope}',1",),
    ("seed=shuffle(range(3))",),
    ("seed='1','2'",),
    ("=1",),
    ("@algo=mlp",),
    ("algo=bc,",),
    ("network=[mlp,cnn],mlp",),
    ("a.0=1",),
)


@pytest.mark.parametrize("overrides", FORMS, ids=" ".join)
def test_no_form_of_an_override_ends_in_a_traceback(overrides):
    refused = "one line"
    try:
        check(overrides)
    except ConfigError as error:
        refused = str(error)
    assert refused.strip()
    assert "\n" not in refused


@pytest.mark.parametrize("overrides", [FORMS[i] for i in (0, 1, 2, 4, 6, 9)], ids=" ".join)
def test_swept_groups_go_with_keys_of_their_options(overrides):
    check(overrides)


@pytest.mark.parametrize(
    "axis",
    [
        "logger.backend_frequency=10,100",
        "logger=default,many",
        "checkpoint.save_every=5,10",
        "checkpoint={save_every:5},{save_every:6}",
        "trainer.max_seconds=1,2",
        "checkpoint.max_to_keep=interval(1,5)",
    ],
)
def test_an_axis_that_changes_no_result_is_refused_instead_of_merging_its_jobs(axis):
    with pytest.raises(ConfigError) as caught:
        check([axis, "seed=0,1"])
    assert str(caught.value).startswith(f"{axis.partition('=')[0]} changes no result of a run")


@pytest.mark.parametrize("axis", ["hydra/launcher=basic,joblib", "hydra.job.name=a,b"])
def test_how_the_sweep_runs_is_no_axis(axis):
    with pytest.raises(ConfigError, match="says how the sweep runs and cannot be swept itself"):
        check([axis])


PRESET = """# @package _global_
defaults:
  - override /hydra/sweeper: optuna
  - override /hydra/launcher: ray
hydra: {sweep: {dir: "searches/${sweep.name}"}}
"""


def test_a_preset_chooses_sweeper_launcher_and_directory(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "search.yaml").write_text(PRESET)
    (tmp_path / "mine.yaml").write_text("defaults: [train, _self_]\ntrainer: {max_steps: 7}\n")
    primary = Primary("mine", search_dir=str(tmp_path))
    first = check(["experiment=search", "sweep.name=x", "seed=0,1"], primary)
    assert first.hydra.sweeper._target_.endswith("OptunaSweeper")
    assert first.hydra.launcher._target_.endswith("RayLauncher")
    assert str(composing.named_directory(first, "sweep")) == "searches/x"
    assert first.trainer.max_steps == 7
    assert composing.named_directory(check(["seed=0,1"], primary), "sweep") is None
    given = check(["experiment=search", "hydra/sweeper=grid", "hydra.sweep.dir=d"], primary)
    assert given.hydra.sweeper._target_.endswith("GridSweeper")
    assert str(composing.named_directory(given, "sweep")) == "d"
