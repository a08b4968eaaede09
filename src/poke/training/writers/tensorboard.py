"""TensorBoard event files, one event a row.

TensorBoard's own protobufs, framed here: SummaryWriter spends ten times as long, most of it on one event a value
and a checksum in python.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PREFIX = "events.out.tfevents."


class TensorBoardWriter:
    """Writes metrics as TensorBoard scalars named `category/name`.

    Args:
        log_dir: directory of the event files; created with the first row.
    """

    def __init__(self, log_dir: str | Path) -> None:
        self.log_dir = Path(log_dir)
        self._file: int | None = None
        self._path: Path | None = None
        self._size_bytes = 0
        self._last_step = -1
        self._purge_step: int | None = None

    def write(self, metrics: Mapping[str, float], step: int, category: str) -> None:
        """Write the row as one event."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        value = Summary.Value
        values = [value(tag=f"{category}/{k}", simple_value=v) for k, v in metrics.items()]
        self._write_values(values, step)

    def flush(self) -> None:
        """Every event is with the operating system already."""

    def close(self) -> None:
        """Close the event file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def get_state(self) -> dict[str, Any]:
        """Return the sizes of the event files and the last step."""
        sizes = {path.name: path.stat().st_size for path in self._event_files()}
        return {"file_sizes_bytes": sizes, "last_step": self._last_step}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Cut off the events written after the state.

        What follows goes into a file of its own, which opens with a purge step: a TensorBoard that has already read the cut
        events drops them too.
        """
        self.close()
        for path in self._event_files():
            size = state["file_sizes_bytes"].get(path.name, 0)
            if size:
                os.truncate(path, min(size, path.stat().st_size))
            else:
                path.unlink()
        self._last_step = state["last_step"]
        self._purge_step = self._last_step + 1

    def _event_files(self) -> list[Path]:
        return sorted(self.log_dir.glob(f"{_PREFIX}*")) if self.log_dir.is_dir() else []

    def _write_values(self, values: list[Any], step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        if self._file is None:
            self._open()
        event = Event(wall_time=time.time(), step=step, summary=Summary(value=values))
        self._append(event)
        self._last_step = max(self._last_step, step)

    def _open(self) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        self.log_dir.mkdir(parents=True, exist_ok=True)
        number = len(self._event_files())
        name = f"{_PREFIX}{time.time():.0f}.{number:03}.{socket.gethostname()}.{os.getpid()}"
        self._file = os.open(self.log_dir / name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        self._size_bytes = 0
        self._append(Event(wall_time=time.time(), file_version="brain.Event:2"))
        if self._purge_step is not None:
            start = SessionLog(status=SessionLog.START)
            self._append(Event(wall_time=time.time(), step=self._purge_step, session_log=start))
            self._purge_step = None

    def _append(self, event: Any) -> None:
        """Write a record where the last one ended, so that a retry overwrites what a failure left."""
        assert self._file is not None
        record = frame(event.SerializeToString())
        written = os.pwrite(self._file, record, self._size_bytes)
        if written != len(record):
            os.ftruncate(self._file, self._size_bytes)
            raise OSError(f"only {written} of {len(record)} bytes fitted into {self.log_dir}")
        self._size_bytes += written


def frame(data: bytes) -> bytes:
    """Return data as a TFRecord: length, its checksum, data, its checksum."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, _masked_crc(length), data, _masked_crc(data)))


def _masked_crc(data: bytes) -> bytes:
    import google_crc32c

    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
