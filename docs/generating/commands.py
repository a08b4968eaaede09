"""The page of commands: what each answers to `--help`, on a terminal of 80 columns."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from poke.__main__ import COMMANDS

MORE = ("envs.showdown",)  # commands that `python -m poke` does not list


def page(root: Path) -> str:
    """Return the page.

    Args:
        root: of the repository.
    """
    names = [*COMMANDS, *MORE]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda name: _help(name, root), names))
    parts = ["# Commands\n", "`python -m poke` lists them, and says where runs are.\n"]
    for name, answer in zip(names, answers, strict=True):
        parts.append(f"## `python -m poke.{name}`\n\n```text\n{answer.strip()}\n```\n")
    return "\n".join(parts)


def _help(name: str, root: Path) -> str:
    env = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "PYTHONPATH": str(root / "src")}
    command = [sys.executable, "-m", f"poke.{name}", "--help"]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
