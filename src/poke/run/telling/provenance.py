"""What a process is: where it runs, on which packages and on whose code. Imports no torch."""

from __future__ import annotations

import functools
import os
import platform
import shutil
import site
import socket
import subprocess
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import poke

MAX_DIFF_BYTES = 5_000_000
MAX_CODE_BYTES = 1_000_000


def whereabouts() -> dict[str, Any]:
    """Return host, pid, cwd, python, platform and executable of this process."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "cwd": os.getcwd(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "executable": sys.executable,
    }


@functools.cache
def _installed() -> dict[str, str]:
    found: dict[str, str] = {}
    for folder in sys.path:
        for info in Path(folder).glob("*.dist-info"):
            name, _, version = info.name.removesuffix(".dist-info").partition("-")
            found.setdefault(name.replace("_", "-"), version)
    return found


def packages() -> dict[str, str]:
    """Return name and version of every installed distribution, sorted.

    By folder names, since reading each one's metadata takes a second; torch, once imported, says its version itself:
    its wheels' metadata leave out which build it is.
    """
    found = dict(_installed())
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        found["torch"] = str(torch.__version__)
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def poke_itself() -> dict[str, Any]:
    """Return poke's version, and its commit and whether it is dirty where it runs from a repository of its own."""
    folder = Path(poke.__file__).parent
    known: dict[str, Any] = {"version": poke.__version__, "commit": None, "dirty": None}
    if _git(folder, "ls-files", "--error-unmatch", "protocols.py") is not None:
        known["commit"] = _text(_git(folder, "rev-parse", "HEAD"))
        status = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
        known["dirty"] = bool(status)
    return known


def user_code(run_dir: Path, number: int) -> dict[str, Any] | None:
    """Return the working directory's commit and what differs from it, keeping both the difference and unknown files.

    Args:
        run_dir: gets ``git.diff`` for what differs from the commit, and ``code/`` for imported files of the user's
            that git does not track, up to 1 MB; from the second session on with its number in their names.
        number: the session's, from 1.

    Returns:
        commit, branch, dirty, diff, untracked (every such file, kept or not) and kept_in; None where there is neither
        a repository nor any such file.
    """
    suffix = "" if number == 1 else f".{number}"
    here = Path.cwd()
    status = _git(here, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    about: dict[str, Any] = {"commit": None, "branch": None, "dirty": None, "diff": None}
    if status is not None:
        lines = status.decode(errors="replace").splitlines()
        head = {
            line.split()[1]: line.split(maxsplit=2)[2] for line in lines if line.startswith("# ")
        }
        about["commit"], about["branch"] = head.get("branch.oid"), head.get("branch.head")
        about["dirty"] = any(not line.startswith("#") for line in lines)
        if about["dirty"]:
            about["diff"] = f"git{suffix}.diff"
            diff = _git(here, "diff", "HEAD") or b""
            if len(diff) > MAX_DIFF_BYTES:
                diff = diff[:MAX_DIFF_BYTES] + b"\n[cut here: the diff is longer]\n"
            (run_dir / about["diff"]).write_bytes(diff)
    untracked = _untracked(_imported_files())
    if status is None and not untracked:
        return None
    about["untracked"] = [_short(path) for path in untracked]
    about["kept_in"] = f"code{suffix}" if untracked else None
    if untracked:
        _keep(untracked, run_dir / about["kept_in"])
    return about


def _imported_files() -> list[Path]:
    """Files of imported modules that are neither Python's, nor an installed package's, nor poke's."""
    paths = sysconfig.get_paths()
    others = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    others |= {*site.getsitepackages(), site.getusersitepackages(), str(Path(poke.__file__).parent)}
    others |= {str(path) for path in getattr(sys.modules.get("hydra_plugins"), "__path__", ())}
    roots = tuple(os.path.join(os.path.realpath(folder), "") for folder in others)
    found = set()
    # Fast path: whether a folder is others' is asked once, not of each of its files, of which a run has imported more
    # than a thousand; what is found must be what asking each of them finds.
    is_own: dict[str, bool] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        # Debian keeps the system's in /etc.
        if (
            name in ("sitecustomize", "usercustomize")
            or not isinstance(file, str)
            or not file.endswith(".py")
        ):
            continue
        folder = os.path.dirname(file)
        if folder not in is_own:
            is_own[folder] = not os.path.join(os.path.realpath(folder), "").startswith(roots)
        if is_own[folder] or os.path.islink(file):
            path = Path(file).resolve()
            if path.is_file() and not str(path).startswith(roots):
                found.add(path)
    return sorted(found)


def _untracked(files: Sequence[Path]) -> list[Path]:
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in files:
        by_folder[path.parent].append(path)
    found: list[Path] = []
    for folder, inside in by_folder.items():
        listed = _git(folder, "ls-files", "-z", "--", *(path.name for path in inside)) or b""
        tracked = set(listed.decode(errors="replace").split("\0"))
        found += [path for path in inside if path.name not in tracked]
    return found


def _keep(files: Sequence[Path], folder: Path) -> None:
    total = 0
    for path in files:
        total += path.stat().st_size
        if total > MAX_CODE_BYTES:
            return
        target = folder / _short(path).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _short(path: Path) -> str:
    here = Path.cwd().resolve()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _git(folder: Path, *arguments: str) -> bytes | None:
    command = ("git", "-C", str(folder), *arguments)
    try:
        done = subprocess.run(command, capture_output=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _text(output: bytes | None) -> str | None:
    return None if output is None else output.decode(errors="replace").strip()
