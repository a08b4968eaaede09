"""Files that are whole or absent: written aside, synced, renamed, and hashed on the way.

Knows bytes, names and directories, not which files make a run's checkpoints.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import pickle
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xxhash

SEAL_PREFIX = b"poke-xxh3-128:"
SEAL_BYTES = len(SEAL_PREFIX) + 32
TEMPORARY_NAME = re.compile(r"\.\d+-[0-9a-f]+\.tmp")
CORRUPT_SUFFIX = ".corrupt"
# The umask narrows this further; a umask of 0 must not make a file that everyone can write.
FILE_MODE = 0o664
READ_BYTES = 1 << 20
WRITE_BYTES = 1 << 25
SMALL_BYTES = 1 << 16
SPARE_BYTES = 1 << 20


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be saved, found or used; the message is one line."""


class DamagedError(CheckpointError):
    """A file that is missing, unreadable, or not what was written."""


@dataclass(frozen=True)
class FileRecord:
    """A written file: its name, size in bytes and xxh3 digest of 128 bits in hexadecimal."""

    name: str
    size_bytes: int
    digest: str


class WrittenFile:
    """A whole, durable file that has no name yet.

    Args:
        temporary: where it stands for now.
        size_bytes: its size.
        digest: of its contents.
    """

    def __init__(self, temporary: Path, size_bytes: int, digest: str) -> None:
        self._temporary = temporary
        self.size_bytes = size_bytes
        self.digest = digest

    def publish(self, name: str) -> FileRecord:
        """Give the file its name, in place of a file that has it.

        Raises:
            OSError: the file system refused.
        """
        os.replace(self._temporary, self._temporary.with_name(name))
        sync_directory(self._temporary.parent)
        return FileRecord(name, self.size_bytes, self.digest)


class _HashingFile:
    """What ``torch.save`` writes into: hashes every byte and starts the disk early."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._error: OSError | None = None
        self._small = bytearray()
        self._hash = xxhash.xxh3_128()
        self._handed_over = 0
        self._size_bytes = 0

    def save(self, payload: Any) -> None:
        try:
            with _without_zip_checksums():
                torch.save(payload, self)  # type: ignore[arg-type]
            self._write_small()
        except Exception:
            if self._error is not None:
                raise self._error from None  # torch reports its own confusion instead
            raise

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data)
        try:
            if len(self._small) + len(view) <= SMALL_BYTES:
                self._small += view
                return len(view)
            self._write_small()
            for start in range(0, len(view), WRITE_BYTES):
                self._write_chunk(view[start : start + WRITE_BYTES])
        except OSError as error:
            self._error = error
            raise
        return len(view)

    def _write_small(self) -> None:
        self._write_chunk(memoryview(self._small))
        self._small = bytearray()

    def _write_chunk(self, chunk: memoryview) -> None:
        self._hash.update(chunk)
        _write_all(self._descriptor, chunk)
        self._size_bytes += len(chunk)
        pending = self._size_bytes - self._handed_over
        if pending >= WRITE_BYTES and hasattr(os, "posix_fadvise"):
            # On Linux this starts writing the pages out: the sync at the end finds little left.
            os.posix_fadvise(self._descriptor, self._handed_over, pending, os.POSIX_FADV_DONTNEED)
            self._handed_over = self._size_bytes

    def flush(self) -> None:
        """Nothing is held back; ``torch.save`` asks for the method."""

    def seal(self) -> tuple[int, str]:
        """Append the digest as the zip's comment and return the file's size and digest."""
        digest = self._hash.hexdigest()
        seal = SEAL_PREFIX + digest.encode()
        _write_all(self._descriptor, memoryview(seal))
        os.pwrite(self._descriptor, len(seal).to_bytes(2, "little"), self._size_bytes - 2)
        return self._size_bytes + len(seal), digest


@contextlib.contextmanager
def written_file(directory: Path, payload: Any, *, num_bytes: int) -> Iterator[WrittenFile]:
    """Write ``torch.save(payload)`` durably, sealed with its own digest, to be published by name.

    The file stays a zip that ``torch.load`` reads: the seal is the zip's comment. If the block ends
    without publishing it, nothing is left.

    Args:
        directory: where the file will stand.
        payload: values that ``torch.load(weights_only=True)`` reads.
        num_bytes: about how large the file will be, to be checked against the free space.

    Raises:
        OSError: no space, or the file system refused.
    """
    free_bytes = shutil.disk_usage(directory).free
    if free_bytes < num_bytes + SPARE_BYTES:
        needed, free = format_bytes(num_bytes + SPARE_BYTES), format_bytes(free_bytes)
        raise OSError(errno.ENOSPC, f"{needed} needed, {free} free", str(directory))
    with _temporary_file(directory) as (descriptor, temporary):
        file = _HashingFile(descriptor)
        file.save(payload)
        size_bytes, digest = file.seal()
        os.fsync(descriptor)
        yield WrittenFile(temporary, size_bytes, digest)


def write_text(path: Path, text: str) -> None:
    """Replace a text file durably; a reader sees the old text or the new one.

    A file that has the text already is left alone.

    Raises:
        OSError: the file system refused; the old text stands.
    """
    data = text.encode()
    if path.is_file() and path.read_bytes() == data:
        return
    with _temporary_file(path.parent) as (descriptor, temporary):
        _write_all(descriptor, memoryview(data))
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


def verify_file(path: Path, expected: FileRecord | None = None) -> FileRecord:
    """Read the whole file, compare it with its seal, and return its record.

    Args:
        path: the file.
        expected: what was written under this name, where that is known.

    Raises:
        DamagedError: it is missing or unreadable, differs from its seal in any byte, has none, or
            is another file than the expected one.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            record = FileRecord(path.name, *_read_sealed(file))
    except FileNotFoundError as error:
        raise DamagedError(f"{path} does not exist") from error
    except OSError as error:
        raise DamagedError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DamagedError(f"{path} is damaged: {error}") from error
    if expected is not None and record != expected:
        raise DamagedError(f"{path} is not the file that was written under this name")
    return record


