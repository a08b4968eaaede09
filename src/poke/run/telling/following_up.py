"""What to type after a run: how to go on with it, and, when it was the first, how to look at it. Imports no torch."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poke.config.composing import quoted
from poke.run.telling.messages import shown

OUTPUTS = Path("outputs")


def resuming(run_dir: Path) -> str:
    """Return the command that goes on with a run."""
    place = shown(run_dir)
    if not re.fullmatch(r"[\w./+-]+", place):  # Hydra's grammar reads more than letters
        place = quoted(Path(place))
    return f"{_program()} -m poke.train {shlex.quote(f'resume={place}')}"


def is_first(run_dir: Path) -> bool:
    """Whether a run is the only one below outputs/, where somebody begins to use poke: later ones are told nothing."""
    found = [*OUTPUTS.glob("*/run.json"), *OUTPUTS.glob("*/*/run.json")]
    return [path.parent.resolve() for path in found] == [run_dir.resolve()]


def next_commands(run_dir: Path, config: Mapping[str, Any], *, can_go_on: bool) -> list[str]:
    """Return what may be typed after a run that has finished: to look at it, to go on, to see its curves.

    Args:
        run_dir: the run's directory.
        config: the run's, resolved.
        can_go_on: whether it ended at trainer.max_steps, so that more of them let it go on.
    """
    commands = [f"{_program()} -m poke.compare show {shlex.quote(shown(run_dir))}"]
    if can_go_on:
        longer = 2 * config["trainer"]["max_steps"]
        commands.append(f"{resuming(run_dir)} trainer.max_steps={longer}")
    tensorboard = config["logger"].get("tensorboard") or {}
    if tensorboard.get("enabled"):
        events = shlex.quote(shown(run_dir / tensorboard["location"]))
        commands.append(f"{_program()} -m tensorboard.main --logdir {events}")
    return commands


def _program() -> str:
    """Python, as it was typed: an environment that is not active has it under another name."""
    return shlex.quote(sys.orig_argv[0])
