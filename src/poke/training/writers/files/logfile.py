"""train.log: lines in the order in which they were said, whatever the disk does meanwhile.

A line the file system refuses waits in memory with those after it and is written once that works
again, none twice and none torn. All that append to one file share one queue.
"""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from pathlib import Path
from weakref import WeakValueDictionary

from poke.training.writers.terminal.stream import formatted

MAX_WAITING_BYTES = 1 << 20
_log = logging.getLogger("poke")
_files: WeakValueDictionary[str, LogFile] = WeakValueDictionary()


def log_file(path: str | Path) -> LogFile:
    """Return the file's queue, the same one for everybody in this process."""
    place = os.path.abspath(path)
    file = _files.get(place)
    if file is None:
        file = _files[place] = LogFile(place)
    return file


class LogFile:
    """Appends lines to a file; nothing it does raises.

    Get it from `log_file`. The file is opened for every batch, so that there is nothing to close and
    a handle that went stale harms nobody.

    Args:
        path: the file; created, with its directory, when the first line is written.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._waiting = bytearray()
        self._num_lost = 0  # lines, the oldest, dropped since the last one was written
        self._held = self._writing = self._failing = self._begun = False
        self._lock = threading.RLock()

    def append(self, text: str) -> None:
        """Append a line, or lines, given without the last newline."""
        with self._lock:
            self._waiting += f"{text}\n".encode(errors="backslashreplace")
        self.flush()

    def flush(self) -> None:
        """Write what waits, if the file system lets us."""
        with self._lock:
            # A signal handler may log in the middle of a write: that one takes its line along.
            if self._held:
                self._drop_oldest()
            if self._held or self._writing:
                return
            self._writing = True
            error = None
            try:
                while self._waiting and error is None:
                    error = self._write()
                self._drop_oldest()
            finally:
                self._writing = False
            began, self._failing = error is not None and not self._failing, error is not None
        if began:  # outside the lock: this very message comes back here
            message = "%s cannot be written (%s): its lines are kept in memory until it can be"
            _log.warning(message, self.path, error and (error.strerror or error))

    def hold(self) -> None:
        """Keep all lines in memory until `release`."""
        with self._lock:
            self._held = True

    def release(self) -> None:
        """Write from now on, beginning with what was held."""
        with self._lock:
            self._held = False
        self.flush()

    def discard(self) -> None:
        """Forget what was held, and that lines are held."""
        with self._lock:
            if self._held:
                self._held = False
                self._waiting.clear()

    def _write(self) -> OSError | None:
        """Write the whole lines that fit, and return what kept the others out."""
        try:
            if not self._begun:
                Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            return error
        self._begun = True
        content = self._lost_lines() + self._waiting
        written, refusal = 0, None
        try:
            size = os.fstat(file).st_size
            while written < len(content):
                written += os.write(file, content[written:])
        except OSError as error:
            refusal = error
        whole = content.rfind(b"\n", 0, written) + 1
        if whole < written:
            try:
                os.ftruncate(file, size + whole)
            except OSError:  # the line is torn now: what is missing of it comes next
                whole = written
        with suppress(OSError):
            os.close(file)
        if whole:
            del self._waiting[: max(0, whole - len(self._lost_lines()))]
            self._num_lost = 0
        return refusal

    def _lost_lines(self) -> bytes:
        if not self._num_lost:
            return b""
        return (
            f"[{self._num_lost} lines are missing here: this file could not be written]\n".encode()
        )

    def _drop_oldest(self) -> None:
        excess = len(self._waiting) - MAX_WAITING_BYTES
        if excess > 0:
            end = self._waiting.find(b"\n", excess - 1) + 1
            self._num_lost += self._waiting.count(b"\n", 0, end)
            del self._waiting[:end]

    def _forget(self) -> None:
        """In a forked child: what waits is the parent's, and nobody there lets go of the lock."""
        self._lock = threading.RLock()
        self._waiting.clear()
        self._num_lost, self._writing = 0, False


class LogFileHandler(logging.Handler):
    """Keeps log records, with the tracebacks of errors, in a file.

    Args:
        path: the file, usually train.log.
        deferred: records, and whatever else is appended to the file, are held in memory until
            `begin_writing`; a handler closed before that leaves nothing on disk.
    """

    def __init__(self, path: str | Path, *, deferred: bool = False) -> None:
        super().__init__(logging.DEBUG)
        self._file = log_file(path)
        if deferred:
            self._file.hold()

    def begin_writing(self) -> None:
        """Write what was held, and all that comes at once."""
        self._file.release()

    def emit(self, record: logging.LogRecord) -> None:
        """Append a record."""
        self._file.append(formatted(self, record))

    def flush(self) -> None:
        """Try once more to write what waits."""
        self._file.flush()

    def close(self) -> None:
        """Write what waits, or drop what is still held."""
        self._file.discard()
        self._file.flush()
        super().close()


def _forget_all() -> None:
    for file in list(_files.values()):
        file._forget()


os.register_at_fork(after_in_child=_forget_all)
