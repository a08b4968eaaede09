"""A terminal or pipe that may go away while a run goes on: what is printed then is dropped."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

UNKNOWN_WIDTH = 80
_STANDARD = (1, 2)  # the descriptors of standard output and standard error


class Terminal:
    """A stream of text that never raises: from its first failure on, nothing is written to it.

    Args:
        stream: where text goes; None for standard output as it is at each write, which may be none.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._lost: TextIO | None = None

    @property
    def stream(self) -> TextIO | None:
        """Where text goes now; None where nobody would see it."""
        stream = self._stream or sys.stdout
        return None if stream is self._lost else stream

    def write(self, text: str) -> int:
        """Write text, with what the stream's encoding lacks written out."""
        stream = self.stream
        if stream is not None:
            try:
                stream.write(text)
            except UnicodeEncodeError:
                encoding = stream.encoding or "ascii"
                self.write(text.encode(encoding, "backslashreplace").decode(encoding))
            except (OSError, ValueError):  # ValueError: the stream is closed
                self._give_up(stream)
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        stream = self.stream
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError):
                self._give_up(stream)

    def print(self, line: str) -> None:
        """Write a line, flushed."""
        self.write(f"{line}\n")
        self.flush()

    @property
    def width(self) -> int:
        """How many characters a line has room for, asked anew each time; 80 where nobody knows."""
        with suppress(OSError, ValueError, AttributeError):
            columns = os.get_terminal_size(cast(TextIO, self.stream).fileno()).columns
            if columns:
                return columns
        stated = os.environ.get("COLUMNS", "")
        return (int(stated) if stated.isdecimal() else 0) or UNKNOWN_WIDTH

    @property
    def is_unicode(self) -> bool:
        """Whether more than ASCII can be shown.

        In the C locale python speaks UTF-8 all the same; somebody who asked for that locale by name
        has a terminal that does not.
        """
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        locale = os.environ.get("LC_ALL") or os.environ.get("LANG")
        is_plain = sys.flags.utf8_mode and locale in ("C", "POSIX")
        return encoding.lower().startswith("utf") and not is_plain

    def isatty(self) -> bool:
        """Tell whether somebody may be watching."""
        try:
            return self.stream is not None and self.stream.isatty()
        except ValueError:
            return False

    def __getattr__(self, name: str) -> Any:
        """Whatever else a library asks of a text stream."""
        return getattr(self._stream or sys.stdout, name)

    def _give_up(self, stream: TextIO) -> None:
        """Forget the stream.

        Where it is the process's standard output, that goes nowhere from now on, and so does
        standard error if it went to the same place: what still lies in their buffers would fail at
        the interpreter's end, and what other libraries print would raise there.
        """
        self._lost = stream
        with suppress(OSError, ValueError, AttributeError):
            number = stream.fileno()
            if number in _STANDARD:
                gone = os.fstat(number)
                nowhere = os.open(os.devnull, os.O_WRONLY)
                for other in _STANDARD:
                    if os.path.samestat(os.fstat(other), gone):
                        os.dup2(nowhere, other)
                os.close(nowhere)


class TerminalHandler(logging.Handler):
    """Shows log records on standard output as it is at that moment.

    While a progress bar is up, standard output is the bar's own, which prints above itself; a
    handler that kept the stream it began with would tear the bar.
    """

    def __init__(self) -> None:
        super().__init__()
        self._terminal = Terminal()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        self._terminal.print(formatted(self, record))


def formatted(handler: logging.Handler, record: logging.LogRecord) -> str:
    """Return a record's text; that of a record whose arguments do not fit its message is the message."""
    try:
        return handler.format(record)
    except Exception:
        return str(record.msg)
