"""What is said where an extra is missing. No test needs one, and none minds that it is there."""

import importlib.util

import pytest

from poke.config import composing
from poke.config.composing import Primary
from poke.config.knobs import ConfigError
from poke.config.validation import validate
from poke.sweep.run import run_sweep


@pytest.fixture
def missing(monkeypatch, tmp_path):
    """Makes a library one that is not installed."""
    find = importlib.util.find_spec
    monkeypatch.chdir(tmp_path)

    def lack(library):
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name == library else find(name)
        )

    return lack


@pytest.mark.parametrize(
    ("given", "library", "extra"),
    [
        (["logger.mlflow.enabled=true"], "mlflow", "mlflow"),
        (["logger.trackio.enabled=true"], "trackio", "trackio"),
        (["eval.video=true", "algo=ppo"], "pygame", "video"),
        (["data=ray_rollout", "algo=ppo"], "ray", "ray"),
    ],
)
def test_what_needs_an_extra_says_which_before_it_begins(missing, given, library, extra):
    config = composing.to_plain(composing.compose("train", given))
    missing(library)
    with pytest.raises(ConfigError) as caught:
        validate(config)
    assert str(caught.value) == f"{given[0]} needs {library}: pip install 'poke[{extra}]'"


@pytest.mark.parametrize("option", ["hydra/sweeper=optuna", "hydra/launcher=ray"])
def test_a_sweep_that_needs_an_extra_says_which_and_makes_nothing(missing, tmp_path, option):
    library = option.partition("=")[2]
    missing(library)
    with pytest.raises(ConfigError) as caught:
        run_sweep(Primary(), ["seed=0,1", option], [])
    assert str(caught.value) == f"{option} needs {library}: pip install 'poke[sweep]'"
    assert list(tmp_path.iterdir()) == []


def test_a_sink_that_is_off_and_a_film_of_another_library_need_nothing(missing):
    missing("pygame")
    validate(composing.to_plain(composing.compose("train", ["algo=ppo", "eval.video=false"])))
    missing("mlflow")
    validate(composing.to_plain(composing.compose("train", ["logger.mlflow.enabled=false"])))
