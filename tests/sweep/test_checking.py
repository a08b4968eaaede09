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
    with pytest.raises(ConfigError, match="hydra/launcher=elsewhere needs hydra-elsewhere, which"):
        check(["hydra/launcher=elsewhere", "seed=0,1"])
