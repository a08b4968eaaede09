"""A study lives as long as its sweep: through kills, and spaces that grow or change."""

import logging
import os
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from poke.config.composing import Primary
from poke.config.knobs import ConfigError
from poke.sweep import naming
from poke.sweep.axes import read_axes
from poke.sweep.search import Search, distribution
from poke.sweep.study import STUDY_FILE, Space, open_study, put_back, take_up

optuna = pytest.importorskip("optuna")
OPEN_FILES = Path("/proc/self/fd")
LR = "algo.lr=tag(log,interval(1e-5,1e-1))"


def space(*overrides: str, monitor="val/loss", mode="min") -> Space:
    with Primary().hydra() as hydra:
        axes = read_axes(overrides, hydra.config_loader)
    return Space(
        {axis.key: distribution(axis) for axis in axes if axis.is_swept},
        naming.identity(axis.texts[0] for axis in axes if not axis.is_swept),
        monitor,
        mode,
    )


def searched(folder, where: Space, num_trials: int):
    study = take_up(folder, where)
    for number in range(num_trials):
        study.tell(study.ask(where.distributions), float(number))
    return study


def states(study):
    return [trial.state.name for trial in study.trials]


@pytest.mark.parametrize(
    ("before", "now", "num_kept"),
    [
        ([LR], [LR], 3),
        ([LR], ["algo.lr=tag(log,interval(1e-6,1))"], 3),
        ([LR], ["algo.lr=interval(0,1)"], 3),
        ([LR], ["algo.lr=tag(log,interval(10,100))"], 0),
        ([LR, "network=mlp,cnn"], [LR, "network=mlp,mlp64,cnn"], 3),
        ([LR, "network=mlp"], [LR, "network=mlp,cnn"], 3),
        ([LR, "network=cnn"], [LR, "network=mlp,mlp64"], 0),
        ([LR], [LR, "seed=0,1"], 3),
        ([LR, "seed=range(3)"], [LR, "seed=range(0,9)"], 3),
        ([LR, "seed=range(3)"], [LR, "seed=0,1,2,3"], 3),
        ([LR, "seed=0,1"], [LR], 0),
        ([LR, "trainer.max_steps=5"], [LR, "trainer.max_steps=6"], 0),
        ([LR, "logger.cli_frequency=5"], [LR, "logger.cli_frequency=6"], 3),
        ([LR, "network=mlp,'cnn'"], [LR, "network=choice('mlp',cnn,battle)"], 3),
        ([LR, "a=[1,2],{b:3}"], [LR, "a={b:3},[1,2],[5]"], 3),
    ],
    ids=str,
)
def test_a_study_goes_on_with_the_trials_that_lie_in_the_space_of_now(
    tmp_path, caplog, before, now, num_kept
):
    old = searched(tmp_path, space(*before), 3)
    values = {trial.value: trial.params for trial in old.trials}
    with caplog.at_level(logging.INFO, logger="poke.sweep"):
        study = take_up(tmp_path, space(*now))
    assert len(study.trials) == num_kept
    for trial in study.trials:
        assert trial.params.get("algo.lr") == values[trial.value].get("algo.lr")
    same = space(*before).described() == space(*now).described()
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == (0 if same else 1)
    if not same:
        assert lines[0].endswith(f"it goes on with {num_kept} of its 3 trials")
        assert "\n" not in lines[0]
        kept = tmp_path / ".aside" / tmp_path.name  # as what it was the study of
        kept.mkdir()
        (tmp_path / ".aside" / "study.db.1").rename(kept / STUDY_FILE)
        assert len(open_study(kept).trials) == 3
    study.tell(study.ask(space(*now).distributions), 1.0)
    assert states(study) == ["COMPLETE"] * (num_kept + 1)
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".new")] == []


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="what is open is read from /proc")
def test_nothing_is_open_between_two_questions(tmp_path):
    study = searched(tmp_path, space(LR), 2)
    assert not [file for file in OPEN_FILES.iterdir() if STUDY_FILE in os.path.realpath(file)]
    assert states(study) == ["COMPLETE"] * 2


def test_a_trial_that_a_kill_left_half_asked_is_the_next_one(tmp_path):
    """Killed before any value was drawn, after some, and after all: none stays running, none is lost."""
    where = space(LR, "network=mlp,cnn")
    study = take_up(tmp_path, where)
    study.ask()
    study.ask({"algo.lr": where.distributions["algo.lr"]})
    study.ask(where.distributions)
    drawn = [trial.params for trial in study.trials]
    assert states(study) == ["RUNNING"] * 3

    study = take_up(tmp_path, where)
    assert states(study) == ["WAITING"] * 3
    asked = [study.ask(where.distributions) for _ in range(3)]
    assert [trial.number for trial in asked] == [0, 1, 2]
    for trial, before in zip(asked, drawn, strict=True):
        assert trial.params.keys() == where.distributions.keys()
        assert before.items() <= trial.params.items()
    put_back(study)
    assert states(study) == ["WAITING"] * 3


def test_a_waiting_trial_goes_on_in_a_grown_space_and_not_where_it_lies_outside(tmp_path):
    where = space(LR, "network=mlp")
    take_up(tmp_path, where).ask(where.distributions)
    (trial,) = take_up(tmp_path, space(LR, "network=mlp,cnn")).trials
    assert (trial.state.name, trial.params["network"]) == ("WAITING", "mlp")
    assert take_up(tmp_path, space(LR, "network=cnn,mlp64")).trials == []


def test_a_study_of_an_older_poke_is_taken_up_too(tmp_path):
    study = open_study(tmp_path, direction="minimize")
    trial = study.ask()
    trial.suggest_categorical("network", ["mlp", "cnn"])
    study.tell(trial, 1.0)
    study = take_up(tmp_path, space("network=mlp,cnn,battle"))
    assert states(study) == ["COMPLETE"]
    study.tell(study.ask(space("network=mlp,cnn,battle").distributions), 2.0)


@pytest.mark.parametrize("other", [{"monitor": "val/accuracy"}, {"mode": "max"}])
def test_another_objective_is_another_search(tmp_path, other):
    searched(tmp_path, space(LR), 1)
    with pytest.raises(ConfigError, match=r"study.db is a search for val/loss \(min\), not "):
        take_up(tmp_path, space(LR, **other))
    assert (tmp_path / STUDY_FILE).exists()


class Breaking:
    """A launcher under which a job turns out to hold results of another config."""

    def launch(self, jobs, axes, first_number=0):
        raise ConfigError("was run with another config")


def test_no_trial_stays_running_when_the_sweep_ends_by_an_error(tmp_path):
    config = {
        "hydra": {
            "sweep": {"dir": str(tmp_path)},
            "sweeper": {"pruner": {"_target_": "optuna.pruners.NopPruner"}},
        },
        "checkpoint": {"monitor": "val/loss", "mode": "min"},
    }
    sampler = {"_target_": "optuna.samplers.TPESampler", "seed": 0}
    search = Search(OmegaConf.create(config), Breaking(), n_trials=3, n_jobs=2, sampler=sampler)
    with Primary().hydra() as hydra:
        axes = read_axes([LR, "network=mlp"], hydra.config_loader)
    with pytest.raises(ConfigError):
        search.run(axes)
    assert states(open_study(tmp_path)) == ["WAITING"] * 2
