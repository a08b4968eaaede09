"""Environments in processes of their own, which live and end with the process that asked for them.

A terminal's Ctrl-C, a lost connection or `kill -TERM -PGID` reaches a whole group of processes. What follows from it is
for the run to decide: workers ignore these signals, and end when their pipe is closed, by the run or because it died.
Gymnasium's own `AsyncVectorEnv` can do neither: it ends stuck workers by the very signal that is ignored here, waits
for them without limit, and for the answer of one that died.
"""

from __future__ import annotations

import contextlib
import mmap
import multiprocessing
import os
import select
import signal
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import Any

import gymnasium as gym
import numpy as np

from poke.envs.gym import snapshot
from poke.envs.gym.masks import find_mask
from poke.envs.gym.steppers import Stepped, read_reward
from poke.spaces import ActionSpace, ObservationSpace

LEFT_TO_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
GRACE_SECONDS = 5.0  # for closing an environment; what takes longer is killed

# Our ends of the workers' pipes. A forked process must not hold them open: only while they are open nowhere else does
# closing them, or our death, reach the workers.
_ours: weakref.WeakSet[Connection] = weakref.WeakSet()


def _let_go() -> None:
    for end in list(_ours):
        end.close()


os.register_at_fork(after_in_child=_let_go)


class EnvironmentFailedError(RuntimeError):
    """An environment in another process raised or its process died; the message is one line.

    Its traceback, where there is one, is a note of the exception.
    """


class Workers(Stepped):
    """Environments with a process each, begun anew in the step that ends an episode.

    Args:
        make: makes one environment; called in its process.
        num_envs: how many.
        observations: how to read observations.
        actions: what the environments take.
        masked: whether they give action masks.

    Raises:
        EnvironmentFailedError: one could not be made; as from every other method when one fails.
    """

    members: Sequence[Any] = ()  # they are elsewhere

    def __init__(
        self,
        make: Callable[[], gym.Env[Any, Any]],
        num_envs: int,
        observations: ObservationSpace,
        actions: ActionSpace,
        masked: bool,
    ) -> None:
        shape = (num_envs, *observations.shape)
        size = int(np.prod(shape)) * observations.dtype.itemsize
        # Fast path: shared with the workers, each of which writes its row, so that no observation is pickled through a
        # pipe. The rows must be those of `Serial`.
        memory = mmap.mmap(-1, max(1, size))
        rows = np.frombuffer(memory, observations.dtype, int(np.prod(shape))).reshape(shape)
        super().__init__(rows, actions, masked, resets_at_once=True)
        self._pipes: list[Connection] = []
        self._processes: list[BaseProcess] = []
        self._unusable: str | None = None
        # Also when this object is forgotten, and at exit before multiprocessing waits for its processes.
        self._end = Finalize(self, _end, (self._pipes, self._processes), exitpriority=10)
        try:
            for i in range(num_envs):
                self._start(_Worker(make, observations, self.observation[i, ...]))
            self._ask("made", [None] * num_envs)
        except BaseException:
            self.close()
            raise

    def reset(self, seeds: Sequence[int]) -> None:
        """Begin new episodes; each environment has its seed."""
        for i, mask in enumerate(self._ask("reset", [int(seed) for seed in seeds])):
            self._masks.put(i, mask, begins=True)
        self.final_observations = {}

    def step(self, action: np.ndarray) -> None:
        """Step every environment.

        Args:
            action: `[num_envs, *shape]`, as the environments take it.
        """
        rows = range(self.num_envs)
        actions = action.tolist() if self._plain_actions else [action[i, ...] for i in rows]
        self.final_observations = {}
        for i, taken in enumerate(self._ask("step", actions)):
            self.reward[i], self.terminated[i], self.truncated[i], mask, final = taken
            if final is not None:
                self.final_observations[i] = final
            self._masks.put(i, mask, begins=final is not None)

    def get_state(self) -> list[Any]:
        """Return a snapshot of each environment."""
        return self._ask("get_state", [None] * self.num_envs)

    def set_state(self, state: Sequence[Any]) -> None:
        """Restore the snapshots."""
        self._ask("set_state", state)

    def render(self) -> np.ndarray | None:
        """Return nothing: these are trained in, not looked at."""
        return None

    def close(self) -> None:
        """Close the environments and end their processes, by force those that take longer than GRACE_SECONDS."""
        self._unusable = "the environments are closed"
        self._end()

    def _start(self, worker: _Worker) -> None:
        ours, theirs = multiprocessing.Pipe()
        _ours.add(ours)
        self._pipes.append(ours)
        process = multiprocessing.get_context("fork").Process(
            target=worker.run, args=(theirs,), name=f"environment {len(self._processes)}"
        )
        # What arrives before the worker ignores it must not end it.
        with _held(LEFT_TO_PARENT):
            process.start()
        self._processes.append(process)
        theirs.close()

    def _ask(self, command: str, arguments: Sequence[Any]) -> list[Any]:
        """Let every worker do a thing, and return the answers once all are there."""
        if self._unusable is not None:
            raise EnvironmentFailedError(self._unusable)
        self._unusable = "the environments were interrupted in the middle of a step"
        for pipe, argument in zip(self._pipes, arguments, strict=True):
            with contextlib.suppress(OSError):  # of one that died, the answer tells
                pipe.send((command, argument))
        answers = [self._answer(i) for i in range(self.num_envs)]
        self._unusable = None
        for answer in answers:
            if isinstance(answer, EnvironmentFailedError):
                raise answer
        return answers

    def _answer(self, i: int) -> Any:
        try:
            good, answer = self._pipes[i].recv()
        except (EOFError, OSError):
            process = self._processes[i]
            process.join(GRACE_SECONDS)
            return EnvironmentFailedError(f"the process of environment {i} {_fate(process)}")
        if good:
            return answer
        error = EnvironmentFailedError(f"environment {i}: {answer[0]}")
        error.add_note(answer[1])
        return error


