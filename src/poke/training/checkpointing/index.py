"""``checkpoints.json``: every checkpoint's metadata, and its file's size and checksum."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import xxhash

from poke.training.checkpointing.files import CheckpointError, DamagedError, FileRecord, write_text

INDEX_NAME = "checkpoints.json"
INDEX_VERSION = 1
CHECKPOINT_NAME = re.compile(r"checkpoint_epoch\d+_step\d+\.pt")
SEGMENT_NAME = re.compile(r"rows_\d+-\d+_[0-9a-f]{32}\.pt")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class CheckpointMetadata:
    """What a checkpoint says of itself.

    Args:
        epoch: passes over the dataset.
        step: gradient updates offline, environment transitions online.
        metrics: values by full name (``val/loss``); may be empty, negative, NaN or infinite.
        timestamp: when, in UTC; ISO 8601 text is taken too.
        config: the run's resolved config.

    Raises:
        ValueError: epoch or step is negative.
    """

    epoch: int
    step: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    timestamp: datetime = field(default_factory=_now)
    config: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.epoch < 0 or self.step < 0:
            raise ValueError(f"epoch and step must be >= 0, not {self.epoch} and {self.step}")
        object.__setattr__(self, "epoch", int(self.epoch))
        object.__setattr__(self, "step", int(self.step))
        metrics = {name: float(value) for name, value in self.metrics.items()}
        object.__setattr__(self, "metrics", metrics)
        if isinstance(self.timestamp, str):
            object.__setattr__(self, "timestamp", datetime.fromisoformat(self.timestamp))

    @property
    def train_loss(self) -> float | None:
        """The metric ``train/loss``."""
        return self.metrics.get("train/loss")

    @property
    def train_accuracy(self) -> float | None:
        """The metric ``train/accuracy``."""
        return self.metrics.get("train/accuracy")

    @property
    def val_loss(self) -> float | None:
        """The metric ``val/loss``."""
        return self.metrics.get("val/loss")

    @property
    def val_accuracy(self) -> float | None:
        """The metric ``val/accuracy``."""
        return self.metrics.get("val/accuracy")

    @property
    def file_name(self) -> str:
        """The name of this checkpoint's file."""
        return f"checkpoint_epoch{self.epoch}_step{self.step}.pt"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "metrics": dict(self.metrics),
            "timestamp": self.timestamp.isoformat(),
            "config": None if self.config is None else dict(self.config),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CheckpointMetadata:
        """Undo ``to_dict``.

        Raises:
            CheckpointError: a field is missing or of another type.
        """
        try:
            return cls(**{name: values[name] for name in cls.__dataclass_fields__})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"checkpoint metadata is incomplete: {error!r}") from error


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
class Index:
    """What ``checkpoints.json`` says.

    Args:
        entries: the checkpoints, oldest first.
        best: the name of the best one's file, or None.
        monitor: the metric, by full name, that made it the best.
        mode: ``min`` or ``max``.
    """

    entries: tuple[Entry, ...]
    best: str | None
    monitor: str
    mode: str


def write_index(directory: Path, index: Index) -> None:
    """Write ``checkpoints.json``, guarded by a checksum of its contents.

    Raises:
        OSError: the file system refused; the old index stands.
    """
    contents: dict[str, Any] = {
        "index_version": INDEX_VERSION,
        "monitor": index.monitor,
        "mode": index.mode,
        "best": index.best,
        "checkpoints": [_to_json(entry) for entry in index.entries],
    }
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
        entries = [_from_json(values) for values in contents["checkpoints"]]
        return Index(
            tuple(sorted(entries, key=lambda entry: entry.age)),
            contents["best"],
            contents["monitor"],
            contents["mode"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(f"{path} is no index of checkpoints: {error!r}") from error


def _to_json(entry: Entry) -> dict[str, Any]:
    return {
        "file": entry.file.name,
        "size_bytes": entry.file.size_bytes,
        "xxh3_128": entry.file.digest,
        "is_best": entry.is_best,
        "segments": list(entry.segments),
        **_finite(entry.metadata.to_dict()),
    }


def _from_json(values: Mapping[str, Any]) -> Entry:
    name, segments = values["file"], tuple(values["segments"])
    if not CHECKPOINT_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a checkpoint")
    for segment in segments:
        if not SEGMENT_NAME.fullmatch(segment):
            raise ValueError(f"{segment!r} is not the name of a segment")
    return Entry(
        FileRecord(name, values["size_bytes"], values["xxh3_128"]),
        CheckpointMetadata.from_dict(values),
        values["is_best"],
        segments,
    )


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
