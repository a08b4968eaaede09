"""Search with Optuna: trials are jobs of a sweep, and the study is a file in the sweep's directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from poke.sweep import naming
from poke.sweep.axes import Axis
from poke.sweep.launching import IdempotentLauncher
from poke.sweep.study import PRUNED, Space, put_back, take_up
from poke.sweep.table import JobRow

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution


class Search:
    """Asks a study for trials, has them run, and tells it what came of them.

    A trial whose job is not at its end when the sweep ends waits in the study, and is the first that the next start
    asks for; `n_trials` counts all starts.

    Args:
        config: the sweep's config.
        launcher: runs the trials' jobs.
        n_trials: how many trials the study is to have.
        n_jobs: trials asked for at a time.
        sampler: config of the study's sampler.
    """

    def __init__(
        self,
        config: DictConfig,
        launcher: IdempotentLauncher,
        *,
        n_trials: int,
        n_jobs: int,
        sampler: Mapping[str, Any],
    ) -> None:
        self._launcher = launcher
        self._sweep_dir = Path(config.hydra.sweep.dir)
        self._monitor, self._mode = config.checkpoint.monitor, config.checkpoint.mode
        self._num_trials = n_trials
        self._num_at_once = n_jobs
        self._sampler = dict(sampler)
        instantiate(
            config.hydra.sweeper.pruner
        )  # the jobs' own; a mistake in it is theirs and all the same

    def run(self, axes: Sequence[Axis]) -> list[JobRow]:
        """Bring the study to its number of trials and return their jobs.

        Args:
            axes: constants, and those to search: `interval`, `range`, `choice`, `glob` and lists of values.

        Raises:
            ConfigError: the study is of another objective.
        """
        space = Space(
            {axis.key: distribution(axis) for axis in axes if axis.is_swept},
            naming.identity(axis.texts[0] for axis in axes if not axis.is_swept),
            self._monitor,
            self._mode,
        )
        study = take_up(self._sweep_dir, space)
        study.sampler = self._seeded(len(study.trials))
        try:
            return self._run(study, axes, space)
        finally:  # what has no end yet is not running any more, however the sweep ends
            put_back(study)

    def _run(self, study: Study, axes: Sequence[Axis], space: Space) -> list[JobRow]:
        rows: list[JobRow] = []
        swept = set(space.distributions)
        while trials := self._next_trials(study, space):
            jobs = [[*_overrides(trial, axes), f"sweep.trial={trial.number}"] for trial in trials]
            results = self._launcher.launch(jobs, swept, first_number=trials[0].number)
            rows += results
            for trial, row in zip(trials, self._launcher.by_digest(jobs), strict=True):
                self._tell(study, trial, row)
            if any(row.status not in ("finished", "failed") for row in results):
                break
        return rows

    def _next_trials(self, study: Study, space: Space) -> list[Trial]:
        """Trials that wait, then new ones while there are some to be made."""
        from optuna.trial import TrialState

        ended = [t for t in study.get_trials(deepcopy=False) if t.state != TrialState.WAITING]
        wanted = min(self._num_at_once, self._num_trials - len(ended))
        return [study.ask(space.distributions) for _ in range(wanted)]

    def _seeded(self, num_known: int) -> Any:
        """The sampler; with the same seed a later start would ask for the same trials."""
        options = self._sampler
        if options.get("seed") is not None:
            options = {**options, "seed": options["seed"] + num_known}
        return instantiate(options)

    def _tell(self, study: Study, trial: Trial, row: JobRow) -> None:
        from optuna.trial import TrialState

        best = row.account.get("best") or {}
        value = best.get("value") if best.get("metric") == self._monitor else None
        if row.status == "finished" and row.account.get("exit_reason") == PRUNED:
            study.tell(trial, state=TrialState.PRUNED)
        elif row.status == "finished" and value is not None:
            study.tell(trial, value)
        elif row.status in ("finished", "failed"):
            study.tell(trial, state=TrialState.FAIL)


def _overrides(trial: Trial, axes: Sequence[Axis]) -> list[str]:
    return [f"{a.key}={trial.params[a.key]}" if a.is_swept else a.texts[0] for a in axes]


def distribution(axis: Axis) -> BaseDistribution:
    """Return what the study draws an axis's value from; of what is no number, the text of the value."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if axis.interval is not None:
        low, high = axis.values
        log = "log" in axis.interval.tags
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=log)
        return FloatDistribution(float(low), float(high), log=log)
    if axis.range is not None:
        low, high = min(axis.range), max(axis.range)
        return IntDistribution(low, high, step=abs(axis.range.step))
    start = len(axis.key) + 1
    return CategoricalDistribution(list(dict.fromkeys(text[start:] for text in axis.texts)))
