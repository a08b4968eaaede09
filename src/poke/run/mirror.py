"""A copy of a run's directory in an object store, or anywhere else that fsspec reaches: s3://, gs://, file://.

A mirror holds ``objects/``, files by the digest of what they hold, and ``manifests/``, numbered: each says which file
of the run is which object. Objects come before the manifest that names them and go after the last one that did, and a
manifest carries a checksum of itself, so whenever a process or a network dies, the newest whole manifest is a whole
run, on stores without renames, too. What was uploaded is read back before it counts.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import fsspec
import xxhash

from poke.config.knobs import ConfigError
from poke.run.telling.account import FILE_NAME

log = logging.getLogger("poke")

INDEX = "checkpoints/checkpoints.json"
FORMAT = 1
# Before each further attempt at the end of a run, which has no later push to make it good.
RETRY_SECONDS: Sequence[float] = (0.5, 2.0)
_CHUNK = 1 << 20
_LEFT_OUT = ("superseded", "__pycache__")


class MirrorError(ConfigError):
    """A mirror cannot be used, or holds no whole run."""


@dataclass(frozen=True)
class Object:
    """A file's contents.

    Args:
        size_bytes: how many there are.
        digest: xxh3 of 128 bits in hexadecimal.
    """

    size_bytes: int
    digest: str


@dataclass(frozen=True)
class Manifest:
    """A run's files at one moment.

    Args:
        number: counts up.
        run: when the run was started, which tells it from others.
        path: of its directory, as it is named by default where it is restored.
        files: by their paths in it.
    """

    number: int
    run: str
    path: str
    files: Mapping[str, Object]

    def to_text(self) -> str:
        """Return it as it is stored."""
        values = {
            "format": FORMAT,
            "number": self.number,
            "run": self.run,
            "path": self.path,
            "files": {name: [o.size_bytes, o.digest] for name, o in self.files.items()},
        }
        return json.dumps({**values, "checksum": _checksum(values)})

    @classmethod
    def from_text(cls, text: str | bytes) -> Manifest | None:
        """Return what a stored one says; None where it is torn or damaged.

        Raises:
            MirrorError: it is newer than this program.
        """
        try:
            values = json.loads(text)
            if values.pop("checksum") != _checksum(values):
                return None
            if values["format"] > FORMAT:
                raise MirrorError("the mirror was written by a newer poke: update poke")
            files = {name: Object(*known) for name, known in values["files"].items()}
            return cls(values["number"], values["run"], values["path"], files)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, MirrorError):
                raise
            return None


class Store:
    """Objects and manifests at a URL.

    Args:
        url: of one run's mirror.

    Raises:
        MirrorError: no file system of that kind is known, or its package is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        try:
            self._files, root = fsspec.core.url_to_fs(self.url)
        except (ValueError, ImportError) as error:
            raise MirrorError(f"{self.url}: {' '.join(str(error).split())}") from error
        self._root = str(root).rstrip("/")

    def manifests(self) -> list[int]:
        """Return the numbers of the manifests that are there, whole or not, ascending."""
        names = self._names("manifests")
        return sorted(
            int(n.removesuffix(".json")) for n in names if n.removesuffix(".json").isdigit()
        )

    def newest(self) -> Manifest | None:
        """Return the newest whole manifest, or None where there is none."""
        for number in reversed(self.manifests()):
            with self._files.open(self._manifest(number), "rb") as file:
                if found := Manifest.from_text(file.read()):
                    return found
        return None

    def put_manifest(self, manifest: Manifest) -> None:
        """Store a manifest.

        Raises:
            OSError: it is not there as it was written.
        """
        text = manifest.to_text().encode()
        self._files.makedirs(f"{self._root}/manifests", exist_ok=True)
        with self._files.open(self._manifest(manifest.number), "wb") as file:
            file.write(text)
        with self._files.open(self._manifest(manifest.number), "rb") as file:
            if file.read() != text:
                raise OSError(f"{self.url}: a manifest is not as it was written")

    def put(self, source: IO[bytes], about: Object) -> None:
        """Store an object, and read it back.

        Args:
            source: where it is read, from its beginning on.
            about: what it is; what lies behind its size is left alone.

        Raises:
            OSError: it is not there as it is said to be.
        """
        self._files.makedirs(f"{self._root}/objects", exist_ok=True)
        with self._files.open(self._object(about.digest), "wb") as file:
            _copy(source, file.write, about.size_bytes)
        with self._files.open(self._object(about.digest), "rb") as file:
            if digest_of(file) != about:
                raise OSError(f"{self.url}: what was uploaded is not what was read")

    def get(self, about: Object, target: Path) -> None:
        """Write an object to a new file.

        Raises:
            MirrorError: it is missing or damaged.
        """
        digest = xxhash.xxh3_128()

        def take(some: bytes) -> None:
            digest.update(some)
            written.write(some)

        try:
            with (
                self._files.open(self._object(about.digest), "rb") as file,
                open(target, "wb") as written,
            ):
                size = _copy(file, take, None)
                written.flush()
                os.fsync(written.fileno())
        except FileNotFoundError as error:
            raise MirrorError(f"{self.url}: {target.name} is missing") from error
        if (size, digest.hexdigest()) != (about.size_bytes, about.digest):
            raise MirrorError(f"{self.url}: {target.name} is damaged")

    def keep_only(self, manifest: Manifest) -> None:
        """Delete other manifests, and the objects that this one does not name."""
        for number in self.manifests():
            if number != manifest.number:
                self._files.rm_file(self._manifest(number))
        named = {o.digest for o in manifest.files.values()}
        for name in self._names("objects"):
            if name not in named:
                self._files.rm_file(self._object(name))

    def _names(self, folder: str) -> list[str]:
        # Another machine writes there too: what was listed before is no answer.
        self._files.invalidate_cache()
        try:
            found = self._files.ls(f"{self._root}/{folder}", detail=False)
        except FileNotFoundError:
            return []
        return [PurePosixPath(path).name for path in found]

    def _manifest(self, number: int) -> str:
        return f"{self._root}/manifests/{number:010d}.json"

    def _object(self, digest: str) -> str:
        return f"{self._root}/objects/{digest}"


