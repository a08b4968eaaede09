"""Starts the other ranks of a run, and sees to it that none outlives it.

torch's elastic launcher wants to be the parent of every rank. Here rank 0 is the process that holds the run's
directory, is asked to stop, and answers to a sweep: it starts the others itself. Under `torchrun` or `srun` somebody
else has.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from poke.distributed.group import DUMPING, MEETING_SECONDS, Group, meet
from poke.distributed.places import STARTED, Place, place_given, tracebacks_of
from poke.distributed.ranks import RankLostError

HERE = "127.0.0.1"
GRACE_SECONDS = 10.0  # for a rank that comes to its end
ENDED_SECONDS = 2.0  # for one that is ended; what takes longer is killed
TOLD = "told"


class Launched:
    """Ranks that learn what a run is to, of which this process is the first.

    Args:
        size: how many; 1 for as many as somebody else has started.
        device: where gradients are.
        timeout: seconds that a rank is waited for.
        told: what the others are to know of the run, as values that JSON has.

    Raises:
        ValueError: somebody else has started another number of processes.
        RankLostError: one has not come, or failed.
    """

    def __init__(
        self, size: int, device: torch.device, timeout: float, told: Mapping[str, Any]
    ) -> None:
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._open = contextlib.ExitStack()
        self.group: Group | None = None
        place = place_given()
        if place is not None and size not in (1, place.size):
            raise ValueError(
                f"trainer.devices={size}, but {place.size} processes were started: leave it out"
            )
        try:
            self._open.enter_context(writes_tracebacks())
            store: dist.Store
            if place is None:
                store = dist.TCPStore(
                    HERE,
                    0,
                    size,
                    is_master=True,
                    wait_for_workers=False,
                    timeout=timedelta(seconds=MEETING_SECONDS),
                )
                place = Place(0, size, 0, HERE, store.port, serves=True)
                for rank in range(1, size):
                    self._processes[rank] = self._start(rank, place)
            else:
                store = meet(place, MEETING_SECONDS)
            store.set(TOLD, json.dumps({**told, "timeout": timeout}))
            self.group = Group(place, store, device, timeout, ended=self.ended)
        except BaseException as error:
            self.close(error)
            raise

    def ended(self, rank: int) -> str | None:
        """Return how a rank's process ended; None while it lives, or where that says nothing."""
        process = self._processes.get(rank)
        status = None if process is None else process.poll()
        if status in (None, 0, 1):  # 1: it has said why, or misses another one
            return None
        if status < 0:
            return f"its process was killed by {signal.Signals(-status).name}"
        return f"its process ended with status {status}"

    def close(self, error: BaseException | None = None) -> None:
        """Let the others come to their end, or where this one failed end them; may be called twice."""
        if self.group is not None:
            if error is None:
                self.group.end()
            elif not isinstance(error, RankLostError):
                line = " ".join(f"{type(error).__name__}: {error}".split())
                self.group.tell_of_failure(line, "", outside=False)
            self.group.close()
            self.group = None
        for process in self._processes.values():
            assert process.stdin is not None
            with contextlib.suppress(OSError):
                process.stdin.close()  # which ends it
        until = time.monotonic() + (GRACE_SECONDS if error is None else ENDED_SECONDS)
        for process in self._processes.values():
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            # One that was ended could not take it away.
            tracebacks_of(process.pid).unlink(missing_ok=True)
        self._processes.clear()
        self._open.close()

    @staticmethod
    def _start(rank: int, place: Place) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(place.size),
            "MASTER_ADDR": place.host,
            "MASTER_PORT": str(place.port),
            STARTED: "1",
            # torch tells of every broken connection by a stack; what became of it is told in a line.
            "TORCH_CPP_LOG_LEVEL": "FATAL",
            # As here, so that a user's own parts are found.
            "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path),
        }
        environment.pop("TORCHELASTIC_USE_AGENT_STORE", None)
        command = [sys.executable, "-m", "poke.run.following"]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment
        )


@contextmanager
def writes_tracebacks() -> Iterator[None]:
    """Let another rank ask this process where it hangs, see `Group`."""
    path = tracebacks_of(os.getpid())
    # Kept open: what hangs may not be able to open anything.
    with open(path, "w", encoding="utf-8") as file:
        faulthandler.register(DUMPING, file=file)
        try:
            yield
        finally:
            faulthandler.unregister(DUMPING)
            path.unlink(missing_ok=True)
