"""Players in a cluster, each with its share of the environments; one that is lost is replaced."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import numpy as np

from poke.data.remote.player import Order, Played, Traits

log = logging.getLogger("poke")

MAX_LOSSES = 3  # of one player in a row, without a block in between


class ActorLostError(Exception):
    """A process of a cluster is gone, or what it was asked for is; the message is one line."""


class CrewError(RuntimeError):
    """Whoever takes a player's place is lost too, again and again; the message is one line."""


class Cluster(Protocol):
    """Runs processes, somewhere."""

    def start(self) -> Any:
        """Return a new process, which may be on its way yet."""
        ...

    def make(self, process: Any, make: Callable[[], Any]) -> Any:
        """Have a process make something, in place of what it has made before, and return a ticket for nothing."""
        ...

    def ask(self, process: Any, method: str, *arguments: Any) -> Any:
        """Return a ticket for what a method of what was made there returns; nothing is waited for."""
        ...

    def answer(self, ticket: Any) -> Any:
        """Wait for what a ticket is for.

        Raises:
            ActorLostError: it will never come.
            Exception: what was raised there.
        """
        ...

    def share(self, value: Any) -> Any:
        """Return what hands a value over to many processes, as an argument of `ask`, and is sent once."""
        ...

    def stop(self, process: Any) -> None:
        """End a process, whatever it is doing, if there still is one."""
        ...

    def close(self) -> None:
        """End all of them, and let go of the cluster; may be called twice."""
        ...


class Crew:
    """As many players as asked for, each in a process of its own.

    Which seeds a player has is decided by its number, by how often it was replaced, and by how many blocks had been
    played when it began: none plays what another one has, in this run or in one that it goes on from.

    Args:
        cluster: where they are; closed with this.
        size: how many.
        make: returns, for a seed and the state of a player before it or None, what makes a `Player`.
        seed: the run's.

    Raises:
        CrewError: as of `play`.
    """

    def __init__(
        self,
        cluster: Cluster,
        size: int,
        make: Callable[[int, Mapping[str, Any] | None], Callable[[], Any]],
        seed: int,
    ) -> None:
        self._cluster = cluster
        self._make = make
        self._seed = seed
        self._num_blocks = 0
        self._num_replaced = [0] * size
        self._losses = [0] * size  # in a row
        # As they were when last asked: what replaces one begins with that.
        self._states: list[Mapping[str, Any] | None] = [None] * size
        self._processes = [cluster.start() for _ in range(size)]
        self._begin()

    @property
    def num_replaced(self) -> int:
        """How many players were lost so far."""
        return sum(self._num_replaced)

    def traits(self) -> Traits:
        """Return what the players, all alike, tell of their environments."""
        traits: Traits = self._ask_all("traits")[0]
        return traits

    def play(self, order: Order) -> list[Played]:
        """Have every player play a block, and return these in the players' order.

        Raises:
            CrewError: one was lost several times in a row.
            Exception: what was raised while one played.
        """
        played = self._ask_all("play", self._cluster.share(order))
        self._num_blocks += 1
        self._losses = [0] * len(self._losses)
        return played

    def get_state(self) -> dict[str, Any]:
        """Return what players that come later must know."""
        asked = [self._cluster.ask(process, "get_state") for process in self._processes]
        for number, ticket in enumerate(asked):
            with suppress(ActorLostError):  # the next block replaces it, by what was known before
                self._states[number] = self._cluster.answer(ticket)
        return {
            "num_blocks": self._num_blocks,
            "num_replaced": list(self._num_replaced),
            "players": list(self._states),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Let every player begin anew with what the ones of the state had learned.

        Where there were fewer, the others begin with what the first had.
        """
        size, players = len(self._processes), state["players"]
        if len(players) != size:
            log.info("going on with %d actors, where there were %d", size, len(players))
        self._num_blocks = state["num_blocks"]
        replaced = [*state["num_replaced"], *[0] * size]
        self._num_replaced = replaced[:size]
        self._states = [*players, *[players[0]] * size][:size]
        self._begin()

    def close(self) -> None:
        """End the players; may be called twice."""
        self._cluster.close()

    def _begin(self) -> None:
        tickets = [self._ask_to_make(number) for number in range(len(self._processes))]
        for number, ticket in enumerate(tickets):
            try:
                self._cluster.answer(ticket)
            except ActorLostError as error:
                self._replace(number, error)

    def _ask_to_make(self, number: int) -> Any:
        entropy = [self._seed, number, self._num_replaced[number], self._num_blocks]
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        make = self._make(seed, self._states[number])
        return self._cluster.make(self._processes[number], make)

    def _ask_all(self, method: str, *arguments: Any) -> list[Any]:
        tickets = [self._cluster.ask(p, method, *arguments) for p in self._processes]
        return [self._answer(n, ticket, method, arguments) for n, ticket in enumerate(tickets)]

    def _answer(self, number: int, ticket: Any, method: str, arguments: Sequence[Any]) -> Any:
        """Wait for a player's answer, or for that of who takes its place."""
        while True:
            try:
                return self._cluster.answer(ticket)
            except ActorLostError as error:
                self._replace(number, error)
                ticket = self._cluster.ask(self._processes[number], method, *arguments)

    def _replace(self, number: int, error: ActorLostError) -> None:
        while True:
            self._losses[number] += 1
            if self._losses[number] == MAX_LOSSES:
                raise CrewError(
                    f"actor {number} was lost {MAX_LOSSES} times in a row without a block: {error}"
                ) from error
            log.warning("actor %d was lost: %s; another one takes its place", number, error)
            self._cluster.stop(self._processes[number])
            self._num_replaced[number] += 1
            self._processes[number] = self._cluster.start()
            try:
                self._cluster.answer(self._ask_to_make(number))
                return
            except ActorLostError as again:
                error = again
