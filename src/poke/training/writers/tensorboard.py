"""TensorBoard event files, one event a row.

Fast path: the events are TensorBoard's own protobufs, framed here. SummaryWriter makes an event of every value and
checksums it in python, which takes ten times as long. What TensorBoard reads of both must be equal.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import google_crc32c

from poke.training.writers.identity import run_token

_SUFFIX = "poke"  # tells our event files from those of others in the same place


class TensorBoardWriter:
    """Writes metrics as TensorBoard scalars named `category/name`.

    The names of a run's event files hold a token of its own, so that runs may share a directory.

    Args:
        log_dir: directory of the event files; created with the first of them.
        run_dir: the run's directory, from which the token is made; a random one if None. It is kept in the state.
    """

    def __init__(self, log_dir: str | Path, *, run_dir: str | Path | None = None) -> None:
        self.log_dir = Path(log_dir)
        self.row_time: float | None = None  # when the row that is written was logged
        self._token = run_token(run_dir)
        self._earlier: set[str] = (
            set()
        )  # files in the state: an older poke named them without a token
        self._succeeded = True
        self._file: int | None = None
        self._file_name = ""
        self._size_bytes = 0
        self._last_step = -1
        self._purge_step: int | None = None
        self._shows_config = False
        self._event_type: Any = None

    def write(self, metrics: Mapping[str, float], step: int, category: str) -> None:
        """Write the row as one event."""
        event = self._new_event(step)
        add = event.summary.value.add
        for name, value in metrics.items():
            add(tag=f"{category}/{name}", simple_value=value)
        self._write(event)

    def log_config(self, config: Mapping[str, Any]) -> None:
        """Show the config in the tabs HParams and Text."""
        import yaml
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.types_pb2 import DT_STRING
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.plugins.text.metadata import create_summary_metadata

        step = max(self._last_step, 0)
        # Named by its place, so that equal configs of two runs stay two trials.
        trial = "/".join(self.log_dir.absolute().parts[-3:])
        event = self._new_event(step)
        event.summary.CopyFrom(hparams_pb(dict(_leaves(config)), trial_id=trial))
        self._write(event)
        listing = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
        text = "".join(f"    {line}\n" for line in listing.splitlines())
        tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()])
        metadata = create_summary_metadata("config", "The resolved config")
        self._write_value(step, tag="config", metadata=metadata, tensor=tensor)
        self._shows_config = True

    def log_histogram(self, name: str, values: Any, step: int, category: str) -> None:
        """Write the distribution of finite values, `[num_values] float64`, over 64 bins."""
        import numpy as np
        from tensorboard.compat.proto.summary_pb2 import HistogramProto

        counts, edges = np.histogram(values, bins=64)
        histogram = HistogramProto(
            min=values.min(),
            max=values.max(),
            num=values.size,
            sum=values.sum(),
            sum_squares=np.square(values).sum(),
            bucket_limit=edges[1:],
            bucket=counts,
        )
        self._write_value(step, tag=f"{category}/{name}", histo=histogram)

    def log_image(self, name: str, image: Any, step: int, category: str) -> None:
        """Write a picture, `[height, width, channels] uint8`."""
        from poke.training.writers.media import encode_png

        self._write_picture(encode_png(image), image.shape, name, step, category)

    def log_video(
        self, name: str, frames: Any, step: int, category: str, *, frames_per_second: float
    ) -> None:
        """Write a film, `[time, height, width, channels] uint8`, as an animated GIF.

        TensorBoard shows it among the images.
        """
        from poke.training.writers.media import encode_gif

        gif = encode_gif(frames, frames_per_second)
        self._write_picture(gif, frames.shape[1:], name, step, category)

    def log_end(self, status: str) -> None:
        """Have the HParams session end as the run did."""
        self._succeeded = status == "finished"

    def flush(self) -> None:
        """Every event is with the operating system already."""

    def close(self) -> None:
        """End the HParams session and close the event file."""
        if self._file is None:
            return
        if self._shows_config:
            self._end_session()
        os.close(self._file)
        self._file = None

    def get_state(self) -> dict[str, Any]:
        """Return the run's token, the sizes of its event files and the last step."""
        sizes = {path.name: path.stat().st_size for path in self._event_files()}
        if self._file is not None:
            sizes[self._file_name] = self._size_bytes  # without what a failed write left behind it
        return {"token": self._token, "file_sizes_bytes": sizes, "last_step": self._last_step}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Cut off the events that this run wrote after the state; files of others are left alone.

        What follows goes into a file of its own that opens with a purge step, so that a TensorBoard
        that has read the events before they were cut drops them too.
        """
        if self._file is not None:
            os.close(self._file)
            self._file = None
        sizes = state["file_sizes_bytes"]
        self._token = state.get("token", self._token)
        self._earlier = set(sizes)
        for path in self._event_files():
            size = sizes.get(path.name, 0)
            if size:
                os.truncate(path, min(size, path.stat().st_size))
            else:
                path.unlink()
        self._last_step = state["last_step"]
        self._purge_step = self._last_step + 1

    def _event_files(self) -> list[Path]:
        """This run's."""
        found = self.log_dir.glob(f"events.out.tfevents.*.{_SUFFIX}")
        own = f".{self._token}.{_SUFFIX}"
        return sorted(p for p in found if p.name.endswith(own) or p.name in self._earlier)

    def _is_shared(self) -> bool:
        """Whether the directory holds other runs' events, which a purge step would hide."""
        return len(list(self.log_dir.glob("*tfevents*"))) > len(self._event_files())

    def _write_picture(
        self, encoded: bytes, shape: tuple[int, ...], name: str, step: int, category: str
    ) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        height, width, channels = shape
        image = Summary.Image(
            height=height, width=width, colorspace=channels, encoded_image_string=encoded
        )
        self._write_value(step, tag=f"{category}/{name}", image=image)

    def _end_session(self) -> None:
        from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

        status = api_pb2.STATUS_SUCCESS if self._succeeded else api_pb2.STATUS_FAILURE
        end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
        content = metadata.create_summary_metadata(
            plugin_data_pb2.HParamsPluginData(session_end_info=end)
        )
        self._write_value(
            max(self._last_step, 0),
            tag=metadata.SESSION_END_INFO_TAG,
            metadata=content,
            tensor=metadata.NULL_TENSOR,
        )

    def _write_value(self, step: int, **value: Any) -> None:
        event = self._new_event(step)
        event.summary.value.add(**value)
        self._write(event)

    def _new_event(self, step: int) -> Any:
        if self._file is None:
            self._open()
        return self._event_type(wall_time=self.row_time or time.time(), step=step)

    def _write(self, event: Any) -> None:
        self._append(event)
        self._last_step = max(self._last_step, event.step)

    def _open(self) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        self.log_dir.mkdir(parents=True, exist_ok=True)
        shared = self._is_shared()
        number = len(self._event_files())  # of two files of one second, the later sorts later
        of_whom = (socket.gethostname(), os.getpid(), self._token, _SUFFIX)
        parts = ("events.out.tfevents", f"{time.time():.0f}", f"{number:03}", *of_whom)
        path = self.log_dir / ".".join(map(str, parts))
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)  # less the umask
        self._file_name = path.name
        self._size_bytes = 0
        self._event_type = Event
        self._append(Event(wall_time=time.time(), file_version="brain.Event:2"))
        if self._purge_step is not None and not shared:
            start = SessionLog(status=SessionLog.START)
            self._append(Event(wall_time=time.time(), step=self._purge_step, session_log=start))
        self._purge_step = None

    def _append(self, event: Any) -> None:
        """Write a record where the last one ended, so that a retry overwrites a failure's half."""
        assert self._file is not None
        record = _frame(event.SerializeToString())
        written = os.pwrite(self._file, record, self._size_bytes)
        if written != len(record):
            os.ftruncate(self._file, self._size_bytes)
            raise OSError(f"only {written} of {len(record)} bytes fitted into {self.log_dir}")
        self._size_bytes += written


def _frame(data: bytes) -> bytes:
    """A TFRecord: length, its checksum, data, its checksum."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, _masked_crc(length), data, _masked_crc(data)))


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The config's values by dotted key, in types that HParams can show."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, int | float | str) else str(value)
