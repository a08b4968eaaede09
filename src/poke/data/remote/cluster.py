"""A Ray cluster, started here or joined; the only place where Ray is known."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from poke.data.remote.crew import ActorLostError

log = logging.getLogger("poke")

LOCAL = "local"
KNOCKING_SECONDS = 10.0
CLOSING_SECONDS = 5.0  # for processes to close what they hold


class RayCluster:
    """Cluster: processes are Ray's actors, each of which takes one processor.

    A process that is part of a cluster already, such as a sweep's job on Ray, uses that one.

    Args:
        address: as of ``ray.init``; ``local`` starts a cluster here, of which nothing is left when this is closed.
        size: how many processes there are going to be.

    Raises:
        ValueError: there is no such cluster.
    """

    def __init__(self, address: str, size: int) -> None:
        # Ray prints what becomes of processes whatever it is told about its log; it is said here, in a line.
        os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "(?s).")
        import ray

        self._ray = ray
        self._processes: list[Any] = []
        self._ours = not ray.is_initialized()
        if self._ours:
            self._join(address, size)
        if self._ours and address == LOCAL:
            return  # it has as many as are needed
        free = int(ray.available_resources().get("CPU", 0))
        if free < size:
            log.warning(
                "the cluster has %d free processors for %d actors: the others wait for one",
                free,
                size,
            )

    def _join(self, address: str, size: int) -> None:
        here: dict[str, Any] = {}
        if address == LOCAL:
            here = {"num_cpus": size, "include_dashboard": False}
        try:
            _knock(address)
            with _own_signals():
                self._ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **here)
        except (OSError, ImportError, RuntimeError, ValueError) as error:
            self.close()
            line = " ".join(str(error).split())
            raise ValueError(f"data.address={address}: {line}") from error
        except BaseException:
            self.close()
            raise

    def start(self) -> Any:
        """Return a new actor."""
        # One that dies is replaced by who knows what it did, not by Ray.
        kind = self._ray.remote(num_cpus=1, max_restarts=0)(_Process)
        process = kind.remote(os.getcwd(), [p or os.getcwd() for p in sys.path])
        self._processes.append(process)
        return process

    def make(self, process: Any, make: Callable[[], Any]) -> Any:
        """Have an actor make something, in place of what it has made before."""
        return process.make.remote(make)

    def ask(self, process: Any, method: str, *arguments: Any) -> Any:
        """Return a reference to what a method returns."""
        return process.call.remote(method, *arguments)

    def answer(self, ticket: Any) -> Any:
        """Wait for what a reference is to.

        Raises:
            ActorLostError: the actor is gone, or the machine that held its answer.
            Exception: what was raised there, with its traceback as a note.
        """
        gone = self._ray.exceptions
        lost = (gone.RayActorError, gone.ObjectLostError, gone.OutOfMemoryError)
        try:
            # Not by `ray.get`, which would swallow what a signal's handler raises, and wait on.
            value, error = ticket.future().result()
        except lost as loss:
            lines = str(loss).strip().splitlines()
            # What keeps a process from beginning, such as another machine without poke, stands below a traceback.
            line = lines[-1 if "creation task" in lines[0] else 0]
            raise ActorLostError(f"{type(loss).__name__}: {line}".rstrip(".")) from loss
        if error is not None:
            raise error
        return value

    def share(self, value: Any) -> Any:
        """Return a reference to a value, which machines fetch once."""
        return self._ray.put(value)

    def stop(self, process: Any) -> None:
        """Kill an actor."""
        self._processes.remove(process)
        with suppress(Exception):  # whatever is wrong with it, it is given up
            self._ray.kill(process)

    def close(self) -> None:
        """End the actors, and the cluster if it was started here."""
        if not self._ray.is_initialized():
            return
        # Those that can close their environments do; one in the middle of a block is killed.
        closing = [process.close.remote() for process in self._processes]
        if closing:
            self._ray.wait(closing, num_returns=len(closing), timeout=CLOSING_SECONDS)
        while self._processes:
            self.stop(self._processes[0])
        if self._ours:
            self._ray.shutdown()


class _Process:
    """In an actor: holds what was made there.

    Args:
        folder: where the learner is; relative paths of the config are meant from there.
        paths: where it finds modules, so that a user's own parts are found.
    """

    def __init__(self, folder: str, paths: Sequence[str]) -> None:
        with suppress(OSError):  # another machine may not have it
            os.chdir(folder)
        sys.path.extend(path for path in paths if path not in sys.path)
        self._made: Any = None

    def make(self, make: Callable[[], Any]) -> tuple[Any, Exception | None]:
        self.close()
        return _outcome(lambda: setattr(self, "_made", make()))

    def call(self, method: str, *arguments: Any) -> tuple[Any, Exception | None]:
        return _outcome(lambda: getattr(self._made, method)(*arguments))

    def close(self) -> None:
        if self._made is not None:
            self._made.close()
            self._made = None


def _outcome(work: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """Return what work returns, and what it raises.

    Ray would raise that as an error of its own, which cannot be made again of every exception.
    """
    try:
        return work(), None
    except Exception as error:
        told: Exception
        try:
            told = pickle.loads(pickle.dumps(error))
        except Exception:  # of a user's own, which takes other arguments than its message
            told = type(type(error).__name__, (RuntimeError,), {})(str(error))
        told.add_note(traceback.format_exc())
        return None, told


def _knock(address: str) -> None:
    """See that somebody answers at a place, for which Ray would wait for minutes.

    Raises:
        OSError: nobody does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host:
        socket.create_connection((host, int(port)), timeout=KNOCKING_SECONDS).close()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the handlers of signals, of which Ray takes SIGTERM for itself."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    taken = False
    try:
        yield
    except SystemExit:  # by which Ray heeds a SIGTERM
        taken = True
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if taken:
            os.kill(os.getpid(), signal.SIGTERM)
