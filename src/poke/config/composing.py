"""Compose configs with Hydra and answer every mistake in one line. Imports no torch.

`compose` and `read_run` are the two ways to a config: from ``conf/`` and the command line, or from the
``config.yaml`` of a run that exists.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from poke.config.knobs import ConfigError, did_you_mean, leaf_keys, unknown_key

# Options that come with a package of their own.
PLUGIN_PACKAGES = {
    "hydra/launcher=joblib": "hydra-joblib-launcher",
    "hydra/launcher=submitit_local": "hydra-submitit-launcher",
    "hydra/launcher=submitit_slurm": "hydra-submitit-launcher",
}


def config_dir() -> Path:
    """Return the folder of config groups: in the wheel beside this file, in a checkout at its top."""
    packaged = Path(__file__).parents[1] / "conf"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "conf"


def compose(name: str, overrides: Sequence[str], *, search_dir: str | None = None) -> DictConfig:
    """Compose ``conf/NAME.yaml`` with overrides from the command line.

    Args:
        name: the primary config, such as ``train``.
        overrides: Hydra overrides, such as ``algo=bc`` or ``algo.lr=3e-4``.
        search_dir: a user's own folder of config groups, searched besides poke's.

    Raises:
        ConfigError: an override that cannot be read, or names an unknown key or option.
    """
    search = [f"hydra.searchpath=['file://{Path(search_dir).resolve()}']"] if search_dir else []
    try:
        return _compose(name, [*search, *overrides])
    except OverrideParseException as error:
        _refuse_override(error.override)
    except MissingConfigException as error:
        _refuse_option(error)
    except (
        HydraException,
        ConfigCompositionException,
        OmegaConfBaseException,
        ValueError,
    ) as error:
        raise ConfigError(_explain(name, overrides, str(error))) from error


def to_plain(config: DictConfig) -> dict[str, Any]:
    """Return the config as resolved dicts and lists.

    Raises:
        ConfigError: an interpolation that leads nowhere.
    """
    try:
        plain = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def read_run(run_dir: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Return the config a run was saved with, changed by overrides.

    Args:
        run_dir: the directory of a run.
        overrides: `key=value` for keys the run's config has; groups cannot be changed any more.

    Raises:
        ConfigError: no config there, or an override that does not fit it.
    """
    path = run_dir / "config.yaml"
    if not path.is_file():
        raise ConfigError(f"{run_dir} is no run directory: it holds no config.yaml")
    try:
        config = OmegaConf.load(path)
    except Exception as error:
        raise ConfigError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    assert isinstance(config, DictConfig)
    plain = to_plain(config)
    known = list(leaf_keys(plain))
    for override in parse(overrides):
        key = override.key_or_group
        if override.is_add() or override.is_delete() or override.is_sweep_override():
            raise ConfigError(f"only key=value can be given with resume, not {override.input_line}")
        if key not in known:
            raise ConfigError(unknown_key(key, known))
        if isinstance(OmegaConf.select(config, key), DictConfig):
            raise ConfigError(f"{key} cannot be chosen anew on resume; start a new run instead")
        OmegaConf.update(config, key, override.value())
    return to_plain(config)


def parse(overrides: Sequence[str]) -> list[Override]:
    """Parse overrides by Hydra's grammar.

    Raises:
        ConfigError: for one that cannot be read.
    """
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except OverrideParseException as error:
        _refuse_override(error.override)


def answer(command: Callable[[], int]) -> int:
    """Run a command and return its exit status; a `ConfigError` becomes one line on stderr and status 2."""
    try:
        return command()
    except ConfigError as error:
        print(f"poke: {error}", file=sys.stderr)
        return 2


def _compose(name: str, overrides: Sequence[str]) -> DictConfig:
    with initialize_config_dir(version_base="1.3", config_dir=str(config_dir())):
        return hydra_compose(name, list(overrides))


def _refuse_override(override: str) -> NoReturn:
    if "=" not in override:
        raise ConfigError(f"cannot read '{override}': an override looks like key=value")
    key, _, value = override.partition("=")
    raise ConfigError(
        f"""cannot read '{override}': put special characters in quotes, as in {key}='"{value}"'"""
    )


def _refuse_option(error: MissingConfigException) -> NoReturn:
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    options = sorted(error.options or [])
    if not group:
        raise ConfigError(f"no config {error.missing_cfg_file}")
    if package := PLUGIN_PACKAGES.get(f"{group}={option}"):
        raise ConfigError(
            f"{group}={option} needs {package}, which is not installed: pip install {package}"
        )
    choice = f" (choose from {', '.join(options)})" if options else ""
    near = did_you_mean(option, options) if len(options) > 12 else choice
    raise ConfigError(f"no option {group}={option}{near}")


def _explain(name: str, overrides: Sequence[str], message: str) -> str:
    """Say in one line what Hydra says in several."""
    named = re.search(r"(?:Could not override|Could not delete from config\.) '([^']+)'", message)
    if named:
        key = named.group(1)
        groups = [
            o for o in overrides if re.fullmatch(r"[a-z_]+=[^=]+", o) and not o.startswith(key)
        ]
        try:
            base: Mapping[str, Any] = _compose(name, groups)
        except (HydraException, ConfigCompositionException, OSError):
            base = _compose(name, [])
        container = OmegaConf.to_container(base, resolve=False)
        assert isinstance(container, dict)
        known = list(leaf_keys({str(k): v for k, v in container.items()}))
        if key not in known:
            return unknown_key(key, known)
    ambiguous = re.search(r"Ambiguous value for argument '([^']+)'", message)
    if ambiguous:
        return (
            f"{ambiguous.group(1)} names several values: add -m to sweep, or write [a,b] for a list"
        )
    group = re.search(r"Config group override must be a string or a list", message)
    if group:
        return "a group is chosen by name, as in algo=bc; its values by key, as in algo.lr=3e-4"
    return message.splitlines()[0]
