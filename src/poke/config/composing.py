"""Compose configs with Hydra and answer every mistake in one line. Imports no torch.

One of two ways to a config: from ``conf/`` and the command line. The other, from a run that exists, is `saved`.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn

import yaml
from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import (
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.initialize import get_gh_backup, restore_gh_from_backup
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from poke.config.knobs import ConfigError, did_you_mean, leaf_keys, unknown_key
from poke.config.loading import Loader
from poke.config.own import constructor_of, own_nodes
from poke.envs.showdown.names import first_win_rate

# Options that come with a package of their own.
PLUGIN_PACKAGES = {
    "hydra/launcher=joblib": "hydra-joblib-launcher",
    "hydra/launcher=submitit_local": "hydra-submitit-launcher",
    "hydra/launcher=submitit_slurm": "hydra-submitit-launcher",
}

# What configs interpolate besides values: conf/eval/battles.yaml.
OmegaConf.register_new_resolver("poke.win_rate", first_win_rate, replace=True)

TO_SEE_MORE = ", set env var HYDRA_FULL_ERROR=1 to see chained exception."


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
    def hydra(self, whole: DictConfig | None = None) -> Iterator[Hydra]:
        """Set Hydra up for this config, and back again.

        Args:
            whole: this config as composed, not to be composed again; Hydra's own part included.

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
            engine = Hydra(self.name, Loader(search_path, config_dir().absolute(), whole))
            GlobalHydra.instance().initialize(engine)
            yield engine
        finally:
            restore_gh_from_backup(before)


@dataclass(frozen=True)
class Composed:
    """A config as composed.

    Args:
        config: unresolved, Hydra's own part left out.
        whole: the same with it.
        run_dir: where Hydra was told to run, by the command line, a preset or the primary config; None where
            nobody said anything.
    """

    config: DictConfig
    whole: DictConfig
    run_dir: Path | None


def compose(name: str, overrides: Sequence[str], *, search_dir: str | None = None) -> DictConfig:
    """Compose ``conf/NAME.yaml`` with overrides from the command line, as `compose_run` does."""
    return compose_run(Primary(name, search_dir=search_dir), overrides).config


def compose_run(primary: Primary, overrides: Sequence[str]) -> Composed:
    """Compose the config of a single run.

    Raises:
        ConfigError: as of `compose_whole`.
    """
    whole = compose_whole(primary, overrides)
    return Composed(without_hydra(whole), whole, named_directory(whole, "run"))


def compose_whole(primary: Primary, overrides: Sequence[str]) -> DictConfig:
    """Compose a config with overrides from the command line, Hydra's own part included.

    Args:
        primary: what to compose.
        overrides: Hydra overrides, such as ``algo=bc`` or ``algo.lr=3e-4``.

    Raises:
        ConfigError: an override that cannot be read, or names an unknown key or option; a config file that cannot be
            read.
    """
    try:
        return _compose(primary, overrides)
    except OverrideParseException as error:
        _refuse_override(error)
    except MissingConfigException as error:
        _refuse_option(error)
    except ConfigError:
        raise
    except yaml.YAMLError as error:
        raise ConfigError(f"a config cannot be read: {' '.join(str(error).split())}") from error
    except (HydraException, OmegaConfBaseException, ValueError, TypeError, AssertionError) as error:
        raise ConfigError(_explain(primary, overrides, error)) from error


def without_hydra(whole: DictConfig) -> DictConfig:
    """Return a config without Hydra's own part, unresolved; the given one stays whole."""
    return OmegaConf.masked_copy(whole, [str(key) for key in whole if key != "hydra"])


def named_directory(whole: DictConfig, mode: str) -> Path | None:
    """Return where Hydra was told to run, by the command line, a preset or the primary config.

    Args:
        whole: a config with Hydra's own part.
        mode: ``run`` or ``sweep``.

    Returns:
        None where nobody said anything: poke names directories itself.

    Raises:
        ConfigError: no directory's name, or an interpolation that leads nowhere.
    """
    written = OmegaConf.to_container(whole.hydra[mode], resolve=False)
    assert isinstance(written, dict)
    if written["dir"] == _default_directory(mode):
        return None
    HydraConfig.instance().set_config(whole)
    try:
        named = whole.hydra[mode].dir
    except OmegaConfBaseException as error:
        raise ConfigError(f"hydra.{mode}.dir: {str(error).splitlines()[0]}") from error
    if not isinstance(named, str) or not named:
        raise ConfigError(f"hydra.{mode}.dir must be a directory, not {named!r}")
    return Path(named)


def place(whole: DictConfig, run_dir: Path) -> None:
    """Have a config, Hydra's own part included, run in a directory.

    It is then what would be composed with ``hydra.run.dir=RUN_DIR`` in the place of what was said of it. Composing it
    again would take about as long as composing it did, and would read files that may have changed since.
    """
    own = whole.hydra
    OmegaConf.set_readonly(own, False)
    own.run.dir = str(run_dir)
    said = [o for o in own.overrides.hydra if o.lstrip("+").partition("=")[0] != "hydra.run.dir"]
    own.overrides.hydra = [*said, f"hydra.run.dir={quoted(run_dir)}"]


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


