"""Files that are whole or absent: written aside, synced, renamed, and hashed on the way.

Knows bytes, names and directories; which files make a run's checkpoints is ``checkpointing``'s matter.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xxhash

TEMPORARY_SUFFIX = ".tmp"
CORRUPT_SUFFIX = ".corrupt"
# The umask narrows this further; a umask of 0 must not make a file that everyone can write.
FILE_MODE = 0o664
READ_BYTES = 1 << 20
WRITE_BYTES = 1 << 25
SPARE_BYTES = 1 << 20


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be saved, found or used; the message is one line."""


@dataclass(frozen=True)
class FileRecord:
    """A written file: its name, size in bytes and xxh3 digest of 128 bits in hexadecimal."""

    name: str
    size_bytes: int
    digest: str


class _HashingFile:
    """What ``torch.save`` writes into: hashes every byte and starts the disk early."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._hash = xxhash.xxh3_128()
        self._handed_over = 0
        self.size_bytes = 0

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data)
        for start in range(0, len(view), WRITE_BYTES):
            self._write_chunk(view[start : start + WRITE_BYTES])
        return len(view)

    def _write_chunk(self, chunk: memoryview) -> None:
        self._hash.update(chunk)
        while chunk:
            written = os.write(self._descriptor, chunk)
            self.size_bytes += written
            chunk = chunk[written:]
        pending = self.size_bytes - self._handed_over
        if pending >= WRITE_BYTES and hasattr(os, "posix_fadvise"):
            # On Linux this begins to write the dirty pages out, so that the sync at the end finds little left.
            os.posix_fadvise(self._descriptor, self._handed_over, pending, os.POSIX_FADV_DONTNEED)
            self._handed_over = self.size_bytes

    def flush(self) -> None:
        """Nothing is held back; ``torch.save`` asks for the method."""

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def write_payload(directory: Path, name: str, payload: Any, *, num_bytes: int) -> FileRecord:
    """Write ``torch.save(payload)`` durably under a name that shows nothing until the file is whole.

    Args:
        directory: where the file goes; its temporary file stands beside it.
        name: the file's name; ``{digest}`` in it stands for the digest of the contents.
        payload: values that ``torch.load(weights_only=True)`` reads.
        num_bytes: about how large the file will be, to be checked against the free space.

    Raises:
        OSError: no space, or the file system refused; nothing is left of the attempt.
    """
    free_bytes = shutil.disk_usage(directory).free
    if free_bytes < num_bytes + SPARE_BYTES:
        raise OSError(
            errno.ENOSPC,
            f"{format_bytes(num_bytes)} needed, {format_bytes(free_bytes)} free",
            str(directory),
        )
    with _temporary_file(directory) as (descriptor, temporary):
        file = _HashingFile(descriptor)
        with _without_zip_checksums():
            torch.save(payload, file)  # type: ignore[arg-type]
        os.fsync(descriptor)
        record = FileRecord(name.format(digest=file.digest), file.size_bytes, file.digest)
        os.replace(temporary, directory / record.name)
    sync_directory(directory)
    return record


def write_text(path: Path, text: str) -> None:
    """Replace a text file durably; a reader sees the old text or the new one.

    Raises:
        OSError: the file system refused; the old text stands.
    """
    with _temporary_file(path.parent) as (descriptor, temporary):
        data = memoryview(text.encode())
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
        os.replace(temporary, path)
    sync_directory(path.parent)


def link(source: Path, target: Path) -> None:
    """Make ``target`` the same file as ``source`` in one step, or a copy of it where links fail."""
    temporary = _temporary_name(target.parent)
    try:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
            _sync(temporary)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def verify_file(path: Path, *, size_bytes: int, digest: str) -> None:
    """Read the whole file and compare it with what was written.

    Raises:
        CheckpointError: it is missing, unreadable or differs in any byte.
    """
    try:
        if path.stat().st_size != size_bytes:
            raise CheckpointError(
                f"{path} has {path.stat().st_size} bytes, {size_bytes} were written"
            )
        if _hash_file(path) != digest:
            raise CheckpointError(f"{path} is damaged: its checksum is not the one written")
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error


def record_of(path: Path) -> tuple[int, str]:
    """Return a file's size in bytes and its digest."""
    return path.stat().st_size, _hash_file(path)


def read_payload(path: Path) -> dict[str, Any]:
    """Return the dict in a file, its tensors mapped from the file privately, on the CPU.

    A mapped tensor may be changed and kept: the file stays as it is, also once deleted.

    Raises:
        CheckpointError: it is missing, no checkpoint, or would run code.
    """
    try:
        payload = torch.load(str(path), map_location="cpu", mmap=True, weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds more than values (a pickle payload): refused, none of its code was run"
        ) from error
    except Exception as error:
        raise CheckpointError(f"{path} is no checkpoint: {first_line(error)}") from error
    if not isinstance(payload, dict):
        raise CheckpointError(f"{path} is no checkpoint: it holds a {type(payload).__name__}")
    return payload


def set_aside(path: Path) -> Path:
    """Rename a damaged file so that nothing takes it for a good one, and return its new path."""
    corrupt = path.with_name(path.name + CORRUPT_SUFFIX)
    number = 1
    while corrupt.exists():
        number += 1
        corrupt = path.with_name(f"{path.name}{CORRUPT_SUFFIX}{number}")
    os.replace(path, corrupt)
    return corrupt


def sweep(directory: Path) -> None:
    """Delete what a killed process left half-written. No other process may be writing there."""
    for leftover in directory.glob(f".*{TEMPORARY_SUFFIX}"):
        leftover.unlink(missing_ok=True)


def sync_directory(directory: Path) -> None:
    """Make renames and deletions in the directory durable."""
    _sync(directory)


def format_bytes(num_bytes: float) -> str:
    """Return a size for people: ``1.2 GB``."""
    for unit in ("B", "kB", "MB"):
        if num_bytes < 1000:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.3g} GB"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type where it has none."""
    return next(iter(str(error).splitlines()), type(error).__name__)


@contextlib.contextmanager
def _temporary_file(directory: Path) -> Iterator[tuple[int, Path]]:
    """Open a file that is gone afterwards, however the block ends, unless the block renamed it."""
    temporary = _temporary_name(directory)
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        yield descriptor, temporary
    finally:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _temporary_name(directory: Path) -> Path:
    return directory / f".{os.getpid()}-{os.urandom(4).hex()}{TEMPORARY_SUFFIX}"


@contextlib.contextmanager
def _without_zip_checksums() -> Iterator[None]:
    """Switch off the zip's own CRC32: it is slow, and ``torch.load`` never looks at it."""
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        yield
    finally:
        torch.serialization.set_crc32_options(before)


def _hash_file(path: Path) -> str:
    digest = xxhash.xxh3_128()
    buffer = memoryview(bytearray(READ_BYTES))
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
