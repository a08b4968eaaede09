"""A csv file that grows by rows and by columns, and is a plain csv file at every instant.

A row is appended by one write. For a new column the file is written anew beside the old one, every
row padded, and renamed: whoever reads the old one reads it to its end. Where names go on coming, the
header is given spare commas, which are columns without a name, and the next names are written over
them: a name needs one column and has more letters than that, so that a row fits whatever header a
reader has seen before, and a write of which a reader, or a disk, has seen only the beginning leaves
a csv file too. Rows are no longer padded then: csv and pandas read one that ends before the last
column as one whose last cells are empty. `tidy` pads every row and takes the spare commas away.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from weakref import WeakSet

from poke.training.writers.files.csvformat import columns_of, field, padded

PADDED_BYTES = 1 << 20  # to pad so much takes as long as to copy 10 MB
FIRST_NAMES = 16  # a run has a handful of late names; more of them will be followed by more
LEAST_SPARE = 256  # and in a wide file twice as many as there are columns, which readers bear
PAGE_BYTES = 4096
CHUNK_BYTES = 1 << 20
NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_files: WeakSet[CsvFile] = WeakSet()


class TakenError(ValueError):
    """A file that another run writes."""


class CsvFile:
    """The file, held by one process at a time, and there by who opened it last.

    What raises an OSError may be tried again, and the file is opened anew for that: until it
    succeeds, readers see what they saw before.

    Args:
        path: the file.
        fixed: the columns that come first.
    """

    def __init__(self, path: Path, fixed: Sequence[str]) -> None:
        self.path = path
        self.fixed = list(fixed)
        self.is_known = False  # what stands in the file
        self._is_doubtful = False  # whether that is still so
        self.columns: list[str] = []
        self.num_rows = 0
        self.num_lost = 0  # rows that were gone when it had to be opened anew
        self._temporary = path.with_name(f".{path.name}.tmp")
        self._file: int | None = None
        self._is_taken = False  # by another one in this process
        self._header_bytes = 0
        self._num_spare = 0  # commas at its end
        self._size_bytes = 0
        self._is_ragged = False  # some rows end before the last column
        self._num_widened = 0
        _files.add(self)

    def open(self) -> None:
        """Open the file where it exists, and make sure of what it holds.

        Raises:
            OSError: that cannot be done now.
            TakenError: another process writes it.
            ValueError: it is no such file.
        """
        if self._is_taken:
            raise self._taken()
        if self._file is None:
            self._file = self._opened(self.path, os.O_RDWR)
            try:
                self._recognise()
            except BaseException:
                self.close()
                raise

    def append(self, fields: Sequence[str]) -> None:
        """Append a row, given by a text for every column."""
        self.open()
        assert self._file is not None
        line = (",".join(fields) + "\n").encode()
        try:
            _write(self._file, line, self._size_bytes)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self._size_bytes)
            self.close()
            raise
        self._size_bytes += len(line)
        self.num_rows += 1

    def widen(self, new: Sequence[str]) -> None:
        """Add columns."""
        self.open()
        self._num_widened += 1
        if not self._grow_in_place(new):
            self._rewrite([*(self.columns or self.fixed), *new])

    def cut(self, columns: Sequence[str], num_rows: int) -> None:
        """Keep the first columns and rows, and pad every row; without columns there is no file."""
        self.open()
        if columns:
            self._rewrite(columns, num_rows=num_rows, is_final=True)
            return
        self.path.unlink(missing_ok=True)
        self.close()
        self.is_known = False

    def tidy(self) -> None:
        """Pad every row, and take the spare columns away."""
        if (self._is_ragged or self._num_spare) and not self._is_taken:
            self.open()
            self._rewrite(self.columns, is_final=True)

    def close(self) -> None:
        """Let go of the file, which `open` opens again."""
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
            self._file = None

    def __del__(self) -> None:
        self.close()

    def _opened(self, path: Path, flags: int) -> int | None:
        """Open a file and hold it, so that no other process writes there; None where there is none."""
        while True:
            try:
                file = os.open(path, flags | os.O_CLOEXEC, 0o666)
            except FileNotFoundError:
                if flags & os.O_CREAT:
                    raise
                return None
            try:
                self._hold(file)
                # Its name may have gone to another file before this one was held.
                with suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(file), os.stat(path)):
                        return file
            except BaseException:
                os.close(file)
                raise
            os.close(file)

    def _hold(self, file: int) -> None:
        how = fcntl.LOCK_EX | fcntl.LOCK_NB
        try:
            fcntl.flock(file, how)
        except BlockingIOError:
            # A notebook's cell that is run again meets what its last run left open.
            if not self._take_over(file):
                raise self._taken() from None
            fcntl.flock(file, how)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise

    def _take_over(self, file: int) -> bool:
        for other in list(_files):
            if other._file is not None and os.path.samestat(os.fstat(other._file), os.fstat(file)):
                other.close()
                other._is_taken = True
                return True
        return False

    def _taken(self) -> TakenError:
        return TakenError(f"{self.path} is being written by another run")

    def _recognise(self) -> None:
        """Learn what a file that was just opened holds, or see that it is what it was, and cut off what is torn."""
        size = -1 if self._file is None else os.fstat(self._file).st_size
        if not self.is_known or self._is_doubtful or size < self._size_bytes:
            known = self.num_rows
            self._learn()
            self.num_lost += max(0, known - self.num_rows)
        if self._file is not None:
            os.ftruncate(self._file, self._size_bytes)
            self._temporary.unlink(missing_ok=True)  # a process killed while it wrote one left it

    def _learn(self) -> None:
        """Read the columns and the whole rows."""
        content = b""
        if self._file is not None:
            content = _read(self._file, 0, os.fstat(self._file).st_size)
        columns, num_spare, self._header_bytes = columns_of(content)
        if content and columns[: len(self.fixed)] != self.fixed:
            names = " and ".join(self.fixed)
            raise ValueError(f"{self.path} does not start with the columns {names}")
        self.columns, self._num_spare = columns, num_spare
        lines = content[self._header_bytes : content.rfind(b"\n") + 1].split(b"\n")[:-1]
        commas = len(columns) - 1
        counts = [line.count(b",") for line in lines]
        # After a power cut, rows may be on the disk and the names of their last cells not.
        num_rows = next((i for i, count in enumerate(counts) if count > commas), len(lines))
        del lines[num_rows:]
        self._is_ragged = any(count < commas for count in counts[:num_rows])
        self._size_bytes = self._header_bytes + sum(len(line) + 1 for line in lines)
        self.num_rows, self.is_known, self._is_doubtful = num_rows, True, False

    def _grow_in_place(self, new: Sequence[str]) -> bool:
        """Write names over spare commas; False where they are too few."""
        added = b"".join(b"," + field(column) for column in new)
        start = self._header_bytes - 1 - self._num_spare
        # Half a quoted name would be no csv; what stays in a page is written and read at once.
        is_whole = start // PAGE_BYTES == (start + len(added)) // PAGE_BYTES
        if len(added) > self._num_spare or not (is_whole or b'"' not in added):
            return False
        assert self._file is not None
        try:
            _write(self._file, added.ljust(self._num_spare, b","), start)
        except OSError:
            self.close()
            raise
        self._num_spare -= len(added)
        self.columns = [*self.columns, *new]
        self._is_ragged = True
        return True

    def _rewrite(
        self, columns: Sequence[str], *, num_rows: int | None = None, is_final: bool = False
    ) -> None:
        """Put a file of these columns and the first rows into the old one's place, whole at every moment."""
        is_padded = is_final or self._size_bytes <= PADDED_BYTES
        spare = max(LEAST_SPARE, 2 * len(columns)) if self._num_widened > FIRST_NAMES else 0
        spare = 0 if is_final else spare
        header = b",".join(map(field, columns)) + b"," * spare + b"\n"
        target: int | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            target = self._opened(self._temporary, os.O_RDWR | os.O_CREAT)
            assert target is not None
            if self._file is None and self.path.exists():
                raise TakenError(f"{self.path} was begun by another run")
            os.ftruncate(target, 0)
            size = _write(target, header, 0)
            num_rows = self.num_rows if num_rows is None else num_rows
            if is_padded:
                for chunk in self._chunks(num_rows):
                    size += _write(target, padded(chunk, len(columns) - 1), size)
            elif self._file is not None:
                start, end = self._header_bytes, self._size_bytes
                size += _copy(self._file, start, end - start, target, size)
            os.fsync(target)
            self._is_doubtful = True  # a server may do what it says it did not
            os.replace(self._temporary, self.path)
        except BaseException:
            if target is not None:
                os.close(target)
                with suppress(OSError):
                    self._temporary.unlink(missing_ok=True)
            self.close()
            raise
        self.close()
        self._file = target
        self._is_ragged = not is_padded and (self._is_ragged or len(columns) > len(self.columns))
        self.columns, self.num_rows = list(columns), num_rows
        self._header_bytes, self._num_spare, self._size_bytes = len(header), spare, size
        self.is_known, self._is_doubtful = True, False

    def _chunks(self, left: int) -> Iterator[bytes]:
        """Yield the first so many rows, many at a time."""
        at, size = self._header_bytes, CHUNK_BYTES
        while self._file is not None and left > 0:
            chunk = _read(self._file, at, min(size, self._size_bytes - at))
            chunk = chunk[: chunk.rfind(b"\n") + 1]
            if not chunk:
                size *= 2
                continue
            lines = chunk.count(b"\n")
            if lines > left:
                chunk = b"\n".join(chunk.split(b"\n", left)[:left]) + b"\n"
            left -= lines
            at += len(chunk)
            yield chunk