def parse(overrides: Sequence[str], loader: ConfigLoader | None = None) -> list[Override]:
    """Parse overrides by Hydra's grammar.

    Args:
        overrides: as typed.
        loader: knows the options of groups; needed only where those that ``glob`` means are asked for.

    Raises:
        ConfigError: for one that cannot be read.
    """
    try:
        return OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
    except OverrideParseException as error:
        _refuse_override(error)


def in_short(error: BaseException) -> str:
    """Return an error of Hydra's as one line, with the reason below it where there is one."""
    said = [str(e).strip() for e in (error, error.__cause__) if e is not None]
    lines = [text.splitlines()[0] for text in said if text]
    if lines and lines[0].startswith("Error "):
        lines = [line.replace(TO_SEE_MORE, "").rstrip(":") for line in lines]
        return ": ".join(dict.fromkeys(lines))
    return lines[0] if lines else type(error).__name__


def quoted(path: Path) -> str:
    """Quote a path for Hydra's grammar, where = , and spaces mean something."""
    # A backslash stands for itself but before a quotation mark.
    escaped = re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + (m[2] and "\\'"), str(path))
    return f"'{escaped}'"


def answer(command: Callable[[], int]) -> int:
    """Run a command and return its exit status; a `ConfigError` becomes one line on stderr and status 2."""
    try:
        return command()
    except ConfigError as error:
        print(f"poke: {error}", file=sys.stderr)
        return 2


def _compose(primary: Primary, overrides: Sequence[str]) -> DictConfig:
    with primary.hydra() as hydra:
        return hydra.compose_config(primary.name, list(overrides), RunMode.RUN, from_shell=False)


@functools.cache
def _default_directory(mode: str) -> str:
    """What conf/train.yaml says of `hydra.run.dir` or `hydra.sweep.dir`."""
    primary = OmegaConf.to_container(OmegaConf.load(config_dir() / "train.yaml"), resolve=False)
    assert isinstance(primary, dict)
    return str(primary["hydra"][mode]["dir"])


def _refuse_override(error: OverrideParseException) -> NoReturn:
    override = error.override
    if "=" not in override:
        raise ConfigError(f"cannot read '{override}': an override looks like key=value")
    # what a function of Hydra's grammar has against its arguments
    if wrong := re.search(
        r"Error while evaluating '.*?': (.+)|Exception while .*?': (.+)", str(error)
    ):
        raise ConfigError(f"cannot read '{override}': {wrong.group(1) or wrong.group(2)}")
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
        raise ConfigError(f"{group}={option} needs {package}: pip install 'poke[sweep]'")
    choice = f" (choose from {', '.join(options)})" if options else ""
    near = did_you_mean(option, options) if len(options) > 12 else choice
    raise ConfigError(f"no option {group}={option}{near}")


def _explain(primary: Primary, overrides: Sequence[str], error: Exception) -> str:
    """Say in one line what Hydra says in several."""
    message = str(error)
    named = re.search(r"(?:Could not override|Could not delete from config\.) '([^']+)'", message)
    if named:
        key = named.group(1)
        groups = [
            o for o in overrides if re.fullmatch(r"[a-z_]+=[^=]+", o) and not o.startswith(key)
        ]
        known = _known_keys(primary, groups) or _known_keys(primary, [])
        targets = [o for o in overrides if "._target_=" in o]
        if line := _about_own(primary, [*groups, *targets], key):
            return line
        if known and key not in known:
            return unknown_key(key, known)
    ambiguous = re.search(r"Ambiguous value for argument '([^']+)'", message)
    if ambiguous:
        return (
            f"{ambiguous.group(1)} names several values: add -m to sweep, or write [a,b] for a list"
        )
    group = re.search(r"Config group override must be a string or a list", message)
    if group:
        return "a group is chosen by name, as in algo=bc; its values by key, as in algo.lr=3e-4"
    return in_short(error)


def _about_own(primary: Primary, chosen: Sequence[str], key: str) -> str | None:
    """The answer to a key that the node of a user's own part lacks; None where it is of no such node."""
    try:
        config = OmegaConf.to_container(without_hydra(_compose(primary, chosen)), resolve=False)
    except (HydraException, OmegaConfBaseException, ConfigError, OSError):
        return None
    assert isinstance(config, dict)
    for group, path, node in own_nodes({str(name): node for name, node in config.items()}):
        if path != key.rpartition(".")[0]:
            continue
        constructor = constructor_of(node["_target_"], path)
        if constructor.takes(key.rpartition(".")[2], group):
            return f"{key} is not in the config yet: +{key}=VALUE puts it there"
        return unknown_key(key, [f"{path}.{f.name}" for f in fields(constructor.schema)])
    return None


def _known_keys(primary: Primary, groups: Sequence[str]) -> list[str]:
    """The keys that a config has with some options of groups; none if it cannot be composed."""
    try:
        plain = OmegaConf.to_container(without_hydra(_compose(primary, groups)), resolve=False)
    except (HydraException, OmegaConfBaseException, OSError):
        return []
    assert isinstance(plain, dict)
    return list(leaf_keys({str(key): value for key, value in plain.items()}))
