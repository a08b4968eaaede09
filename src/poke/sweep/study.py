"""The study of a search, a file in the sweep's directory that the sweep and its jobs share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate

if TYPE_CHECKING:
    from optuna import Study, Trial

STUDY_FILE = "study.db"
PRUNED = "pruned by the search"


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


def open_study(sweep_dir: Path, **options: Any) -> Study:
    """Return the study in a sweep's directory; given a direction, it is created where there is none."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = f"sqlite:///{(sweep_dir / STUDY_FILE).absolute()}"
    name = sweep_dir.name
    if "direction" in options:
        return optuna.create_study(study_name=name, storage=storage, load_if_exists=True, **options)
    return optuna.load_study(study_name=name, storage=storage, **options)


def _trial(study: Study, number: int) -> Trial:
    from optuna.trial import Trial

    return Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)
