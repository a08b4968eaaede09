"""Play on in a thread while the block before is learned from."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import torch

from poke.data.block import Rollout


class Ahead:
    """Plays one block at a time, in a thread of its own, and keeps it until it is taken.

    What is played depends on what is given here alone, not on how fast the threads are.

    Args:
        play: fills a block. Whatever it uses is its own while a block is under way.
    """

    def __init__(self, play: Callable[[Rollout], None]) -> None:
        self._play = play
        self._asked: queue.SimpleQueue[Rollout | None] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._under_way = False
        self._block: Rollout | None = None

    def begin(self, block: Rollout) -> None:
        """Begin to fill a block."""
        if self._thread is None:
            # A daemon: an environment that hangs must not keep the process from its end.
            self._thread = threading.Thread(
                target=self._work, args=(torch.get_num_threads(),), name="poke-ahead", daemon=True
            )
            self._thread.start()
        self._block, self._under_way = block, True
        self._asked.put(block)

    def block(self) -> Rollout | None:
        """Return the block that is there to be taken, once it is whole; None where none was begun.

        Raises:
            BaseException: what ended its playing.
        """
        self._wait()
        return self._block

    def put(self, block: Rollout | None) -> None:
        """Have this block there to be taken, in place of any other."""
        self._wait()
        self._block = block

    def take(self) -> Rollout | None:
        """Return what `block` does, which is then no longer there."""
        block = self.block()
        self._block = None
        return block

    def close(self) -> None:
        """End the thread, after the block that is under way; what may have gone wrong with it is of no interest."""
        if self._thread is None:
            return
        self._asked.put(None)
        self._thread.join()
        self._thread = None
        self._under_way = False

    def _wait(self) -> None:
        if not self._under_way:
            return
        error = self._ended.get()  # may be interrupted, and then waited for again
        self._under_way = False
        if error is not None:
            self._block = None
            raise error

    def _work(self, num_threads: int) -> None:
        torch.set_num_threads(num_threads)  # a thread has a number of its own
        while (block := self._asked.get()) is not None:
            try:
                self._play(block)
            except BaseException as error:
                self._ended.put(error)
            else:
                self._ended.put(None)
