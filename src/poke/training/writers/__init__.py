"""Sinks of metrics, one module each. A sink's library is imported when it is first written to."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poke.training.writers.console import ConsoleWriter as ConsoleWriter
    from poke.training.writers.csv import CsvWriter as CsvWriter
    from poke.training.writers.logfile import LogFileHandler as LogFileHandler
    from poke.training.writers.memory import MemoryWriter as MemoryWriter
    from poke.training.writers.mlflow import MlflowWriter as MlflowWriter
    from poke.training.writers.tensorboard import TensorBoardWriter as TensorBoardWriter
    from poke.training.writers.terminal import TerminalHandler as TerminalHandler
    from poke.training.writers.trackio import TrackioWriter as TrackioWriter
    from poke.training.writers.wandb import WandbWriter as WandbWriter

_MODULES = {
    "ConsoleWriter": "console",
    "CsvWriter": "csv",
    "LogFileHandler": "logfile",
    "MemoryWriter": "memory",
    "MlflowWriter": "mlflow",
    "TensorBoardWriter": "tensorboard",
    "TerminalHandler": "terminal",
    "TrackioWriter": "trackio",
    "WandbWriter": "wandb",
}


def __getattr__(name: str) -> Any:
    """Import the module of a writer when the writer is asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
