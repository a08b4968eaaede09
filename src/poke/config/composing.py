"""Compose configs with Hydra and answer every mistake in one line. Imports no torch.

One of two ways to a config: from ``conf/`` and the command line. The other, from a run that exists, is `saved`.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.initialize import get_gh_backup, restore_gh_from_backup
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
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


@dataclass(frozen=True)
class Primary:
    """The config that all others are composed into, and where configs are looked for.

    Args:
        name: such as ``train``.
        folder: where it stands, if not among poke's own; poke's groups are found from there too.
        search_dir: a user's own folder of groups and primary configs, searched besides.
    """

    name: str = "train"
    folder: str | None = None
    search_dir: str | None = None

    @contextmanager
    def hydra(self) -> Iterator[Hydra]:
        """Set Hydra up for this config, and back again.

        Raises:
            ConfigError: a folder that does not exist.
        """
        for folder in (self.folder, self.search_dir):
            if folder is not None and not Path(folder).is_dir():
                raise ConfigError(f"no folder of configs {folder}")
        search_path = create_config_search_path(str(Path(self.folder or config_dir()).absolute()))
        if self.folder is not None:
            search_path.prepend("poke", f"file://{config_dir()}", "schema")
        if self.search_dir is not None:
            search_path.prepend(
                "command-line", f"file://{Path(self.search_dir).absolute()}", "schema"
            )
        version.setbase("1.3")
        before = get_gh_backup()  # a sweep's, while its job looks something up
        GlobalHydra.instance().clear()
        try:
            yield Hydra.create_main_hydra2(self.name, search_path)
        finally:
            restore_gh_from_backup(before)


@dataclass(frozen=True)
class Composed:
    """A config as composed.

    Args:
        config: unresolved, Hydra's own part left out.
        run_dir: where Hydra was told to run, by the command line, a preset or the primary config; None where
            nobody said anything.
    """

    config: DictConfig
    run_dir: Path | None


def compose(name: str, overrides: Sequence[str], *, search_dir: str | None = None) -> DictConfig:
    """Compose ``conf/NAME.yaml`` with overrides from the command line, as `compose_run` does."""
    return compose_run(Primary(name, search_dir=search_dir), overrides).config


def compose_run(primary: Primary, overrides: Sequence[str]) -> Composed:
    """Compose a config with overrides from the command line.

    Args:
        primary: what to compose.
        overrides: Hydra overrides, such as ``algo=bc`` or ``algo.lr=3e-4``.

    Raises:
        ConfigError: an override that cannot be read, or names an unknown key or option.
    """
    try:
        return _compose(primary, overrides)
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
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(_explain(primary, overrides, str(error))) from error


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


def _compose(primary: Primary, overrides: Sequence[str]) -> Composed:
    with primary.hydra() as hydra:
        whole = hydra.compose_config(primary.name, list(overrides), RunMode.RUN, from_shell=False)
        template = OmegaConf.to_container(whole.hydra.run, resolve=False)
        run_dir = None
        if template != _default_run():
            HydraConfig.instance().set_config(whole)
            run_dir = Path(whole.hydra.run.dir)
        with open_dict(whole):
            del whole["hydra"]
        return Composed(whole, run_dir)


@functools.cache
def _default_run() -> Any:
    """What conf/train.yaml says of `hydra.run`: poke names directories itself unless somebody says otherwise."""
    primary = OmegaConf.load(config_dir() / "train.yaml")
    return OmegaConf.to_container(primary.hydra.run, resolve=False)


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


def _explain(primary: Primary, overrides: Sequence[str], message: str) -> str:
    """Say in one line what Hydra says in several."""
    named = re.search(r"(?:Could not override|Could not delete from config\.) '([^']+)'", message)
    if named:
        key = named.group(1)
        groups = [
            o for o in overrides if re.fullmatch(r"[a-z_]+=[^=]+", o) and not o.startswith(key)
        ]
        try:
            base: Mapping[str, Any] = _compose(primary, groups).config
        except (HydraException, ConfigCompositionException, OSError):
            base = _compose(primary, []).config
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
