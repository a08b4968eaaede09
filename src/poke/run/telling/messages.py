"""What a run says: on the terminal, and in its train.log with tracebacks."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from poke.config.knobs import ConfigError
from poke.distributed.ranks import RankLostError
from poke.training.writers import LogFileHandler, TerminalHandler

log = logging.getLogger("poke")


@contextmanager
def messages(run_dir: Path, *, deferred: bool) -> Iterator[LogFileHandler]:
    """Show the messages of the run on the terminal and keep them, with tracebacks, in its train.log.

    Args:
        run_dir: where train.log is.
        deferred: leave the file alone until the handler that is yielded is told to begin.
    """
    terminal = TerminalHandler()
    terminal.setLevel(logging.INFO)
    file = LogFileHandler(run_dir / "train.log", deferred=deferred)
    before = log.level, log.propagate
    log.setLevel(logging.DEBUG)
    log.propagate = False
    for handler in (terminal, file):
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
    try:
        yield file
    finally:
        for handler in (terminal, file):
            log.removeHandler(handler)
            handler.close()
        log.level, log.propagate = before


def shown(path: Path) -> str:
    """Return the path as short as a person would type it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def one_line(error: BaseException) -> str:
    """Return an error in one line: a mistake by its message alone, anything else with its type."""
    text = " ".join(str(error).split())
    known = isinstance(error, (ConfigError, ValueError, RankLostError)) and text
    return text if known else f"{type(error).__name__}: {text}".rstrip(": ")
