"""Writes in the background, one at a time; one that fails is tried again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from poke.training.checkpointing.files import CheckpointError, first_line

logger = logging.getLogger("poke")

# How long to wait before each further attempt; the last save of all has no successor to make it good.
RETRY_SECONDS: Sequence[float] = (0.1, 0.4)
LAST_RETRY_SECONDS: Sequence[float] = (0.2, 0.5, 1.0, 2.0, 3.0)


class Writer:
    """Runs one write after the other.

    Args:
        in_background: return from ``submit`` before the write is done.
    """

    def __init__(self, *, in_background: bool) -> None:
        self._in_background = in_background
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint-writer")
        self._writing: Future[None] | None = None
        self._failed: tuple[str, Callable[[], None]] | None = None
        self._said: str | None = None

    @property
    def has_failed(self) -> bool:
        """Whether the last write failed and ``finish`` has not tried it again."""
        return self._failed is not None

    def submit(self, name: str, write: Callable[[], None]) -> None:
        """Write, after the write before; that one is given up if it failed.

        A failure is said in one line; the same failure is not said of one save after the other.

        Args:
            name: what people know the written file by.
            write: may be called several times, until a later call of ``submit``.
        """
        self.join()
        self._failed = None
        self._writing = self._pool.submit(self._write, name, write)
        if not self._in_background:
            self.join()

    def join(self) -> None:
        """Return once nothing is being written."""
        if self._writing is not None:
            self._writing.result()
            self._writing = None

    def finish(self) -> None:
        """Return once everything is written; a last write that failed is tried again, harder.

        Raises:
            CheckpointError: it failed again.
        """
        self.join()
        if self._failed is None:
            return
        (name, write), self._failed = self._failed, None
        if error := _attempt(write, LAST_RETRY_SECONDS):
            raise CheckpointError(
                f"the last checkpoint was not written: {first_line(error)}"
            ) from error
        self._said = None
        logger.warning("%s is written after all", name)

    def close(self) -> None:
        """Take no more writes."""
        self._pool.shutdown()

    def _write(self, name: str, write: Callable[[], None]) -> None:
        error = _attempt(write, RETRY_SECONDS)
        if error is None:
            self._said = None
            return
        self._failed = name, write
        reason = f"{type(error).__name__} {getattr(error, 'errno', None) or first_line(error)}"
        if reason != self._said:
            self._said = reason
            logger.error(
                "%s not written, the checkpoints before it stand: %s", name, first_line(error)
            )


def _attempt(write: Callable[[], None], pauses: Sequence[float]) -> Exception | None:
    """Write, again after each pause where the file system refused; return the last error."""
    for pause in (*pauses, None):
        try:
            write()
            return None
        except Exception as error:
            if pause is None or not isinstance(error, OSError):
                return error
        time.sleep(pause)
    return None
