"""A node process that speaks frames over pipes, as `worker/main.js` says."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any

import psutil

from poke.envs.showdown import layout
from poke.envs.showdown.installation import find_node, find_package

_PIPE_BYTES = 1 << 20  # a step's records in one go: neither side waits for the other halfway
_MAX_FRAME_BYTES = 1 << 28  # what is longer is no frame
_STOP_SECONDS = 5.0
_STANDSTILL = 10  # times as long by the clock as by the processor
_HEADER = struct.Struct("<IB")


class WorkerLost(Exception):
    """The process has died, hangs or wrote what is no frame; the message is one line."""


class WorkerProcess:
    """One worker. It ends with this process, by whatever death: its input is a pipe that only we hold open.

    Args:
        settings: of the first frame (see `worker/main.js`), but for the layout, which is added.

    Raises:
        ShowdownError: node or the package is missing.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        node, package = find_node(), find_package()
        main = str(resources.files("poke.envs.showdown").joinpath("worker", "main.js"))
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115, it lives as long as the process
        self._process = subprocess.Popen(
            # Young objects are most of what a battle makes: with room for them they die young.
            [str(node), "--max-semi-space-size=64", main, str(package)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,  # Ctrl-C is for us to handle
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin.fileno(), self._process.stdout.fileno()
        for pipe in (self._input, self._output):
            os.set_blocking(pipe, False)
            _widen(pipe)
        self._unsent = bytearray()
        self._received = bytearray(1 << 16)
        self._end = 0
        self._usage = psutil.Process(self._process.pid)
        self._asked = (0.0, 0.0, 0.0)  # when, its processor time then, and how much may pass
        self.deadline = 0.0
        self.send(b"S", json.dumps(settings).encode())

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def send(self, kind: bytes, payload: bytes) -> None:
        """Send a frame; what does not go at once goes while `wait` waits."""
        self._unsent += _HEADER.pack(1 + len(payload), kind[0]) + payload
        self._flush()

    def expect(self, seconds: float) -> None:
        """Take note that it owes an answer from now on; `deadline` is when to look whether it `hangs`.

        Args:
            seconds: of its own processor time, within which it answers if it does not hang.
        """
        now = time.monotonic()
        self._asked = (now, self._processor_seconds(), seconds)
        self.deadline = now + seconds

    def hangs(self) -> bool:
        """Whether the answer is overdue.

        On a busy machine a worker waits for a processor: what counts is how long it has had one, and only after ten
        times as long the clock. Until it is overdue, `deadline` moves on.
        """
        now = time.monotonic()
        if now < self.deadline:
            return False
        begin, had, seconds = self._asked
        left = seconds - (self._processor_seconds() - had)
        end = begin + _STANDSTILL * seconds
        if left <= 0 or now >= end:
            return True
        self.deadline = min(now + left, end)
        return False

    def answer(self, seconds: float) -> tuple[bytes, bytearray]:
        """Wait for the one frame that is owed, and return its kind and payload.

        Args:
            seconds: as of `expect`.

        Raises:
            WorkerLost: the process has ended or hangs, or wrote what is no frame.
        """
        self.expect(seconds)
        while not self.hangs():
            if wait([self], self.deadline):
                for frame in list(self.frames()):  # the buffer moves on with the last one
                    return frame
        raise WorkerLost(f"did not answer for {seconds:g} seconds")

    def frames(self) -> Iterator[tuple[bytes, bytearray]]:
        """Yield the kind and payload of each whole frame that has arrived.

        Raises:
            WorkerLost: the process has ended, or wrote what is no frame.
        """
        ended = self._read()
        start = 0
        while self._end - start >= _HEADER.size:
            length, kind = _HEADER.unpack_from(self._received, start)
            if not 0 < length <= _MAX_FRAME_BYTES:
                raise WorkerLost("wrote garbage")
            if self._end - start < 4 + length:
                break
            frame = self._received[start + _HEADER.size : start + 4 + length]
            start += 4 + length
            yield bytes([kind]), frame
        self._received[: self._end - start] = self._received[start : self._end]
        self._end -= start
        if ended:
            raise WorkerLost(self._how_it_ended())

    def close(self) -> None:
        """End the process; may be called twice."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._stderr.close()

    def kill(self) -> None:
        """End the process at once, whatever it does."""
        self._process.kill()
        self._process.wait()

    def _processor_seconds(self) -> float:
        try:
            used = self._usage.cpu_times()
        except psutil.Error:  # it is gone: `frames` will say how
            return 0.0
        return float(used.user + used.system)

    def _flush(self) -> None:
        while self._unsent:
            try:
                del self._unsent[: os.write(self._input, self._unsent)]
            except BlockingIOError:
                return
            except BrokenPipeError:  # it is gone: `frames` will say how
                self._unsent.clear()

    def _read(self) -> bool:
        """Read what is there, and return whether there will be nothing more."""
        while True:
            if self._end == len(self._received):
                self._received.extend(bytes(len(self._received)))
            with memoryview(self._received) as view:
                try:
                    got = os.readv(self._output, [view[self._end :]])
                except BlockingIOError:
                    return False
            if got == 0:
                return True
            self._end += got

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return "closed its output"
        self._stderr.seek(0)
        said = self._stderr.read().decode(errors="replace").splitlines()
        why = next((line for line in said if "Error" in line), "")
        how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with exit {code}"
        return f"{how}: {why.strip()}" if why else how


def wait(processes: Sequence[WorkerProcess], deadline: float) -> list[WorkerProcess]:
    """Return those that have something to read, once one has; none when the deadline passes.

    Args:
        processes: to wait for; what is still to be sent to them is sent meanwhile.
        deadline: by `time.monotonic`.
    """
    while True:
        poll = select.poll()
        for process in processes:
            poll.register(process._output, select.POLLIN)
            if process._unsent:
                poll.register(process._input, select.POLLOUT)
        found = {fd for fd, _ in poll.poll(1000 * max(0.0, deadline - time.monotonic()))}
        for process in processes:
            if process._input in found:
                process._flush()
        ready = [process for process in processes if process._output in found]
        if ready or not found:
            return ready


def first_settings(settings: dict[str, Any], generation: int) -> dict[str, Any]:
    """Add to a worker's settings what every mode needs: the layout and its tables."""
    return {**settings, "layout": layout.describe(generation), "tables": layout.tables()}


def _widen(pipe: int) -> None:
    if hasattr(fcntl, "F_SETPIPE_SZ"):  # Linux
        try:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        except OSError:  # more than this user may have: what is there does
            return
