"""How configs are put together from files and overrides.

As Hydra does it, but that nothing of poke's leaks into parts of a user's own, and that mappings with names of the
user's own take such names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import IConfigRepository
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from poke.config.knobs import leaf_keys, mappings
from poke.config.own import constructor_of, own_nodes
from poke.config.schema import TARGETS, TrainConfig
from poke.protocols import OF_GROUP


class Loader(ConfigLoaderImpl):
    """Hydra's, and besides: a node whose `_target_` is a user's own keeps no key of poke's that it does not take.

    Such keys come from the option that `algo._target_=mine.X` is put on, from one that a user's own option extends, and
    from presets. What the user wrote, in a file or as an override, stays, to be answered if it is wrong.

    Args:
        search_path: where configs are looked for.
        ours: the folder of poke's own.
        whole: the first config that is asked for, composed before. None: all are composed here.
    """

    def __init__(
        self, search_path: ConfigSearchPath, ours: Path, whole: DictConfig | None = None
    ) -> None:
        super().__init__(search_path)
        self._ours = ours
        self._whole = whole
        self._overrides: list[str] = []

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
        whole, self._whole = self._whole, None  # once: Hydra takes it apart
        if whole is not None:
            return whole
        self._overrides = overrides
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

    def _compose_config_from_defaults_list(
        self, defaults: list[ResultDefault], repo: IConfigRepository
    ) -> DictConfig:
        """Compose what overrides are then applied to, and prepare it for those of mappings."""
        config = super()._compose_config_from_defaults_list(defaults, repo)
        # Only what gives a mapping, or a name within a value of a group: others need not be read twice.
        likely = [o for o in self._overrides if re.search(r"=\s*[{[]|^[^=]*\.[^=]*\.", o)]
        if not likely:
            return config
        kinds = dict(mappings(_plain(config), TrainConfig, TARGETS))
        for override in OverridesParser.create().parse_overrides(likely):
            key = override.key_or_group
            value = override.value()
            if kinds.get(key) and isinstance(value, Mapping | list):
                empty: Any = {} if isinstance(value, Mapping) else []
                OmegaConf.update(config, key, empty, merge=False)
            for place in (key, key.rpartition(".")[0]):
                node = OmegaConf.select(config, place) if place in kinds else None
                if isinstance(node, DictConfig):
                    OmegaConf.set_struct(node, False)
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
