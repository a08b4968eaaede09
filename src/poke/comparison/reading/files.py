"""Files as they are found: opened only if they are files, and text whatever its encoding."""

from __future__ import annotations

import codecs
import errno
import os
import stat
from io import FileIO

# Longer marks first: UTF-32's begins with UTF-16's.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def open_regular(path: str) -> FileIO:
    """Open a file for reading bytes.

    Raises:
        OSError: it cannot be read, or is none: a pipe would wait for its writer, a device never end.
    """
    file = open(path, "rb", buffering=0, opener=_open_at_once)  # noqa: SIM115  the caller closes it
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "is no regular file", path)
    return file


def read_text(path: str) -> str:
    """Return a file's text.

    Raises:
        OSError: the file cannot be read.
        UnicodeDecodeError: its bytes are no text in the encoding that they seem to be in.
    """
    with open_regular(path) as file:
        data = file.read()
    mark, encoding = encoding_of(data)
    return data[len(mark) :].decode(encoding)


def encoding_of(data: bytes) -> tuple[bytes, str]:
    """Return the mark that text begins with, if any, and the encoding that its first bytes tell."""
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return mark, encoding
    if len(data) > 1 and 0 in data[:2] and data[0] != data[1]:  # an ASCII letter in two bytes
        return b"", "utf-16-be" if data[0] == 0 else "utf-16-le"
    return b"", "utf-8"


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