def _write(file: int, content: bytes, at: int) -> int:
    """Write all of it and return how much that is."""
    written = 0
    while written < len(content):
        written += os.pwrite(file, content[written:], at + written)
    return written


def _read(file: int, at: int, size: int) -> bytes:
    """Read so many bytes.

    Raises:
        OSError: the file ends before.
    """
    parts = []
    while size > 0:
        parts.append(os.pread(file, size, at))
        if not parts[-1]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        at += len(parts[-1])
        size -= len(parts[-1])
    return b"".join(parts)


def _copy(source: int, start: int, size: int, target: int, at: int) -> int:
    """Copy so many bytes from one file into another, inside the system where it can, and return how many."""
    copied = 0
    with suppress(OSError, AttributeError):  # whatever it is, reading and writing meets it too
        while copied < size:
            number = os.copy_file_range(source, target, size - copied, start + copied, at + copied)
            if not number:
                break
            copied += number
    while copied < size:
        chunk = _read(source, start + copied, min(CHUNK_BYTES, size - copied))
        copied += _write(target, chunk, at + copied)
    return copied


def _forget_all() -> None:
    """In a forked child the files are its parent's, who could not be followed by another process otherwise."""
    for file in list(_files):
        file.close()


os.register_at_fork(after_in_child=_forget_all)
