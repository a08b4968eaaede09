"""``checkpoints.json``: every checkpoint's metadata, its file's size and checksum, and a journal.

The journal names what is being published and what is being deleted, before it is done. A start
finishes exactly that; any other file in the directory is nobody's business but the user's.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from poke.training.checkpointing.files import CheckpointError, DamagedError, FileRecord, write_text
from poke.training.checkpointing.metadata import CheckpointMetadata

INDEX_NAME = "checkpoints.json"
INDEX_VERSION = 2
CHECKPOINT_NAME = re.compile(r"checkpoint_epoch\d+_step\d+\.pt")
# Rows that checkpoints share; and of one checkpoint the parts of tensors that several processes held.
SEGMENT_NAME = re.compile(
    r"rows_\d+-\d+_[0-9a-f]{32}\.pt"
    r"|shards_epoch\d+_step\d+_[0-9a-f]{32}/(?:\.metadata|__\d+_\d+\.distcp)"
)


@dataclass(frozen=True)
class Entry:
    """One checkpoint in the index.

    Args:
        file: its file, as written.
        metadata: what it says of itself.
        is_best: what ``save`` was told; None leaves it to the monitor.
        segments: names of the segment files it needs.
    """

    file: FileRecord
    metadata: CheckpointMetadata
    is_best: bool | None = None
    segments: tuple[str, ...] = ()

    @property
    def age(self) -> tuple[int, int]:
        """What orders checkpoints from oldest to newest."""
        return self.metadata.step, self.metadata.epoch


@dataclass(frozen=True)
class Pending:
    """One line of the journal: a checkpoint that is being published or deleted.

    Args:
        entry: the checkpoint.
        aside: the number of the folder in ``superseded/`` where a rewind keeps it: the copy is what
            is published there, and must be there before the file is deleted here.
    """

    entry: Entry
    aside: int | None = None


@dataclass(frozen=True)
class Index:
    """What ``checkpoints.json`` says.

    Args:
        entries: the checkpoints, oldest first.
        best: the name of the best one's file, or None.
        monitor: the metric, by full name, that made it the best.
        mode: ``min`` or ``max``.
        publishing: what may have come into being since.
        deleting: what may not be gone yet.
    """

    entries: tuple[Entry, ...]
    best: str | None
    monitor: str
    mode: str
    publishing: tuple[Pending, ...] = ()
    deleting: tuple[Pending, ...] = ()


def write_index(directory: Path, index: Index) -> None:
    """Write ``checkpoints.json``, guarded by a checksum of its contents.

    Raises:
        OSError: the file system refused; the old index stands.
    """
    configs = _Configs()
    contents: dict[str, Any] = {
        "index_version": INDEX_VERSION,
        "monitor": index.monitor,
        "mode": index.mode,
        "best": index.best,
        "checkpoints": [_to_json(entry, configs) for entry in index.entries],
    }
    for name in ("publishing", "deleting"):
        contents[name] = [
            {**_to_json(pending.entry, configs), "aside": pending.aside}
            for pending in getattr(index, name)
        ]
    contents["configs"] = configs.by_digest
    contents["checksum"] = _checksum(contents)
    write_text(directory / INDEX_NAME, json.dumps(contents, indent=1, allow_nan=False) + "\n")


def read_index(directory: Path) -> Index | None:
    """Return what ``checkpoints.json`` says, or None where there is none.

    Raises:
        DamagedError: it is damaged, or names a file outside the directory.
        CheckpointError: it is newer than this program.
    """
    path = directory / INDEX_NAME
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
        checksum = contents.pop("checksum")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DamagedError(f"{path} cannot be read") from error
    if checksum != _checksum(contents):
        raise DamagedError(f"{path} is damaged: its checksum is not that of its contents")
    try:
        if contents["index_version"] > INDEX_VERSION:
            raise CheckpointError(f"{path} was written by a newer poke: update poke")
        if contents["index_version"] == 1:
            contents = _from_version_1(contents)
        configs = contents["configs"]
        entries = [_from_json(values, configs) for values in contents["checkpoints"]]
        publishing, deleting = (
            tuple(Pending(_from_json(values, configs), _number(values["aside"])) for values in part)
            for part in (contents["publishing"], contents["deleting"])
        )
        return Index(
            tuple(sorted(entries, key=lambda entry: entry.age)),
            contents["best"],
            contents["monitor"],
            contents["mode"],
            publishing,
            deleting,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedError(f"{path} is no index of checkpoints: {error!r}") from error


class _Configs:
    """Every config once, by its digest: the checkpoints of one process share one object."""

    def __init__(self) -> None:
        self.by_digest: dict[str, Any] = {}
        self._digests: dict[int, str] = {}

    def add(self, config: Mapping[str, Any] | None) -> str | None:
        if config is None:
            return None
        digest = self._digests.get(id(config))
        if digest is None:
            finite = _finite(config)
            digest = self._digests[id(config)] = _checksum(finite)
            self.by_digest[digest] = finite
        return digest


def _to_json(entry: Entry, configs: _Configs) -> dict[str, Any]:
    metadata = entry.metadata
    return {
        "file": entry.file.name,
        "size_bytes": entry.file.size_bytes,
        "xxh3_128": entry.file.digest,
        "is_best": entry.is_best,
        "segments": list(entry.segments),
        **_finite({**metadata.to_dict(), "config": configs.add(metadata.config)}),
    }


def _from_json(values: Mapping[str, Any], configs: Mapping[str, Any]) -> Entry:
    name, segments = values["file"], tuple(values["segments"])
    if not CHECKPOINT_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a checkpoint")
    for segment in segments:
        if not SEGMENT_NAME.fullmatch(segment):
            raise ValueError(f"{segment!r} is not the name of a segment")
    digest = values["config"]
    config = None if digest is None else configs[digest]
    return Entry(
        FileRecord(name, values["size_bytes"], values["xxh3_128"]),
        CheckpointMetadata.from_dict({**values, "config": config}),
        values["is_best"],
        segments,
    )


def _from_version_1(contents: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contents in today's form: version 1 had no journal, and a config in each entry."""
    configs = _Configs()
    entries = [
        {**values, "config": configs.add(values["config"])} for values in contents["checkpoints"]
    ]
    configs_and_journal = {"configs": configs.by_digest, "publishing": [], "deleting": []}
    return {**contents, "checkpoints": entries, **configs_and_journal}


def _number(aside: Any) -> int | None:
    if aside is not None and type(aside) is not int:
        raise ValueError(f"{aside!r} is not the number of a folder")
    return aside


def _finite(value: Any) -> Any:
    """Return the value with NaN and infinities as text, which JSON has no numbers for."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def _checksum(contents: Mapping[str, Any]) -> str:
    text = json.dumps(contents, sort_keys=True, separators=(",", ":"))
    return xxhash.xxh3_128_hexdigest(text.encode())
