"""Whether the programs are there that battles need, and the browser of poke's own tests."""

from __future__ import annotations

import re
import shutil
import subprocess

from poke.envs.showdown import installation
from poke.envs.showdown.installation import ShowdownError
from poke.run.examining.findings import BROKEN, MISSING, OK, Finding

NODE_ADVICE = "install Node.js 20 or newer, or: pip install 'poke[showdown]'"
SHOWDOWN_ADVICE = installation.INSTALL_COMMAND
BROWSER_ADVICE = "apt-get install chromium, or what your system calls it"
_BROWSERS = ("chromium", "chromium-browser")
_SECONDS = 60


def look_at_node() -> Finding:
    """Find the node that battles are played in."""
    try:
        node = installation.find_node()
    except ShowdownError as error:
        status = BROKEN if shutil.which("node") else MISSING
        return Finding("node", status, str(error).partition(":")[0], NODE_ADVICE)
    return Finding("node", OK, f"{_version(str(node))}, {node}")


def look_at_showdown() -> Finding:
    """Find the Pokemon Showdown package in the version that poke is made for."""
    try:
        installation.find_package()
    except ShowdownError as error:
        is_there = (installation.install_dir() / "node_modules" / "pokemon-showdown").exists()
        text = str(error).partition(": ")[0] if is_there else "Pokemon Showdown is not installed"
        return Finding("simulator", BROKEN if is_there else MISSING, text, SHOWDOWN_ADVICE)
    return Finding("simulator", OK, f"Pokemon Showdown {installation.pinned_version()}")


def look_at_browser() -> Finding:
    """Find chromium, in which poke's tests open the pages that it writes; who looks at them may use any browser."""
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        text = "no chromium, which only poke's own tests of pages need"
        return Finding("browser", MISSING, text, BROWSER_ADVICE)
    return Finding("browser", OK, f"chromium {_version(found)}, for poke's own tests of pages")


def _version(program: str) -> str:
    """What a program says its version is, without what it says besides.

    Raises:
        OSError: it cannot be started.
        subprocess.SubprocessError: it fails, or says nothing in time.
    """
    done = subprocess.run(
        [program, "--version"], capture_output=True, text=True, timeout=_SECONDS, check=True
    )
    numbers = re.search(r"\d[\w.]*", done.stdout)
    return numbers[0] if numbers else "of unknown version"
