"""Poke's sweepers, here because Hydra takes plugins from this namespace only; read at every start, so kept light."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from poke.sweep.table import JobRow


class GridSweeper(BasicSweeper):
    """Every combination of the values given, each brought to its end once."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Set up the launcher that the config names."""
        from poke.sweep.launching import IdempotentLauncher

        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self._loader = hydra_context.config_loader
        self._sweep_dir = Path(config.hydra.sweep.dir)
        self._idempotent = IdempotentLauncher(self.launcher, hydra_context, config, task_function)

    def sweep(self, arguments: list[str]) -> list[JobRow]:
        """Run the jobs that the sweep's overrides name and return what became of each."""
        parser = OverridesParser.create(config_loader=self._loader)
        overrides = parser.parse_overrides(arguments)
        (jobs,) = self.split_arguments(overrides, None)
        OmegaConf.save(self.config, self._sweep_dir / "multirun.yaml")
        axes = {o.get_key_element() for o in overrides if o.is_sweep_override()}
        return self._idempotent.launch(jobs, axes)
