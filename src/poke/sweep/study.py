"""The study of a search, a file in the sweep's directory that the sweep and its jobs share.

A trial waits or runs only while a sweep is at work, or waits for the next one: what a killed sweep left running waits
again. A study's categories and kinds of numbers cannot change, so where the space does, the study is written anew with
those of its trials that lie in the new space, and the old file moves to ``.aside/``.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate

from poke.config.knobs import ConfigError
from poke.sweep import naming

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

log = logging.getLogger("poke.sweep")

STUDY_FILE = "study.db"
PRUNED = "pruned by the search"
_NONE = object()


@dataclass(frozen=True)
class Space:
    """What is searched, with what fixed, and for what.

    Args:
        distributions: of each axis, by its key; categories are values as one writes them in an override.
        fixed: what jobs change besides, as of `naming.identity`.
        monitor: the metric that is the objective.
        mode: min or max.
    """

    distributions: dict[str, BaseDistribution]
    fixed: dict[str, Any]
    monitor: str
    mode: str

    @property
    def direction(self) -> str:
        """The objective's, as Optuna has it."""
        return "minimize" if self.mode == "min" else "maximize"

    def described(self) -> dict[str, str]:
        """Each axis and constant in words, which are kept with the study and shown."""
        constants = {key: json.dumps(value) for key, value in self.fixed.items()}
        return constants | {key: _in_words(each) for key, each in self.distributions.items()}

    def locate(self, point: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the parameters in this space that stand for a job's changes; None where it lies outside.

        Args:
            point: what a job changes. What it left at its default is no reason to lie outside an axis.
        """
        if any(point.get(key, _NONE) != value for key, value in self.fixed.items()):
            return None
        if not point.keys() <= self.fixed.keys() | self.distributions.keys():
            return None
        params = {
            key: _parameter(key, point[key], each)
            for key, each in self.distributions.items()
            if key in point
        }
        return None if _NONE in params.values() else params


def take_up(sweep_dir: Path, space: Space) -> Study:
    """Return the study of a sweep as it is to go on with: a space that changed is said, and no trial is running.

    Args:
        sweep_dir: in this process's hands.
        space: as it is now.

    Raises:
        ConfigError: the study is of another objective.
    """
    study = open_study(sweep_dir, direction=space.direction)
    objective = f"{space.monitor} ({space.mode})"
    before = study.user_attrs.get("objective", objective)
    if before != objective or study.direction.name != space.direction.upper():
        raise ConfigError(
            f"{sweep_dir / STUDY_FILE} is a search for {before}, not {objective}: give the sweep another name"
        )
    put_back(study)
    study = _moved(study, sweep_dir, space)
    study.set_user_attr("objective", objective)
    study.set_user_attr("space", space.described())
    study.set_user_attr("fixed", space.fixed)
    return study


def put_back(study: Study) -> None:
    """Have trials that are running wait: the next that is asked for is one of them, with the values it has."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)


def _moved(study: Study, sweep_dir: Path, space: Space) -> Study:
    """The study in the space as it is now; another one is said, and what lies in both goes on."""
    trials = study.get_trials(deepcopy=False)
    now = space.described()
    known, fixed = study.user_attrs.get("space"), study.user_attrs.get("fixed", space.fixed)
    if known is None:  # an older poke's
        drawn = {key: _in_words(d) for t in trials for key, d in t.distributions.items()}
        known = now | drawn
    if known == now:
        return study
    kept = []
    for trial in trials:
        point = naming.identity(f"{key}={value}" for key, value in trial.params.items())
        params = space.locate(fixed | point)
        if params is not None:
            kept.append((trial, params))
    keys = [key for key in {**known, **now} if known.get(key) != now.get(key)]
    said = ", ".join(f"{k}: {known.get(k, '(none)')} -> {now.get(k, '(none)')}" for k in keys)
    log.info(
        "%s: the search has changed (%s); it goes on with %d of its %d trials",
        sweep_dir, said, len(kept), len(trials),
    )  # fmt: skip
    return _written_anew(sweep_dir, space, kept)


def _written_anew(
    sweep_dir: Path, space: Space, trials: Sequence[tuple[FrozenTrial, Mapping[str, Any]]]
) -> Study:
    """Put a study with these trials, at these parameters, in the place of the old one, which moves aside."""
    from optuna.trial import create_trial

    fresh = sweep_dir / f".{STUDY_FILE}.new"
    fresh.unlink(missing_ok=True)
    anew = _open(fresh, sweep_dir.name, direction=space.direction)
    for trial, params in trials:
        anew.add_trial(
            create_trial(
                state=trial.state,
                value=trial.value,
                params=dict(params),
                distributions={key: space.distributions[key] for key in params},
                user_attrs=trial.user_attrs,
                system_attrs=trial.system_attrs,
                intermediate_values=trial.intermediate_values,
            )
        )
    aside = sweep_dir / naming.ASIDE
    aside.mkdir(exist_ok=True)
    number = 1 + sum(1 for _ in aside.glob(f"{STUDY_FILE}.*"))
    shutil.copy2(sweep_dir / STUDY_FILE, aside / f"{STUDY_FILE}.{number}")
    fresh.replace(sweep_dir / STUDY_FILE)
    return open_study(sweep_dir)


def _parameter(key: str, value: Any, distribution: BaseDistribution) -> Any:
    """The parameter that stands for a value, or `_NONE`."""
    for choice in getattr(distribution, "choices", ()):
        if naming.identity([f"{key}={choice}"]).get(key, _NONE) == value:
            return choice
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _NONE
    is_whole = isinstance(value, int)
    if hasattr(distribution, "choices") or not (is_whole or type(distribution).__name__[0] == "F"):
        return _NONE
    return value if distribution._contains(float(value)) else _NONE


def _in_words(distribution: BaseDistribution) -> str:
    choices = getattr(distribution, "choices", None)
    if choices is not None:
        return ",".join(map(str, choices))
    about = distribution._asdict()
    step = f" by {about['step']}" if about.get("step") not in (None, 1) else ""
    return f"{about['low']}..{about['high']}{step}{' log' if about['log'] else ''}"


def open_study(sweep_dir: Path, **options: Any) -> Study:
    """Return the study in a sweep's directory; given a direction, it is created where there is none."""
    return _open(sweep_dir / STUDY_FILE, sweep_dir.name, **options)


def _open(file: Path, name: str, **options: Any) -> Study:
    import optuna
    from optuna.storages import RDBStorage
    from sqlalchemy.pool import NullPool

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Without a pool a connection ends with what it was opened for: a file may be replaced, and no study need be closed.
    storage = RDBStorage(f"sqlite:///{file.absolute()}", engine_kwargs={"poolclass": NullPool})
    if "direction" in options:
        return optuna.create_study(study_name=name, storage=storage, load_if_exists=True, **options)
    return optuna.load_study(study_name=name, storage=storage, **options)


def reporter(
    sweep_dir: Path, number: int, pruner: Mapping[str, Any], checkpoint: Mapping[str, Any]
) -> Callable[[Mapping[str, float], int], str | None]:
    """Return what tells the study of a trial's evaluations, and ends the trial when its pruner says so.

    Args:
        sweep_dir: where the study is.
        number: the trial's.
        pruner: config of the pruner.
        checkpoint: the run's `checkpoint` config, whose `monitor` is what counts.
    """
    study = open_study(sweep_dir, pruner=instantiate(pruner))
    trial = _trial(study, number)

    def report(metrics: Mapping[str, float], step: int) -> str | None:
        value = metrics.get(checkpoint["monitor"])
        if value is None or not math.isfinite(value):
            return None
        trial.report(value, step)
        return PRUNED if trial.should_prune() else None

    return report


def _trial(study: Study, number: int) -> Trial:
    from optuna.trial import Trial

    return Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)