class _Worker:
    """The other end: one environment, asked through a pipe until that is closed."""

    def __init__(
        self,
        make: Callable[[], gym.Env[Any, Any]],
        observations: ObservationSpace,
        observation: np.ndarray,
    ) -> None:
        self._make = make
        self._observations = observations
        self._observation = observation

    def run(self, pipe: Connection) -> None:
        """Work for whoever holds the pipe's other end."""
        for number in LEFT_TO_PARENT:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, LEFT_TO_PARENT)
        threading.Thread(target=_end_after, args=(pipe.fileno(),), daemon=True).start()
        self._env: gym.Env[Any, Any] | None = None
        try:
            while True:
                command, argument = pipe.recv()
                try:
                    answer = True, getattr(self, command)(argument)
                except Exception as error:
                    line = " ".join(f"{type(error).__name__}: {error}".split())
                    answer = False, (line, traceback.format_exc())
                pipe.send(answer)
        except (EOFError, OSError):
            pass  # closed: the run is done with us, or gone
        finally:
            if self._env is not None:
                # Nobody is left to be told, and the process ends in any case.
                with contextlib.suppress(Exception):
                    self._env.close()

    def made(self, _: None) -> None:
        self._env = self._make()

    def reset(self, seed: int) -> Any:
        assert self._env is not None
        observation, info = self._env.reset(seed=seed)
        self._observations.write(observation, self._observation)
        return find_mask(observation, info, self._observations)

    def step(self, action: Any) -> tuple[float, bool, bool, Any, np.ndarray | None]:
        assert self._env is not None
        final = None
        observation, reward, terminated, truncated, info = self._env.step(action)
        if terminated or truncated:
            final = np.empty_like(self._observation)
            self._observations.write(observation, final)
            observation, info = self._env.reset()
        self._observations.write(observation, self._observation)
        mask = find_mask(observation, info, self._observations)
        return read_reward(reward), bool(terminated), bool(truncated), mask, final

    def get_state(self, _: None) -> dict[str, Any]:
        return snapshot.take(self._env)

    def set_state(self, state: Any) -> None:
        snapshot.restore(self._env, state)


def _end_after(pipe: int) -> None:
    """End this process some time after the pipe's other end was closed, in whatever its environment is stuck."""
    closed = select.poll()
    closed.register(pipe, 0)  # nothing but the hang-up, which is always told
    closed.poll()
    time.sleep(GRACE_SECONDS)
    os._exit(1)


def _end(pipes: Sequence[Connection], processes: Sequence[BaseProcess]) -> None:
    for pipe in pipes:
        pipe.close()
    deadline = time.monotonic() + GRACE_SECONDS
    try:
        for process in processes:
            process.join(max(0.0, deadline - time.monotonic()))
    finally:  # also when the waiting is interrupted
        for process in processes:
            if process.is_alive():
                process.kill()
        for process in processes:
            process.join()


@contextlib.contextmanager
def _held(signals: Sequence[int]) -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _fate(process: BaseProcess) -> str:
    code = process.exitcode
    if code is None:
        return "answers no more"
    return (
        f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    )
