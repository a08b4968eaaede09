"""How configs are put together from files and overrides: as Hydra does it, but that nothing of poke's leaks into parts
of a user's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from poke.config.knobs import leaf_keys
from poke.config.own import constructor_of, own_nodes
from poke.protocols import OF_GROUP


class Loader(ConfigLoaderImpl):
    """Hydra's, and besides: a node whose `_target_` is a user's own keeps no key of poke's that it does not take.

    Such keys come from the option that `algo._target_=mine.X` is put on, from one that a user's own option extends, and
    from presets. What the user wrote, in a file or as an override, stays, to be answered if it is wrong.

    Args:
        search_path: where configs are looked for.
        ours: the folder of poke's own.
    """

    def __init__(self, search_path: ConfigSearchPath, ours: Path) -> None:
        super().__init__(search_path)
        self._ours = ours

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Compose a config, as Hydra's loader does.

        Raises:
            ConfigError: a part of a user's own cannot be imported.
        """
        config = super().load_configuration(
            config_name, overrides, run_mode, from_shell, validate_sweep_overrides
        )
        written: set[str] | None = None
        groups = {group: OmegaConf.select(config, group) for group in OF_GROUP}
        for group, path, node in list(own_nodes(_plain(groups))):
            constructor = constructor_of(node["_target_"], path)
            for key in node:
                if constructor.takes(key, group):
                    continue
                if written is None:
                    written = self._written(config_name, overrides, run_mode)
                if f"{path}.{key}" not in written:
                    with open_dict(config):
                        del OmegaConf.select(config, path)[key]
        return config

    def _written(
        self, config_name: str | None, overrides: list[str], run_mode: RunMode
    ) -> set[str]:
        """The dotted keys that the user wrote."""
        found: set[str] = set()
        for override in OverridesParser.create().parse_overrides(overrides):
            key, value = override.key_or_group, override.value()
            found.add(key)
            if isinstance(value, Mapping):
                found.update(leaf_keys(value, f"{key}."))
        for default in self.compute_defaults_list(config_name, overrides, run_mode).defaults:
            loaded = self._load_single_config(default, self.repository)
            if Path(loaded.path.removeprefix("file://")) != self._ours:
                found.update(leaf_keys(_plain(loaded.config)))
        return found


def _plain(config: Any) -> dict[str, Any]:
    container = OmegaConf.to_container(OmegaConf.create(config), resolve=False)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}