class Mirror:
    """Keeps the copy of a run up to date, beside training and never in its way.

    Args:
        run_dir: the run's directory.
        url: where runs are mirrored; this one gets a place of its own there, see `place_of`.
        run: when the run was started.

    Raises:
        MirrorError: the place cannot be used, or holds another run.
    """

    def __init__(self, run_dir: Path, url: str, run: str) -> None:
        self._run_dir = run_dir
        self._run = run
        self._known: dict[str, tuple[tuple[int, int, int], Object]] = {}  # by path: as of when
        self._due = threading.Event()
        self._closing = False
        self._said: str | None = None
        self._thread: threading.Thread | None = None
        self._store = Store(place_of(url, run_dir))
        try:
            before = self._store.newest()
            self._number = max(self._store.manifests(), default=0)
        except MirrorError:
            raise
        except Exception as error:  # every store has errors of its own
            raise MirrorError(f"checkpoint.mirror={url}: {_line(error)}") from error
        if before is not None and before.run != run:
            raise MirrorError(f"checkpoint.mirror={url}: another run is mirrored in {self.url}")
        self._stored = {o.digest for o in before.files.values()} if before else set()

    @property
    def url(self) -> str:
        """Where this run is mirrored."""
        return self._store.url

    def begin(self) -> None:
        """Begin to mirror: the directory is the run's own from now on."""
        self._thread = threading.Thread(target=self._work, name="mirror", daemon=True)
        self._thread.start()

    def push_soon(self) -> None:
        """Have what the directory holds now, or a little later, mirrored in the background."""
        self._due.set()

    def close(self) -> None:
        """Mirror what the directory holds at the end, and return once it is there, or it is said that it is not."""
        if self._thread is None:
            return
        self._closing = True
        self._due.set()
        self._thread.join()
        for pause in (*RETRY_SECONDS, None):
            error = self._try()
            if error is None:
                log.info("mirrored in %s", self.url)
                return
            if pause is None or isinstance(error, MirrorError):
                log.error("%s lacks the end of the run: %s", self.url, _line(error))
                return
            time.sleep(pause)

    def push(self) -> None:
        """Mirror what the directory holds now.

        Raises:
            MirrorError: another process mirrors the same run.
            Exception: whatever the store raised; what is mirrored stays as it was.
        """
        numbers = self._store.manifests()
        if numbers and numbers[-1] > self._number:
            raise MirrorError("another process goes on with the same run there")
        files = self._upload()
        manifest = Manifest(self._number + 1, self._run, str(_relative(self._run_dir)), files)
        self._number += 1  # even if it fails: half of it may be there
        self._store.put_manifest(manifest)
        self._stored = {o.digest for o in files.values()}
        self._store.keep_only(manifest)

    def _work(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            if self._closing:
                return
            error = self._try()
            reason = None if error is None else _line(error)
            if reason != self._said and reason is not None:
                log.warning("%s is behind, the run goes on: %s", self.url, reason)
            self._said = reason

    def _try(self) -> Exception | None:
        try:
            self.push()
        except Exception as error:
            return error
        return None

    def _upload(self) -> dict[str, Object]:
        """Upload what is new, and return all files: a whole run, though training goes on meanwhile."""
        while True:
            # The list of checkpoints first, as it is now: what it names is on disk before it, and stays a while.
            index = self._bytes(INDEX)
            named = [] if index is None else _named(index)
            paths = [p for p in dict.fromkeys((*named, *_files_of(self._run_dir))) if p != INDEX]
            found = {path: self._put(path) for path in paths}
            files = {path: about for path, about in found.items() if about is not None}
            if index is None:
                return files
            # What is missing has gone since, and the list with it; or somebody took it away, and the list stays.
            if set(named) <= files.keys() or self._bytes(INDEX) == index:
                files[INDEX] = self._put_bytes(index)
                return files

    def _put(self, path: str) -> Object | None:
        """Upload a file of the run, if the store lacks it; None where it is gone."""
        try:
            descriptor = os.open(self._run_dir / path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as source:
            state = os.fstat(source.fileno())
            key = (state.st_ino, state.st_size, state.st_mtime_ns)
            known = self._known.get(path)
            if known is not None and known[0] == key:
                about = known[1]
            else:
                # What is appended meanwhile is no part of it.
                about = digest_of(source, state.st_size)
            if about.digest not in self._stored:
                source.seek(0)
                self._store.put(source, about)
                self._stored.add(about.digest)
            self._known[path] = key, about
        return about

    def _put_bytes(self, contents: bytes) -> Object:
        about = digest_of(io.BytesIO(contents))
        if about.digest not in self._stored:
            self._store.put(io.BytesIO(contents), about)
            self._stored.add(about.digest)
        return about

    def _bytes(self, path: str) -> bytes | None:
        with contextlib.suppress(FileNotFoundError):
            return (self._run_dir / path).read_bytes()
        return None


def place_of(url: str, run_dir: Path) -> str:
    """Return where a run is mirrored: under the URL, by the path of its directory.

    Args:
        url: where runs are mirrored.
        run_dir: the run's directory; one outside the working directory goes by its last two names.
    """
    return f"{url.rstrip('/')}/{_relative(run_dir)}"


def holds_a_mirror(url: str) -> bool:
    """Whether a whole run is mirrored at a URL.

    Raises:
        MirrorError: the store cannot be asked.
    """
    return _asked(Store(url).newest, url) is not None


def restore(url: str, target: Path | None = None) -> Path:
    """Write a mirrored run into a directory of its own, whole or not at all, and return that.

    Args:
        url: of the run's mirror.
        target: the directory, which must not hold anything; None for the path that the run had.

    Raises:
        MirrorError: there is none, it is damaged or cannot be reached, or the directory is not free.
    """
    store = Store(url)
    manifest = _asked(store.newest, url)
    if manifest is None:
        raise MirrorError(f"no run is mirrored in {url}")
    own = PurePosixPath(manifest.path)
    if target is None and (own.is_absolute() or ".." in own.parts or not own.parts):
        raise MirrorError(
            f"{url}: {own} lies outside this folder: say where with hydra.run.dir=DIR"
        )
    run_dir = Path(own) if target is None else target
    if run_dir.exists() and any(run_dir.iterdir()):
        raise MirrorError(
            f"{run_dir} is there already: resume={run_dir} goes on with what it holds"
        )
    work = run_dir.with_name(f".{run_dir.name}.{os.getpid()}.restoring")
    work.mkdir(parents=True)
    try:
        for name, about in manifest.files.items():
            path = work / name
            if not path.resolve().is_relative_to(work.resolve()):
                raise MirrorError(f"{url}: {name} lies outside the run")
            path.parent.mkdir(parents=True, exist_ok=True)
            _asked(lambda about=about, path=path: store.get(about, path), url)  # type: ignore[misc]
        with contextlib.suppress(FileNotFoundError):
            run_dir.rmdir()
        os.replace(work, run_dir)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return run_dir


def digest_of(file: IO[bytes], size: int | None = None) -> Object:
    """Return what a file holds from its position on.

    Args:
        file: is read.
        size: how much of it; None to its end.
    """
    digest = xxhash.xxh3_128()
    count = _copy(file, digest.update, size)
    return Object(count, digest.hexdigest())


def _copy(source: IO[bytes], take: Callable[[bytes], Any], size: int | None) -> int:
    count = 0
    while size is None or count < size:
        some = source.read(_CHUNK if size is None else min(_CHUNK, size - count))
        if not some:
            break
        take(some)
        count += len(some)
    return count


def _asked(ask: Callable[[], Any], url: str) -> Any:
    try:
        return ask()
    except MirrorError:
        raise
    except Exception as error:  # every store has errors of its own
        raise MirrorError(f"{url}: {_line(error)}") from error


def _files_of(run_dir: Path) -> list[str]:
    """Return the paths of a run's own files; neither what only concerns a process, nor what was put aside."""
    found = []
    for folder, folders, names in os.walk(run_dir):
        folders[:] = sorted(f for f in folders if f not in _LEFT_OUT and not f.endswith(".tmp"))
        found += [
            (Path(folder) / name).relative_to(run_dir).as_posix()
            for name in sorted(names)
            if not name.startswith(".")
        ]
    # The account last: it says that the run ended when all else is there.
    return sorted(found, key=lambda path: path == FILE_NAME)


def _named(index: bytes) -> list[str]:
    """Return the files that a list of checkpoints names."""
    listed = json.loads(index)["checkpoints"]
    files = [f"checkpoints/{entry['file']}" for entry in listed]
    segments = [f"checkpoints/segments/{s}" for entry in listed for s in entry.get("segments", ())]
    return files + segments


def _relative(run_dir: Path) -> PurePosixPath:
    path = run_dir.absolute()
    here = Path.cwd()
    own = path.relative_to(here) if path.is_relative_to(here) else Path(*path.parts[-2:])
    return PurePosixPath(own.as_posix().lstrip("/"))


def _checksum(values: Mapping[str, Any]) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(values, sort_keys=True).encode())


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
