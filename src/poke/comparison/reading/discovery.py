"""Find run directories below a folder, and tell when their files have changed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

RECORD_FILE = "run.json"
METRIC_FILES = ("metrics.csv", "progress.csv")
CONFIG_FILES = ("config.json", "config.yaml", "hparams.yaml")
SETTLED_NANOSECONDS = (
    2_000_000_000  # a file may change twice within a tick of its file system's clock
)
HYDRA_CONFIG = os.path.join(".hydra", "config.yaml")


class Fingerprint(NamedTuple):
    """What tells the files of a run from those of an earlier look.

    Args:
        identity: name, mtime, ctime, size and inode of each file, as text.
        modified: newest mtime, nanoseconds since 1970.
        newest: newest mtime or ctime, nanoseconds since 1970.
    """

    identity: str
    modified: int
    newest: int

    def is_settled(self, now: int) -> bool:
        """Tell whether the files were so old at a time, in nanoseconds since 1970, that a later change shows."""
        return self.newest + SETTLED_NANOSECONDS < now

    def inode(self, name: str) -> str | None:
        """Return the inode of one of the files, None where it was not there."""
        part = next(
            (part for part in self.identity.split("|") if part.startswith(f"{name} ")), None
        )
        return part and part.rpartition(" ")[2]


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The files of one run directory that a comparison reads.

    Args:
        root: the folder that was searched.
        directory: the run directory, as it was reached from there.
        record: name of the file that says what the run did, None where there is none.
        config: name of the file that holds the resolved config.
        metrics: name of the file that holds the metrics.
    """

    root: str
    directory: str
    record: str | None
    config: str | None
    metrics: str | None

    def path(self, name: str) -> str:
        """Return the path of a file of this run."""
        return f"{self.directory}/{name}"

    def fingerprint(self) -> Fingerprint:
        """Return the identity of the files as they are now."""
        parts = []
        modified, changed = [0], [0]
        for name in (self.config, self.metrics, self.record):
            try:
                stat = os.stat(self.path(name)) if name else None
            except OSError:
                stat = None
            if stat is None:
                parts.append("-")
                continue
            modified.append(stat.st_mtime_ns)
            changed.append(stat.st_ctime_ns)
            parts.append(f"{name} {modified[-1]} {changed[-1]} {stat.st_size} {stat.st_ino}")
        newest = max(modified)
        return Fingerprint("|".join(parts), newest, max(newest, *changed))


def find_runs(
    root: str, seen: set[str] | None = None, known: Mapping[str, RunFiles] | None = None
) -> Iterator[RunFiles]:
    """Yield every run directory at or below ``root``, in the order of their paths.

    A directory is a run when it holds ``run.json`` or a metrics file; nothing below it is searched. Links to
    directories are followed after everything else, so that a directory reached twice goes by its own
    name and a loop ends.

    Args:
        root: the folder to search.
        seen: real paths of directories met so far; share it between roots that may overlap.
        known: runs by directory that need not be looked at again.
    """
    seen = set() if seen is None else seen
    links: list[str] = [root]
    while links:
        link = links.pop(0)
        yield from _walk(root, link, os.path.realpath(link), seen, links, known or {})


def _walk(
    root: str,
    directory: str,
    real: str,
    seen: set[str],
    links: list[str],
    known: Mapping[str, RunFiles],
) -> Iterator[RunFiles]:
    if real in seen:
        return
    seen.add(real)
    if directory in known:
        yield known[directory]
        return
    try:
        with os.scandir(directory) as scan:
            listed = list(scan)
    except OSError:  # no permission, or gone since its parent was listed: there is no run to read
        return
    names = {entry.name for entry in listed}
    metrics = _first(METRIC_FILES, names)
    if metrics or RECORD_FILE in names:
        yield RunFiles(
            root,
            directory,
            RECORD_FILE if RECORD_FILE in names else None,
            _first(CONFIG_FILES, names) or (HYDRA_CONFIG if ".hydra" in names else None),
            metrics,
        )
        return
    for entry in sorted(listed, key=attrgetter("name")):
        if entry.name.startswith("."):
            continue
        if entry.is_symlink():
            if os.path.isdir(entry.path):  # a link to itself is none; entry.is_dir() would raise
                links.append(entry.path)
        elif entry.is_dir():
            yield from _walk(root, entry.path, f"{real}/{entry.name}", seen, links, known)


def _first(wanted: tuple[str, ...], names: set[str]) -> str | None:
    for name in wanted:
        if name in names:
            return name
    return None
