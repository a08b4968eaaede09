"""The whole examination, in the order in which one would mend."""

from __future__ import annotations

from functools import partial
from importlib import metadata
from pathlib import Path

from poke.run.examining import packages, probing, programs
from poke.run.examining.disk import look_at_disk
from poke.run.examining.findings import MISSING, OK, Finding, Group, examined


def examine(outputs: Path) -> list[Group]:
    """Look at everything that poke uses, and change nothing.

    Args:
        outputs: the folder that runs are to be written to.
    """
    return [
        Group("what a run needs", _of_a_run(outputs)),
        Group("battles and pages", _of_battles()),
        Group("extras", _extras()),
    ]


def _of_a_run(outputs: Path) -> list[Finding]:
    found = probing.probe()
    packaging = "pip install packaging"
    return [
        *_of_poke(),
        examined("torch", lambda: probing.look_at_torch(found), advice=packaging, needed=True),
        probing.look_at_imports(found),
        probing.look_at_gpu(found),
        probing.look_at_cores(found),
        *look_at_disk(outputs),
    ]


def _of_poke() -> list[Finding]:
    """What is known of poke's own needs, which only an installation knows."""
    try:
        version = metadata.version("poke")
    except metadata.PackageNotFoundError:
        text = "not installed: it runs from a folder, and what it asks for is not known"
        return [Finding("poke", MISSING, text, "pip install -e . in poke's folder")]
    mended = "pip install packaging"
    return [
        Finding("poke", OK, version),
        examined("python", packages.look_at_python, advice=mended, needed=True),
        examined("packages", packages.look_at_packages, advice=mended, needed=True),
    ]


def _of_battles() -> list[Finding]:
    return [
        examined("node", programs.look_at_node, advice=programs.NODE_ADVICE),
        examined("simulator", programs.look_at_showdown, advice=programs.SHOWDOWN_ADVICE),
        examined("browser", programs.look_at_browser, advice=programs.BROWSER_ADVICE),
    ]


def _extras() -> list[Finding]:
    return [
        examined(name, partial(packages.look_at_extra, name), advice=f"pip install 'poke[{name}]'")
        for name in packages.EXTRAS
    ]