def read_seal(path: Path) -> str | None:
    """Return the digest that the file's seal states, true or not, or None without a seal."""
    try:
        with open(path, "rb") as file:
            file.seek(-min(SEAL_BYTES, os.fstat(file.fileno()).st_size), os.SEEK_END)
            seal = file.read()
    except OSError:
        return None
    stated = seal[len(SEAL_PREFIX) :].decode("ascii", "replace")
    return stated if seal.startswith(SEAL_PREFIX) else None


def is_recorded(path: Path, record: FileRecord) -> bool:
    """Return whether a file is the recorded one, going by its size and what its seal states."""
    try:
        size_bytes = path.stat().st_size
    except OSError:
        return False
    # A file of format 1 has no seal, and an empty digest on record.
    return size_bytes == record.size_bytes and (read_seal(path) or "") == record.digest


def read_payload(path: Path) -> dict[str, Any]:
    """Return the dict in a file, its tensors mapped from the file privately, on the CPU.

    A mapped tensor may be changed and kept: the file stays as it is, also once deleted.

    Raises:
        DamagedError: it is missing or unreadable.
        CheckpointError: it would run code, or holds no dict.
    """
    try:
        payload = torch.load(str(path), map_location="cpu", mmap=True, weights_only=True)
    except FileNotFoundError as error:
        raise DamagedError(f"{path} does not exist") from error
    except pickle.UnpicklingError as error:
        raise unsafe(path) from error
    except Exception as error:
        raise DamagedError(f"{path} is no checkpoint: {first_line(error)}") from error
    if not isinstance(payload, dict):
        raise CheckpointError(f"{path} is no checkpoint: it holds a {type(payload).__name__}")
    return payload


def unsafe(path: Path) -> CheckpointError:
    """Return what is raised of a file that would run code."""
    return CheckpointError(
        f"{path} holds more than values (a pickle payload): refused, none of its code was run"
    )


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
    for leftover in directory.glob(".*"):
        if not TEMPORARY_NAME.fullmatch(leftover.name):
            continue
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def take_over(path: Path) -> FileRecord:
    """Let not everyone write a file that a library has written, and return its record.

    Raises:
        OSError: the file system refused.
        DamagedError: as of `hash_file`.
    """
    path.chmod(path.stat().st_mode & FILE_MODE)
    return hash_file(path)


def hash_file(path: Path) -> FileRecord:
    """Read a whole file that has no seal and return its record.

    Raises:
        DamagedError: it is missing or unreadable.
    """
    digest, size_bytes = xxhash.xxh3_128(), 0
    try:
        with open(path, "rb", buffering=0) as file:
            while chunk := file.read(READ_BYTES):
                digest.update(chunk)
                size_bytes += len(chunk)
    except FileNotFoundError as error:
        raise DamagedError(f"{path} does not exist") from error
    except OSError as error:
        raise DamagedError(f"{path} cannot be read: {error.strerror}") from error
    return FileRecord(path.name, size_bytes, digest.hexdigest())


@contextlib.contextmanager
def temporary_directory(directory: Path) -> Iterator[Path]:
    """Create a directory that is gone afterwards, however the block ends, unless the block renamed it."""
    temporary = _temporary_name(directory)
    temporary.mkdir(mode=0o775)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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
    return directory / f".{os.getpid()}-{os.urandom(4).hex()}.tmp"


@contextlib.contextmanager
def _without_zip_checksums() -> Iterator[None]:
    """Switch off the zip's own CRC32: it is slow, and ``torch.load`` never looks at it."""
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        yield
    finally:
        torch.serialization.set_crc32_options(before)


def _read_sealed(file: io.FileIO) -> tuple[int, str]:
    """Return the size and digest of a sealed file; ValueError says what is wrong with it."""
    size_bytes = os.fstat(file.fileno()).st_size
    body_bytes = size_bytes - SEAL_BYTES - 2
    if body_bytes < 0:
        raise ValueError(f"it has {size_bytes} bytes")
    digest = xxhash.xxh3_128()
    buffer = memoryview(bytearray(READ_BYTES))
    remaining = body_bytes
    while remaining:
        count = file.readinto(buffer[: min(remaining, READ_BYTES)])
        if not count:
            raise ValueError("it ends early")
        digest.update(buffer[:count])
        remaining -= count
    digest.update(b"\0\0")  # the zip's comment had no length when its digest was taken
    tail = SEAL_BYTES.to_bytes(2, "little") + SEAL_PREFIX + digest.hexdigest().encode()
    if file.read() != tail:
        raise ValueError("its checksum is not that of its contents")
    return size_bytes, digest.hexdigest()


def _write_all(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
