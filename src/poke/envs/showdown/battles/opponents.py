"""Who is met in battle: players of the worker's, policies of runs, the learner itself, and its league."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from poke.envs.showdown import layout
from poke.envs.showdown.battles.league import League
from poke.envs.showdown.names import LEAGUE, SELF, BattleError, is_run, label
from poke.spaces import ActionSpace, ObservationSpace

_WINDOW = 200  # battles that a win rate is the mean over


class Opponents:
    """Who is met, each with a share of the battles.

    Every policy that plays here sees what its own seat sees, and remembers what it wants to of each table's battle.

    Args:
        shares: of the battles by name: a player of the worker's, ``self``, ``league``, or what `load` takes.
        observation_space: what all of them see.
        action_space: what they choose among.
        load: returns the policy of a run.
        league: what ``league`` stands for; None where there is none.
        num_tables: battles side by side.
        explore: let policies sample their actions, instead of choosing the most probable.

    Raises:
        BattleError: a policy plays another game.
        ValueError: as of `load`.
    """

    def __init__(
        self,
        shares: Mapping[str, float],
        *,
        observation_space: ObservationSpace,
        action_space: ActionSpace,
        load: Callable[[str], Any],
        league: League | None,
        num_tables: int,
        explore: bool,
    ) -> None:
        self._names = list(shares)
        weights = np.array(list(shares.values()), np.float64)
        self._ends = np.cumsum(weights / weights.sum())
        self._league = league
        self._num_tables = num_tables
        self._explore = explore
        self._spaces = observation_space, action_space
        self._learner: Any = None
        self._generator = np.random.default_rng(0)
        members = league.named if league is not None else []
        runs = [n for n in dict.fromkeys([*shares, *members]) if is_run(n)]
        self._policies = {name: self._fitting(name, load(name)) for name in runs}
        self._memories: dict[str, Any] = {}
        self._recent: dict[str, deque[float]] = {}

    def attach(self, policy: Any) -> None:
        """Take note of the learner's policy, which is met as ``self``."""
        self._learner = policy
        if self._league is not None:
            self._league.attach(policy)

    def seed(self, entropy: list[int]) -> None:
        """Begin the policies' random choices anew."""
        self._generator = np.random.default_rng(entropy)

    def draw(self, generator: np.random.Generator) -> str:
        """Return who is met next."""
        name = self._names[int(np.searchsorted(self._ends, generator.random(), side="right"))]
        if name != LEAGUE:
            return name
        assert self._league is not None
        return self._league.draw(generator) or SELF

    def choose(
        self, name: str, tables: np.ndarray, observation: np.ndarray, mask: np.ndarray
    ) -> np.ndarray:
        """Return a policy's actions, `[num]` int64.

        Args:
            name: whose.
            tables: `[num]` int64: at which.
            observation: `[num, size]` int8.
            mask: `[num, num_actions]` bool.
        """
        policy = self._policy(name)
        memory = self._memory(name, policy)
        state: Any = None if memory is None else memory.copy(tables)
        choice = policy.choose(
            observation,
            action_mask=mask,
            state=state,
            explore=self._explore,
            generator=self._generator,
        )
        if memory is not None:
            memory.values[tables] = state.values
        return choice.action

    def begin(self, table: int) -> None:
        """Forget the battle that was played at a table."""
        for memory in self._memories.values():
            memory.reset([table])

    def result(self, name: str, outcome: float) -> None:
        """Take note of a battle's outcome, 1 where the learner won, -1 where it lost."""
        of_league = self._league is not None and self._league.is_snapshot(name)
        known = self._recent.setdefault(LEAGUE if of_league else name, deque(maxlen=_WINDOW))
        known.append(float(outcome > 0))
        if self._league is not None:
            self._league.result(name, outcome)

    def learned(self, num_steps: int, in_play: set[str]) -> None:
        """Take note that the learner has made so many more decisions.

        Args:
            num_steps: decisions.
            in_play: who is being met, and must stay in the league for as long.
        """
        if self._league is None:
            return
        self._league.learned(num_steps, in_play)
        gone = [n for n in self._memories if not (n in self._policies or n == SELF)]
        for name in gone:
            if not self._league.is_snapshot(name):
                del self._memories[name]

    @property
    def metrics(self) -> dict[str, float]:
        """The share won of the latest battles by opponent, and what the league tells."""
        rates = {
            f"win_rate/{label(name)}": float(np.mean(known))
            for name, known in self._recent.items()
            if name != SELF
        }
        return rates | (self._league.metrics if self._league is not None else {})

    def get_state(self) -> dict[str, Any]:
        """Return the generator, what policies remember, the latest results, and the league."""
        return {
            "generator": self._generator.bit_generator.state,
            "memories": {n: torch.from_numpy(m.values.copy()) for n, m in self._memories.items()},
            "recent": {name: list(known) for name, known in self._recent.items()},
            "league": None if self._league is None else self._league.get_state(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned."""
        self._generator.bit_generator.state = state["generator"]
        self.recall(state)
        for name, values in state["memories"].items():
            self._memory(name, self._policy(name)).values[...] = values.numpy()

    def recall(self, state: Mapping[str, Any]) -> None:
        """Restore what is known of opponents; battles begin anew."""
        self._recent = {n: deque(known, maxlen=_WINDOW) for n, known in state["recent"].items()}
        if self._league is not None and state["league"] is not None:
            self._league.set_state(state["league"])
        self._memories = {}

    def _policy(self, name: str) -> Any:
        if name == SELF:
            assert self._learner is not None
            return self._learner
        known = self._policies.get(name)
        if known is None:
            assert self._league is not None
            known = self._league.policy(name)
        return known

    def _memory(self, name: str, policy: Any) -> Any:
        if name not in self._memories:
            memory = policy.initial_state(self._num_tables)
            if memory is None:
                return None
            self._memories[name] = memory
        return self._memories[name]

    def _fitting(self, name: str, policy: Any) -> Any:
        why = misfit(policy.observation_space, policy.action_space, *self._spaces)
        if why:
            raise BattleError(f"opponent {name} {why}")
        return policy


def misfit(
    observations: ObservationSpace,
    actions: ActionSpace,
    shown: ObservationSpace,
    asked: ActionSpace,
) -> str:
    """Return why what sees and chooses the former cannot play where the latter is shown and asked for; '' if it can."""
    seen, there = observations.layout or {}, shown.layout or {}
    if "groups" not in seen:
        return f"plays no battles: it sees {observations}"
    if older := layout.outdated(seen):
        return f"reads battles in {older}: train it anew"
    if seen["generation"] != there["generation"]:
        return f"is of generation {seen['generation']}, these battles are of generation {there['generation']}"
    if (observations.shape, actions.sizes) != (shown.shape, asked.sizes):
        return f"sees {observations} and chooses {actions}; these battles show {shown} and ask for {asked}"
    return ""
