"""Search with Optuna: trials are jobs of a sweep, and the study is a file in the sweep's directory."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.utils import instantiate
from omegaconf import DictConfig

from poke.config.knobs import ConfigError
from poke.sweep.launching import IdempotentLauncher
from poke.sweep.study import PRUNED, open_study
from poke.sweep.table import JobRow

if TYPE_CHECKING:
    from optuna import Trial


class Search:
    """Asks a study for trials, has them run, and tells it what came of them.

    A trial that was running when the sweep ended is gone on with by the next start; `n_trials` counts all starts.

    Args:
        config: the sweep's config.
        launcher: runs the trials' jobs.
        n_trials: how many trials the study is to have.
        n_jobs: trials asked for at a time.
        sampler: config of the study's sampler.

    Raises:
        ConfigError: Optuna is not installed.
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
        if importlib.util.find_spec("optuna") is None:
            raise ConfigError(
                "hydra/sweeper=optuna needs optuna, which is not installed: pip install optuna"
            )
        self._launcher = launcher
        self._monitor = config.checkpoint.monitor
        self._num_trials = n_trials
        self._num_at_once = n_jobs
        direction = "minimize" if config.checkpoint.mode == "min" else "maximize"
        self._study = open_study(Path(config.hydra.sweep.dir), direction=direction)
        options = dict(sampler)
        if (
            options.get("seed") is not None
        ):  # with the same one a later start would ask for the same trials
            options["seed"] += len(self._study.trials)
        self._study.sampler = instantiate(options)

    def run(self, overrides: Sequence[Override]) -> list[JobRow]:
        """Bring the study to its number of trials and return their jobs.

        Args:
            overrides: fixed ones, and axes to search: `interval`, `range`, `choice` and lists of values.
        """
        rows: list[JobRow] = []
        axes = {o.get_key_element() for o in overrides if o.is_sweep_override()}
        while trials := self._next_trials():
            jobs = [
                [*(_suggest(trial, o) for o in overrides), f"sweep.trial={trial.number}"]
                for trial in trials
            ]
            results = self._launcher.launch(jobs, axes, first_number=trials[0].number)
            rows += results
            by_digest = self._launcher.by_digest(jobs)
            for trial, row in zip(trials, by_digest, strict=True):
                self._tell(trial, row)
            if any(row.status not in ("finished", "failed") for row in results):
                break
        return rows

    def _next_trials(self) -> list[Trial]:
        """Trials that an earlier start left running, then new ones while there are some to be made."""
        from optuna.trial import Trial, TrialState

        left = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        trials = [Trial(self._study, trial._trial_id) for trial in left[: self._num_at_once]]
        num_known = len(self._study.get_trials(deepcopy=False))
        num_new = min(self._num_at_once - len(trials), self._num_trials - num_known)
        return trials + [self._study.ask() for _ in range(num_new)]

    def _tell(self, trial: Trial, row: JobRow) -> None:
        from optuna.trial import TrialState

        best = row.account.get("best") or {}
        value = best.get("value") if best.get("metric") == self._monitor else None
        if row.status == "finished" and row.account.get("exit_reason") == PRUNED:
            self._study.tell(trial, state=TrialState.PRUNED)
        elif row.status == "finished" and value is not None:
            self._study.tell(trial, value)
        elif row.status in ("finished", "failed"):
            self._study.tell(trial, state=TrialState.FAIL)


def _suggest(trial: Trial, override: Override) -> str:
    """One override of a trial's job, with a value that the study suggests where it is an axis."""
    key = override.get_key_element()
    if not override.is_sweep_override():
        return f"{key}={override.get_value_element_as_str()}"
    axis = override.value()
    if isinstance(axis, IntervalSweep):
        log = "log" in axis.tags
        low, high = axis.start, axis.end
        if isinstance(low, int) and isinstance(high, int):
            return f"{key}={trial.suggest_int(key, low, high, log=log)}"
        return f"{key}={trial.suggest_float(key, float(low or 0), float(high or 0), log=log)}"
    if isinstance(axis, RangeSweep):
        start, stop, step = axis.start, axis.stop, axis.step
        if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int):
            return f"{key}={trial.suggest_int(key, start, stop - 1, step=step)}"
    assert isinstance(axis, ChoiceSweep | RangeSweep)
    return f"{key}={trial.suggest_categorical(key, list(override.sweep_string_iterator()))}"
