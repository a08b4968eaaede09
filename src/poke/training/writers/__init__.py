"""Sinks of metrics, one module each. A sink's library is imported when it is first written to.

`terminal` is what a person sees, `files` the record, `services` what lies behind a network or a database.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poke.training.writers.files.csv import CsvWriter as CsvWriter
    from poke.training.writers.files.logfile import LogFileHandler as LogFileHandler
    from poke.training.writers.memory import MemoryWriter as MemoryWriter
    from poke.training.writers.services.mlflow import MlflowWriter as MlflowWriter
    from poke.training.writers.services.trackio import TrackioWriter as TrackioWriter
    from poke.training.writers.services.wandb import WandbWriter as WandbWriter
    from poke.training.writers.tensorboard import TensorBoardWriter as TensorBoardWriter
    from poke.training.writers.terminal.console import ConsoleWriter as ConsoleWriter
    from poke.training.writers.terminal.stream import TerminalHandler as TerminalHandler

_MODULES = {
    "ConsoleWriter": "terminal.console",
    "CsvWriter": "files.csv",
    "LogFileHandler": "files.logfile",
    "MemoryWriter": "memory",
    "MlflowWriter": "services.mlflow",
    "TensorBoardWriter": "tensorboard",
    "TerminalHandler": "terminal.stream",
    "TrackioWriter": "services.trackio",
    "WandbWriter": "services.wandb",
}


def __getattr__(name: str) -> Any:
    """Import the module of a writer when the writer is asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
