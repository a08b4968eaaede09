"""A policy's decisions in one battle, each within a time limit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from poke.envs.showdown.pipes.lines import LineDecision
from poke.envs.showdown.watching import Thoughts


class Policy(Protocol):
    """What `poke.load` returns, as far as it is asked here."""

    def initial_state(self) -> Any:
        """Return a memory of nothing; None for a policy without memory."""
        ...

    def act(self, observation: np.ndarray, *, action_mask: np.ndarray, state: Any) -> Any:
        """Choose one of the legal actions; with ``return_info=True`` also tell of the choice."""
        ...


class Mind:
    """Decides for one battle, which it remembers.

    Args:
        policy: chooses.
        seconds: for a decision; None: as long as it takes, and nothing else happens meanwhile.
        explains: whether its thoughts are wanted.
        order: asked for the order of the team at its preview, see `Playing`.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        seconds: float | None,
        explains: bool,
        order: Callable[[], str] | None = None,
    ) -> None:
        self._policy = policy
        self._order = order
        self._seconds = seconds
        self._explains = explains
        self._memory = policy.initial_state()
        self._late: asyncio.Future[Any] | None = None

    async def choose(self, decision: LineDecision) -> tuple[int, Thoughts | None] | None:
        """Return an action and what was thought; None where the time is over before.

        A thought that is late goes on, moves the memory when it ends, and is heeded no more. Until then the next one
        does not begin: its time passes with waiting.
        """
        if self._seconds is None:
            return self._think(decision)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._seconds
        if self._late is not None:
            await asyncio.wait({self._late}, timeout=self._seconds)
            if not self._late.done():
                return None
        self._late = _in_thread(loop, lambda: self._think(decision))
        done, _ = await asyncio.wait({self._late}, timeout=deadline - loop.time())
        if not done:
            return None
        thought, self._late = self._late, None
        return thought.result()

    async def order(self) -> str:
        """Return the order of the team at its preview as a server takes it, '' where it stays as it is."""
        if self._order is None:
            return ""
        return str(await _in_thread(asyncio.get_running_loop(), self._order))

    def _think(self, decision: LineDecision) -> tuple[int, Thoughts | None]:
        how = {"action_mask": decision.mask, "state": self._memory}
        if not self._explains:
            return int(self._policy.act(decision.observation, **how)), None
        action, told = self._policy.act(decision.observation, **how, return_info=True)  # type: ignore[call-arg]
        return int(action), Thoughts.of(told)


def _in_thread(loop: asyncio.AbstractEventLoop, think: Callable[[], Any]) -> asyncio.Future[Any]:
    """Run something in a thread of its own, one that may be left behind: a pool's would be waited for at the end."""
    future: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
            future.exception()  # seen: who is late need not say why

    def run() -> None:
        result, error = None, None
        try:
            result = think()
        except Exception as raised:
            error = raised
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:  # the loop has ended meanwhile
            return

    threading.Thread(target=run, daemon=True).start()
    return future
