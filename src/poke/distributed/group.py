"""Ranks that are processes of a torch process group: messages, and whose fault it is when one stays out."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from poke.distributed.places import Place, tracebacks_of, whereabouts
from poke.distributed.ranks import RankLostError

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

MEETING_SECONDS = 300.0  # for ranks to find each other
FOREVER = timedelta(days=365)
ASKING_SECONDS = 10.0  # for what the others know of one that was lost
ENDING_SECONDS = 30.0  # for the others to come to their end
DUMPING_SECONDS = 2.0  # for a rank that hangs to write down where
DUMPING = signal.SIGUSR2  # asks it to


def meet(place: Place, timeout: float) -> dist.Store:
    """Return where ranks find each other, and leave word; held by rank 0, or by what started all of them.

    Raises:
        RankLostError: it was not there in time.
    """
    try:
        return dist.TCPStore(
            place.host,
            place.port,
            place.size,
            is_master=place.serves,
            timeout=timedelta(seconds=timeout),
            wait_for_workers=False,
        )
    except (RuntimeError, OSError) as error:
        line = " ".join(str(error).split())
        raise RankLostError(
            0, f"not met at {place.host}:{place.port}: {line}", outside=True
        ) from error


class Group:
    """Ranks: the processes that meet at a place.

    Args:
        place: of this process.
        store: where they have met, see `meet`.
        device: where gradients are: gloo on the CPU, NCCL on CUDA.
        timeout: seconds that a rank is waited for.
        ended: tells how a rank's process ended, by its number; None while it lives, or where nobody knows.

    Raises:
        RankLostError: not all have come in time.
    """

    def __init__(
        self,
        place: Place,
        store: dist.Store,
        device: torch.device,
        timeout: float,
        *,
        ended: Callable[[int], str | None] = lambda rank: None,
    ) -> None:
        self.rank, self.size = place.rank, place.size
        self._ended = ended
        self._device = device
        self._timeout = timeout
        self._store = store
        self._message: Tensor | None = None
        self.peers: list[Mapping[str, Any]] = [{}] * place.size
        limit = timedelta(seconds=timeout)
        with self._heard():
            # Ranks that begin are waited for longer than those that train: to import torch may take a while.
            dist.init_process_group(
                "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
                store=store,
                rank=self.rank,
                world_size=self.size,
                timeout=timedelta(seconds=MEETING_SECONDS),
            )
            self._gradients = dist.new_group(
                backend="nccl" if device.type == "cuda" else "gloo", timeout=limit
            )
            self._values = dist.new_group(backend="gloo", timeout=limit)
            self._patient = dist.new_group(backend="gloo", timeout=FOREVER)
            # What finds a process, and where it writes its tracebacks.
            self.peers = self.gather(whereabouts())

    def part(self, total: int, what: str) -> int:
        """Return this rank's equal part.

        Raises:
            ValueError: there is none.
        """
        if total % self.size:
            raise ValueError(f"{what}={total} cannot be shared equally by {self.size} ranks")
        return total // self.size

    def share(self, rows: Any, axis: int = 0) -> Any:
        """Return rows `[rank::size]` along an axis."""
        return rows[(*[slice(None)] * axis, slice(self.rank, None, self.size))]

    def draws(self, generator: np.random.Generator) -> np.random.Generator:
        """Return what draws for all and hands out this rank's."""
        return cast(np.random.Generator, _Shared(generator, self))

    def average(self, gradients: Sequence[Tensor], told: Tensor, weight: float) -> Tensor:
        """Average gradients, in place, and what is told: one message for all of it."""
        device = gradients[0].device if gradients else told.device
        sizes = [gradient.numel() for gradient in gradients]
        size = sum(sizes) + len(told) + 1
        # Kept: what is new to the process the system must first clear, which takes as long as sending it.
        if (
            self._message is None
            or self._message.shape != (size,)
            or self._message.device != device
        ):
            self._message = torch.empty(size, device=device)
        own = self._message
        torch.cat(
            [*(gradient.reshape(-1) for gradient in gradients), told.to(device, torch.float32)],
            out=own[:-1],
        )
        if weight != 1:
            own[:-1].mul_(weight)
        own[-1] = weight
        with self._heard():
            dist.all_reduce(own, group=self._gradients)
        mean = own[:-1].div_(own[-1])
        *parts, told_by_all = mean.split([*sizes, len(told)])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return told_by_all.clone()

    def mean(self, metrics: Mapping[str, Any], weight: int) -> Mapping[str, Any]:
        """Return the mean of every metric over the ranks that know it.

        Tensors on a device, which every rank has, stay there: nothing is waited for.
        """
        metrics = dict(_flat(metrics))
        there = {n: v for n, v in metrics.items() if isinstance(v, Tensor) and v.is_cuda}
        here = {n: float(v) for n, v in metrics.items() if n not in there}
        by_rank = self.gather((here, weight))
        found: dict[str, Any] = {}
        for name in dict.fromkeys(name for one, _ in by_rank for name in one):
            known = [(one[name], max(1, count)) for one, count in by_rank if name in one]
            same = all(value == known[0][0] for value, _ in known)  # as a learning rate is
            total = sum(value * count for value, count in known)
            found[name] = known[0][0] if same else total / sum(count for _, count in known)
        if there:
            together = torch.stack([v.float() for v in there.values()])
            with self._heard():
                dist.all_reduce(together, group=self._gradients)
            found |= zip(there, (together / self.size).unbind(), strict=True)
        return found

    def whole(self, own: np.ndarray, axis: int = 0) -> np.ndarray:
        """Put shares together again: one of N is every Nth along the axis."""
        sent = torch.from_numpy(np.ascontiguousarray(own))
        parts = [torch.empty_like(sent) for _ in range(self.size)]
        with self._heard():
            dist.all_gather(parts, sent, group=self._values)
        axis %= own.ndim
        stacked = np.stack([part.numpy() for part in parts], axis=axis + 1)
        return stacked.reshape(*own.shape[:axis], -1, *own.shape[axis + 1 :])

    def gather(self, own: Any) -> list[Any]:
        """Return every rank's value, by rank."""
        found: list[Any] = [None] * self.size
        with self._heard():
            dist.all_gather_object(found, own, group=self._values)
        return found

    def agree(self, *wishes: bool) -> tuple[bool, ...]:
        """Return which wishes one of the ranks has."""
        own = torch.tensor(wishes, dtype=torch.int32)
        with self._heard():
            dist.all_reduce(own, dist.ReduceOp.MAX, group=self._values)
        return tuple(map(bool, own.tolist()))

    def collect(self, own: Callable[[], Any]) -> list[Any]:
        """Return, on rank 0, what `own` returns on the others, by rank."""
        found: list[Any] | None = None if self.rank else [None] * self.size
        with self._heard():
            sent = _packed(own() if self.rank else None)
            dist.gather_object(sent, found, dst=0, group=self._patient)
        return [_unpacked(sent) for sent in found[1:]] if found else []

    def led(self, work: Callable[[], bool]) -> bool:
        """Let rank 0 work, however long that takes, and return what came of it."""
        done = [work() if self.rank == 0 else False]
        with self._heard():
            dist.broadcast_object_list(done, src=0, group=self._patient)
        return bool(done[0])

    def hand_out(self, values: Sequence[Any] | None = None) -> Any:
        """Give every rank one of rank 0's values, and return this one's, together; it takes as long as it takes."""
        own: list[Any] = [None]
        with self._heard():
            sent = None if values is None else [_packed(value) for value in values]
            dist.scatter_object_list(own, sent, src=0, group=self._patient)
        return _unpacked(own[0])

    @property
    def mesh(self) -> DeviceMesh:
        """These ranks as torch shares weights out among them."""
        from torch.distributed.device_mesh import DeviceMesh

        return DeviceMesh.from_group(self._gradients, self._device.type)

    def channels(self) -> tuple[dist.ProcessGroup, dist.ProcessGroup]:
        """Make two more ways to exchange values, for a thread of each rank, together.

        Returns:
            One on which a rank may wait for as long as it takes, one on which it waits for the others' `timeout`.
        """
        with self._heard():
            return (
                dist.new_group(backend="gloo", timeout=FOREVER),
                dist.new_group(backend="gloo", timeout=timedelta(seconds=self._timeout)),
            )

    @contextmanager
    def heard(self) -> Iterator[None]:
        """As of `Ranks`."""
        with self._heard(_is_of_torch):
            yield

    def tell_of_failure(self, line: str, traceback: str, *, outside: bool) -> None:
        """Let the others know why this rank ends; they learn of it when they miss it."""
        said = json.dumps({"line": line, "traceback": traceback, "outside": outside})
        with suppress(Exception):  # where the meeting place is gone too, nobody asks
            self._store.set_timeout(timedelta(seconds=ASKING_SECONDS))
            self._store.set(f"failed/{self.rank}", said)

    def end(self) -> None:
        """Let rank 0 know that this one has come to its end; as rank 0, wait until all others have, for a while."""
        with suppress(RuntimeError, OSError):
            if self.rank:
                self._store.add("ended", 1)
                return
            until = time.monotonic() + ENDING_SECONDS
            while self._store.add("ended", 0) < self.size - 1 and time.monotonic() < until:
                time.sleep(0.01)

    def close(self) -> None:
        """Leave the group; the others' messages fail from now on."""
        with suppress(Exception):
            dist.destroy_process_group()

    @contextmanager
    def _heard(self, may_be: Callable[[Exception], bool] = lambda error: True) -> Iterator[None]:
        """Turn what torch raises when another rank stays out into whose fault that is."""
        try:
            yield
        except RankLostError:
            raise
        except (RuntimeError, OSError) as error:
            if not may_be(error):
                raise
            raise self._lost(error) from error

    def _lost(self, error: Exception) -> RankLostError:
        """Find out what became of the others: those who miss one too say so, the one who failed says why."""
        found: list[RankLostError | list[int]] = []
        # What holds the meeting place may hang too, and a thread of it with whoever asks.
        asking = threading.Thread(target=lambda: found.append(self._ask()), daemon=True)
        asking.start()
        asking.join(2 * ASKING_SECONDS)
        answer = found[0] if found else [0]
        if isinstance(answer, RankLostError):
            return answer
        if not answer:
            line = " ".join(str(error).split())
            return RankLostError(None, f"a connection between ranks broke: {line}", outside=True)
        rank = answer[0]
        if found and "timed out" not in str(error).lower():
            return RankLostError(rank, "its process is gone", outside=True)
        what = f"hangs: nothing was heard of it for {self._timeout:g} s (trainer.rank_timeout)"
        return RankLostError(rank, what, self._tracebacks(rank), outside=True, hangs=True)

    def _ask(self) -> RankLostError | list[int]:
        """Return why another rank failed, or which ones say nothing."""
        others = [rank for rank in range(self.size) if rank != self.rank]
        try:
            store = self._store
            store.set_timeout(timedelta(seconds=ASKING_SECONDS))
            store.set(f"missing/{self.rank}", "1")
            until = time.monotonic() + ASKING_SECONDS
            while True:
                for rank in others:
                    if store.check([f"failed/{rank}"]):
                        said = json.loads(store.get(f"failed/{rank}"))
                        where, outside = said["traceback"], said["outside"]
                        return RankLostError(rank, said["line"], where, outside=outside)
                    if (how := self._ended(rank)) is not None:
                        return RankLostError(rank, how, outside=True)
                silent = [rank for rank in others if not store.check([f"missing/{rank}"])]
                if not silent or time.monotonic() > until:
                    return silent
                time.sleep(0.05)
        except (RuntimeError, OSError):
            # Rank 0 holds the meeting place, or what started all of them.
            return [0] if self.rank else []

    def _tracebacks(self, rank: int) -> str | None:
        """Return where a rank on this machine hangs, if it can still write that down."""
        peer = self.peers[rank]
        if peer.get("host") != socket.gethostname():
            return None
        with suppress(OSError):
            os.kill(peer["pid"], DUMPING)
            until = time.monotonic() + DUMPING_SECONDS
            while time.monotonic() < until:
                time.sleep(0.1)
                if written := tracebacks_of(peer["pid"]).read_text("utf-8"):
                    time.sleep(0.1)  # for the rest of it
                    return tracebacks_of(peer["pid"]).read_text("utf-8") or written
        return None


def _is_of_torch(error: Exception) -> bool:
    """Whether torch's own messages between ranks raised it."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def _packed(value: Any) -> bytes:
    """Return values as a checkpoint has them; torch's own messages cannot carry every random state."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def _unpacked(sent: bytes) -> Any:
    return torch.load(io.BytesIO(sent), weights_only=True)


def _flat(metrics: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the numbers of mappings in mappings by the names that they are logged by."""
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}/")
        else:
            yield above + name, value


class _Shared:
    """Draws what one process would draw for the rows of all ranks, and hands out those of one."""

    def __init__(self, generator: np.random.Generator, group: Group) -> None:
        self._generator, self._group = generator, group

    def _of_all(self, size: Any) -> tuple[int, ...]:
        first, *others = size if isinstance(size, tuple) else (size,)
        return (first * self._group.size, *others)

    def random(self, size: Any) -> Any:
        return self._group.share(self._generator.random(self._of_all(size)))

    def standard_normal(self, size: Any, dtype: Any = np.float64) -> Any:
        return self._group.share(self._generator.standard_normal(self._of_all(size), dtype))

    def logistic(self, *, size: Any) -> Any:
        return self._group.share(self._generator.logistic(size=self._of_all(size)))
