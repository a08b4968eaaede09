"""The config of a run that exists: read, brought up to date, changed, resolved. Imports no torch.

``config.yaml`` is resolved and what counts; ``.hydra/config.yaml`` holds the same with its interpolations, so that what
follows from another value goes on following it: ``algo.schedule_steps`` follows ``trainer.max_steps``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from poke.config import composing
from poke.config.knobs import ConfigError, leaf_keys, mappings, nodes, unknown_key
from poke.config.migrations import bring_up_to_date
from poke.config.schema import TARGETS, TrainConfig

UNRESOLVED = Path(".hydra", "config.yaml")
CHOICES = Path(".hydra", "hydra.yaml")
STARTS = ("resume", "fork")  # how a process begins is no value of the run
# What cannot change any more, and why.
FIXED = {
    "seed": "every random state goes on from the checkpoint",
    "env.id": "it is another environment",
    "init_from.path": "the run has weights already",
    "init_from.strict": "the run has weights already",
}
RECORDINGS = frozenset({"data.path", "data.fill"})
PATHS = (*sorted(RECORDINGS), "init_from.path")


@dataclass(frozen=True)
class SavedConfig:
    """A run's config, as it is to be used now.

    Args:
        plain: resolved.
        unresolved: the same with its interpolations.
        changed: each key whose value is another because of overrides: before and after.
        notes: a line for each knob that came or went since it was saved.
    """

    plain: dict[str, Any]
    unresolved: DictConfig
    changed: dict[str, tuple[Any, ...]]
    notes: list[str]


def read_run(
    run_dir: Path, overrides: Sequence[str] = (), *, version: int = 1, search_dir: str | None = None
) -> SavedConfig:
    """Return the config a run was saved with, changed by overrides; it is not validated yet.

    Args:
        run_dir: the directory of a run.
        overrides: values for keys the run's config has; options of groups if they are of the run's own kinds.
        version: the config's format, as run.json has it.
        search_dir: a user's own folder of config groups.

    Raises:
        ConfigError: no config there, a newer one, or an override that does not fit it.
    """
    config = _load(run_dir)
    notes = bring_up_to_date(config, version, str(run_dir))
    ours = composing.to_plain(config)
    editor = _Editor(config, run_dir, search_dir)
    for override in composing.parse(overrides):
        editor.apply(override)
    plain = composing.to_plain(config)
    changed = _differences(ours, plain)
    for key, (old, new) in changed.items():
        if key in FIXED:
            raise ConfigError(f"{key}={new} cannot be given to a run that has begun: {FIXED[key]}")
        if key.endswith("_target_") and not key.startswith("logger."):
            raise ConfigError(_another_kind(key.removesuffix("._target_"), old, new))
    given = {key: tuple(map(_or_none, pair)) for key, pair in changed.items()}
    return SavedConfig(plain, config, given, notes)


def from_folders(plain: Mapping[str, Any], folders: Sequence[str]) -> dict[str, Any]:
    """Return the config with relative paths found again from where they were given.

    Args:
        plain: resolved.
        folders: working directories of the processes that worked on the run, the newest first.
    """
    found: dict[str, Any] = {k: dict(v) if isinstance(v, Mapping) else v for k, v in plain.items()}
    for key in PATHS:
        group, _, name = key.partition(".")
        node = found.get(group) or {}
        value = node.get(name)
        if isinstance(value, list):  # of several files each
            node[name] = [_found_again(part, folders) for part in value]
        elif value is not None:
            node[name] = _found_again(value, folders)
    return found


def _found_again(path: Any, folders: Sequence[str]) -> Any:
    if not isinstance(path, str) or Path(path).is_absolute():
        return path
    for folder in folders:
        if Path(folder, path).exists():
            return path if Path(folder) == Path.cwd() else str(Path(folder, path))
    return path


def _load(run_dir: Path) -> DictConfig:
    resolved = _load_file(run_dir / "config.yaml", run_dir)
    if not (run_dir / UNRESOLVED).is_file():
        return resolved
    try:
        config = _load_file(run_dir / UNRESOLVED, run_dir)
        followed = composing.to_plain(config)
    except ConfigError:
        return resolved
    # Where an interpolation leads elsewhere by now (a clock, the environment), or the run was changed by a poke that
    # kept no interpolations, the resolved value is what the run had.
    for key, (saved, _) in _differences(composing.to_plain(resolved), followed).items():
        if saved is _ABSENT:
            _delete(config, key)
        else:
            OmegaConf.update(config, key, saved, merge=False, force_add=True)
    return config


def _load_file(path: Path, run_dir: Path) -> DictConfig:
    if not path.is_file():
        raise ConfigError(f"{run_dir} is no run directory: it holds no {path.name}")
    try:
        config = OmegaConf.load(path)
    except Exception as error:
        line = next(iter(str(error).splitlines()), type(error).__name__)
        raise ConfigError(f"{path} cannot be read: {line}") from error
    if not isinstance(config, DictConfig):
        raise ConfigError(f"{path} cannot be read: it holds no mapping")
    return config


class _Editor:
    """Applies overrides to a run's config.

    Args:
        config: unresolved; changed in place.
        run_dir: whose it is.
        search_dir: a user's own folder of config groups.
    """

    def __init__(self, config: DictConfig, run_dir: Path, search_dir: str | None) -> None:
        self._config = config
        self._run_dir = run_dir
        self._search_dir = search_dir

    def apply(self, override: Override) -> None:
        """Apply one override.

        Raises:
            ConfigError: it does not fit the run.
        """
        key = override.key_or_group
        if key in STARTS:
            return
        if key.partition(".")[0].partition("/")[0] == "hydra":
            raise ConfigError(
                f"{key} cannot be given to a run that has begun: it says how one begins"
            )
        if override.is_sweep_override():
            raise ConfigError(f"{override.input_line} names several values: a run has one of each")
        if self._is_group(key) and not isinstance(override.value(), dict):
            self._choose(key, override)
            return
        known = self._known()
        kinds = dict(mappings(_raw(self._config), TrainConfig, TARGETS))
        if override.is_delete():
            if key in known:
                _delete(self._config, key)
            return
        group = key.rpartition(".")[0]
        is_new = group in kinds and isinstance(_raw_value(self._config, group), Mapping)
        if key not in known and not override.is_add() and not is_new:
            raise ConfigError(unknown_key(key, known))
        value = override.value()
        is_mapping = isinstance(_raw_value(self._config, key), Mapping)
        if is_mapping and not isinstance(value, dict) and not kinds.get(key):
            raise ConfigError(
                f"{key} is a group of values: give them by key, as in {key}.KEY=VALUE"
            )
        OmegaConf.update(self._config, key, value, merge=not kinds.get(key), force_add=True)

    def _known(self) -> list[str]:
        """The keys the config has, and those that it would have if it had been saved today."""
        plain = _raw(self._config)
        declared = [
            f"{path}.{knob.name}" if path else knob.name
            for path, schema, _ in nodes(plain, TrainConfig, TARGETS)
            for knob in fields(schema)
        ]
        return list(dict.fromkeys([*leaf_keys(plain), *declared]))

    def _is_group(self, key: str) -> bool:
        return any((folder / key).is_dir() for folder in self._folders())

    def _folders(self) -> list[Path]:
        own = [Path(self._search_dir)] if self._search_dir else []
        return [*own, composing.config_dir()]

    def _choose(self, group: str, override: Override) -> None:
        option = override.value()
        if option == self._chosen().get(group, _ABSENT):
            return
        now = _raw_value(self._config, group)
        if not isinstance(now, Mapping) or option is None:
            if option is None and now is None:
                return
            raise ConfigError(
                f"{group}={option} is chosen when a run begins; give single values by key, "
                f"or begin a new run"
            )
        composed = composing.compose("train", [f"{group}={option}"], search_dir=self._search_dir)
        node = _raw_value(composed, group)
        if "_target_" in now and node.get("_target_") != now["_target_"]:
            raise ConfigError(_another_kind(group, now["_target_"], f"{option}"))
        for key in leaf_keys(node):
            if not isinstance(_raw_value(node, key), Mapping):
                OmegaConf.update(
                    self._config, f"{group}.{key}", _raw_value(node, key), force_add=True
                )

    def _chosen(self) -> dict[str, Any]:
        """The options the run began with, as Hydra noted them."""
        try:
            about = OmegaConf.load(self._run_dir / CHOICES)
            return dict(OmegaConf.select(about, "hydra.runtime.choices") or {})
        except (OSError, OmegaConfBaseException, ValueError):
            return {}


def _another_kind(group: str, old: object, new: object) -> str:
    return (
        f"{group}={new} is of another kind than the run's ({old}): "
        f"begin a new run, with init_from=RUN for its weights"
    )


class _Absent:
    """No value at all; None is one."""

    def __repr__(self) -> str:
        return "(none)"


_ABSENT: Any = _Absent()


def _or_none(value: Any) -> Any:
    return None if value is _ABSENT else value


def _differences(before: Any, after: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Each dotted key at which two configs differ, and both values."""
    if not (_has_keys(before) and _has_keys(after)):
        same = type(before) is type(after) and before == after
        return {} if same else {path: (before, after)}
    found: dict[str, tuple[Any, Any]] = {}
    for key in dict.fromkeys([*before, *after]):
        inner = f"{path}.{key}" if path else str(key)
        found |= _differences(before.get(key, _ABSENT), after.get(key, _ABSENT), inner)
    return found


def _has_keys(value: Any) -> bool:
    """Whether this is a mapping whose parts a dotted key can name; patterns of metrics may hold dots."""
    return isinstance(value, Mapping) and not any("." in str(key) for key in value)


def _raw(config: Any) -> dict[str, Any]:
    if isinstance(config, DictConfig):
        config = OmegaConf.to_container(config, resolve=False)
    return {str(key): value for key, value in config.items()}


def _raw_value(config: Any, key: str) -> Any:
    """A value as it is written; None where there is none."""
    node: Any = _raw(config)
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node


def _delete(config: DictConfig, key: str) -> None:
    group, _, name = key.rpartition(".")
    node = OmegaConf.select(config, group) if group else config
    del node[name]
