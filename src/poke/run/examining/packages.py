"""Whether what pyproject.toml asks for is installed, read from the installed packages' own descriptions."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from poke.run.examining.findings import BROKEN, MISSING, OK, WIDTH, Finding

if TYPE_CHECKING:
    from packaging.requirements import Requirement

# What each extra of pyproject.toml is for.
EXTRAS = {
    "showdown": "record and play battles",
    "sweep": "sweeps by joblib, submitit (SLURM), Optuna and Ray",
    "ray": "data=ray_rollout",
    "mujoco": "MuJoCo's environments",
    "atari": "Atari's games",
    "box2d": "Gymnasium's Box2D environments",
    "minari": "Minari's data sets, read and written",
    "video": "films of classic control (eval.video=true)",
    "mlflow": "logger.mlflow",
    "trackio": "logger.trackio",
    "export": "poke.export --format onnx",
    "bench": "what benchmarks compare poke with",
    "dev": "poke's own tests and linters",
}


@dataclass(frozen=True)
class Unmet:
    """A requirement that is not met.

    Args:
        requirement: as pip takes it.
        installed: the version that is there instead; None where there is none.
    """

    requirement: str
    installed: str | None

    def __str__(self) -> str:
        if self.installed is None:
            return f"lacks {self.requirement}"
        return f"{self.requirement} is asked for, {self.installed} is installed"


def look_at_python() -> Finding:
    """Find whether this Python is one that poke is made for."""
    from packaging.specifiers import SpecifierSet

    wanted = ",".join(metadata.metadata("poke").get_all("Requires-Python") or [])
    version = platform.python_version()
    if SpecifierSet(wanted).contains(version, prereleases=True):
        return Finding("python", OK, version, needed=True)
    advice = f"make an environment of Python {wanted} and install poke there"
    return Finding("python", BROKEN, f"{version}, not {wanted}", advice, needed=True)


def look_at_packages() -> Finding:
    """Find whether all that poke always needs is installed, in a version that it takes."""
    wanted = list(_requirements("poke", ""))
    unmet = [line for requirement in wanted for line in _unmet(requirement)]
    if not unmet:
        text = f"all {len(wanted)} that poke needs, in versions it takes"
        return Finding("packages", OK, text, needed=True)
    text = "; ".join(map(str, unmet))
    return Finding("packages", BROKEN, text, _installing(unmet), needed=True)


def look_at_extra(name: str) -> Finding:
    """Find whether an extra's packages are installed.

    Args:
        name: the extra's.
    """
    unmet = [line for requirement in _requirements("poke", name) for line in _unmet(requirement)]
    if not unmet:
        return Finding(name, OK, EXTRAS[name])
    status = MISSING if all(line.installed is None for line in unmet) else BROKEN
    worst = next((line for line in unmet if line.installed is not None), unmet[0])
    return Finding(name, status, f"{EXTRAS[name]}: {worst}", f"pip install 'poke[{name}]'")


def torch_wanted() -> str:
    """Return the versions of torch that poke takes, such as ==2.13.0; anything where poke was not installed."""
    try:
        wanted = _requirements("poke", "")
        return next((str(r.specifier) for r in wanted if r.name == "torch"), "")
    except metadata.PackageNotFoundError:
        return ""


def _requirements(distribution: str, extra: str) -> Iterator[Requirement]:
    """Yield what a distribution asks for here: always, or with an extra besides."""
    from packaging.requirements import Requirement

    for line in metadata.requires(distribution) or ():
        requirement = Requirement(line)
        marker = requirement.marker
        always = marker is None or marker.evaluate({"extra": ""})
        with_extra = marker is not None and marker.evaluate({"extra": extra})
        if (with_extra and not always) if extra else always:
            yield requirement


def _unmet(requirement: Requirement) -> Iterator[Unmet]:
    """Yield what a requirement lacks, extras of what it names included, as in gymnasium[mujoco]."""
    plain = f"{requirement.name}{requirement.specifier}"
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        yield Unmet(plain, None)
        return
    if not requirement.specifier.contains(version, prereleases=True):
        yield Unmet(plain, version)
    for extra in requirement.extras:
        for further in _requirements(requirement.name, extra):
            yield from _unmet(further)


def _installing(unmet: Sequence[Unmet]) -> str:
    """Return the command that installs them, or as many of them as there is room for."""
    command = "pip install"
    for line in unmet:
        longer = f"{command} {shlex.quote(line.requirement)}"
        if len(longer) > WIDTH - 4 and command != "pip install":
            break
        command = longer
    return command
