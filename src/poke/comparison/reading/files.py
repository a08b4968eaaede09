"""Files as they are found: opened only if they are files, and text whatever its encoding."""

from __future__ import annotations

import codecs
import errno
import os
import stat

FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
# Longer marks first: UTF-32's begins with UTF-16's.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def open_regular(path: str) -> tuple[int, int]:
    """Open a file for reading; return its descriptor, which the caller closes, and its size in bytes.

    A descriptor and no file object: of thousands of small files, half the time would go into those.

    Raises:
        OSError: it cannot be read, or is none: a pipe would wait for its writer, a device never end.
    """
    file = os.open(path, FLAGS)
    about = os.fstat(file)
    if stat.S_ISREG(about.st_mode):
        return file, about.st_size
    os.close(file)
    kind = errno.EISDIR if stat.S_ISDIR(about.st_mode) else errno.EINVAL
    raise OSError(kind, os.strerror(kind) if kind == errno.EISDIR else "is no regular file", path)


def read_from(file: int, start: int, num_bytes: int) -> bytes:
    """Return so many bytes of an open file, fewer where it ends before."""
    data = os.pread(file, num_bytes, start)
    while (
        0 < len(data) < num_bytes
    ):  # a file system may give less at once, and gives none at the end
        more = os.pread(file, num_bytes - len(data), start + len(data))
        if not more:
            break
        data += more
    return data


def read_text(path: str) -> str:
    """Return a file's text.

    Raises:
        OSError: the file cannot be read.
        UnicodeDecodeError: its bytes are no text in the encoding that they seem to be in.
    """
    file, size = open_regular(path)
    try:
        data = read_from(file, 0, size)
    finally:
        os.close(file)
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
