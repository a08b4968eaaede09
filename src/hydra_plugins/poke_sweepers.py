"""Poke's sweepers and launcher, here because Hydra takes plugins from this namespace only; read at every start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from poke.sweep.axes import Axis
    from poke.sweep.table import JobRow


class GridSweeper(Sweeper):
    """Every combination of the values given, each brought to its end once.

    Args:
        max_batch_size: jobs handed to the launcher at a time; all by default.
        params: overrides of the sweep's own, by key, as of Hydra's sweeper; what the command line gives goes before.
    """

    def __init__(self, max_batch_size: int | None, params: DictConfig | None = None) -> None:
        self._max_batch_size = max_batch_size

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Set up the launcher that the config names."""
        from poke.sweep.launching import IdempotentLauncher

        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self._config = config
        self._loader = hydra_context.config_loader
        self._launcher = IdempotentLauncher(
            launcher, hydra_context, config, task_function, self._max_batch_size
        )

    def sweep(self, arguments: list[str]) -> list[JobRow]:
        """Run the jobs that the sweep's overrides name and return what became of each."""
        from poke.sweep.axes import read_axes

        OmegaConf.save(self._config, Path(self._config.hydra.sweep.dir, "multirun.yaml"))
        return self._run(read_axes(arguments, self._loader))

    def _run(self, axes: Sequence[Axis]) -> list[JobRow]:
        from poke.sweep.axes import combinations

        return self._launcher.launch(combinations(axes), {a.key for a in axes if a.is_swept})


class OptunaSweeper(GridSweeper):
    """Trials that Optuna asks for.

    Args:
        n_trials: in all, those of earlier starts included.
        n_jobs: trials asked for at a time.
        sampler: config of the study's sampler.
        pruner: config of what ends trials early; the jobs read it.
        params: as of the grid.
    """

    def __init__(
        self,
        n_trials: int,
        n_jobs: int,
        sampler: Any,
        pruner: Any,
        params: DictConfig | None = None,
    ) -> None:
        super().__init__(None, params)
        self._options = {"n_trials": n_trials, "n_jobs": n_jobs}

    def _run(self, axes: Sequence[Axis]) -> list[JobRow]:
        from poke.sweep.search import Search

        sampler = self._config.hydra.sweeper.sampler
        search = Search(self._config, self._launcher, sampler=sampler, **self._options)
        return search.run(axes)


class RayLauncher(Launcher):
    """Jobs as tasks of a Ray cluster.

    Args:
        init: options of ``ray.init``.
        remote: options of ``ray.remote``.
    """

    max_parallel: int | None = None  # jobs at once; set by the sweep

    def __init__(self, init: DictConfig, remote: DictConfig) -> None:
        self._init: Any = OmegaConf.to_container(OmegaConf.create(init))
        self._remote: Any = OmegaConf.to_container(OmegaConf.create(remote))

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what jobs need."""
        self._given = hydra_context, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run the jobs on the cluster."""
        from poke.sweep.remote import run_on_ray

        return run_on_ray(
            *self._given,
            job_overrides,
            initial_job_idx,
            init=self._init,
            remote=self._remote,
            max_parallel=self.max_parallel,
        )
