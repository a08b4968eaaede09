import pytest

from poke.config import composing
from poke.config.knobs import ConfigError
from poke.sweep.grid import check_axes


def test_the_first_job_is_composed():
    first = check_axes(["algo.lr=1e-4,3e-4", "seed=3,4", "sweep.name=grid"], None)
    assert (first["algo"]["lr"], first["seed"], first["sweep"]["name"]) == (1e-4, 3, "grid")


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
        (["sweep.on_change=abort"], "sweep.on_change must be one of error, rerun, ignore"),
    ],
)
def test_a_mistake_on_any_axis_is_one_line(overrides, line):
    with pytest.raises(ConfigError) as caught:
        check_axes(overrides, None)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_values_are_checked_without_composing_each(monkeypatch):
    compose, calls = composing.compose, []
    monkeypatch.setattr(
        composing, "compose", lambda *a, **k: (calls.append(a), compose(*a, **k))[1]
    )
    check_axes(["seed=range(0,500)", "algo.lr=1e-4,3e-4", "network=mlp,battle"], None)
    assert len(calls) <= 4


def test_a_launcher_that_is_not_installed_is_said_with_the_command(monkeypatch):
    monkeypatch.setitem(composing.PLUGIN_PACKAGES, "hydra/launcher=elsewhere", "hydra-elsewhere")
    with pytest.raises(ConfigError, match="hydra/launcher=elsewhere needs hydra-elsewhere, which"):
        check_axes(["hydra/launcher=elsewhere", "seed=0,1"], None)
