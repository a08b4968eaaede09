"""Battles as training sees them: environments that are stepped together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from poke.distributed.ranks import ALONE, Ranks
from poke.envs.showdown.battles.opponents import Opponents
from poke.envs.showdown.battles.plans import Plan
from poke.envs.showdown.battles.rewards import Shaping
from poke.envs.showdown.battles.tables import Tables
from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.pipes.workers import BattleWorkers, battle_seeds
from poke.protocols import VectorEnvironmentDefaults
from poke.spaces import ActionSpace

_TRIES = 10  # to begin battles while workers die


class BattleEnvironments(VectorEnvironmentDefaults):
    """Environments: a battle each, seen from the learner's seat; the next one begins in the step that ends one.

    Every environment has two tables, one where its battle is played and one where the next is begun while that lasts,
    so that no step waits for a beginning.

    A battle that is lost with its worker is truncated: its last observation is the one that was acted on last. A
    choice that the simulator refuses (a trap that nobody knew of) is no step: nothing has happened, `void` says where,
    and the same decision is to be made again, with a mask that has lost that action. Only the learner's decisions are
    transitions; what the opponent decides is not, also where that is the learner itself.

    Args:
        workers: play; of twice as many battles as there are environments.
        action_space: of the generation.
        opponents: who is met.
        shaping: what a step is worth.
        ranks: the processes that share more battles, of which these are one's.
    """

    exact_state = True
    inexact_reason: str | None = None
    episode_limit: int | None = None  # the simulator ends a battle after 1,000 turns, as a tie

    def __init__(
        self,
        workers: BattleWorkers,
        action_space: ActionSpace,
        opponents: Opponents,
        shaping: Shaping,
        ranks: Ranks = ALONE,
    ) -> None:
        self._ranks = ranks
        self.action_space = action_space
        self.num_envs = num = workers.num_battles // 2
        self._workers = workers
        self._opponents = opponents
        self._shaping = shaping
        self._tables = Tables(workers, action_space.sizes[0], opponents)
        self._playing = np.arange(num)  # tables
        self._next = np.arange(num, 2 * num)
        self._entropy: list[int] = [0]
        self._num_begun = [0] * num  # battles of each environment
        self._potential = np.zeros(num, np.float32)
        self._lengths = np.zeros(num, np.int64)
        self.observation = self._tables.observation[:num, 0].copy()
        self.action_mask: np.ndarray = self._tables.mask[:num, 0].copy()
        self.reward = np.zeros(num, np.float32)
        self.terminated = np.zeros(num, np.bool_)
        self.truncated = np.zeros(num, np.bool_)
        self.idle = np.zeros(num, np.bool_)
        self.void: np.ndarray = np.zeros(num, np.bool_)
        self.opponent_action: np.ndarray = np.zeros(num, np.int64)
        self.finished: list[tuple[float, int]] = []
        self.finished_envs: list[int] = []
        self.begun: list[int] = []
        self.final_observations: dict[int, np.ndarray] = {}

    def attach(self, policy: Any) -> None:
        """Take note of the policy that learns here; it may be met as an opponent."""
        self._opponents.attach(policy)

    def reset(self, entropy: Sequence[int]) -> None:
        """Begin new battles; the numbers decide all of their seeds."""
        self._entropy = [int(number) for number in entropy]
        rank, size = self._ranks.rank, self._ranks.size
        self._opponents.seed([*self._entropy, self.num_envs * size, *([rank] if rank else [])])
        self._num_begun = [0] * self.num_envs
        for tables in (self._playing, self._next):
            for i in range(self.num_envs):
                self._begin(i, int(tables[i]))
        self._lengths.fill(0)
        self._until_all_decide()
        self.begun = list(range(self.num_envs))
        self.finished, self.finished_envs, self.final_observations = [], [], {}
        self._observe()

    def step(self, action: np.ndarray) -> None:
        """Let every learner act, `[num_envs]` int64, and battles go on until all are to act again."""
        tables, playing = self._tables, self._playing.copy()
        # All are, but for those whose worker died while others were waited for.
        asked = np.flatnonzero(tables.asked[playing, tables.seat[playing]])
        tables.answer(playing[asked], action[asked])
        tables.wait(playing)
        self.terminated = tables.ended[playing]
        self.truncated = tables.lost[playing]
        over = self.terminated | self.truncated
        self.void = tables.was_refused[playing] & ~over
        self.opponent_action[:] = tables.opponent_action[playing]
        outcome = np.where(self.terminated, tables.outcome[playing], 0)
        after = np.where(self.terminated, 0, tables.potential[playing])
        self.reward[:] = self._shaping(outcome, self._potential, after)
        self.reward[self.void] = 0
        self._lengths += ~self.void
        self.finished, self.finished_envs, self.final_observations = [], [], {}
        if over.any():
            self._finish(np.flatnonzero(over), outcome)
        for i in np.flatnonzero(tables.lost[self._next]).tolist():
            self._begin(i, int(self._next[i]))
        self.begun = self.finished_envs
        self._until_all_decide()
        self._opponents.learned(self.num_envs - int(np.count_nonzero(self.void)), self._in_play())
        self._observe()

    def metrics(self) -> dict[str, float]:
        """Return what is known of win rates and of the league."""
        return self._opponents.metrics

    def so_far(self, i: int) -> tuple[float, int]:
        """Return what return and length the battle has that environment `i` plays: no outcome yet."""
        return 0.0, int(self._lengths[i])

    def get_state(self) -> dict[str, Any]:
        """Return seeds and choices of the battles under way, and what is known of opponents."""
        tables = self._tables
        both = [self._playing.tolist(), self._next.tolist()]
        plans = [[tables.plans[t] for t in places] for places in both]
        return {
            "entropy": self._entropy,
            "num_begun": list(self._num_begun),
            "lengths": self._lengths.tolist(),
            "plans": [[plan.to_state() for plan in row if plan is not None] for row in plans],
            "choices": [tables.choices(t) for t in both[0]],
            "opponents": self._opponents.get_state(),
            # Played again they must come to this.
            "observation": torch.from_numpy(self.observation.copy()),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Play the battles again up to where the state was taken.

        Raises:
            ShowdownError: workers are lost again and again.
            ValueError: it is of another number of environments, or the battles come to something else.
        """
        if len(state["lengths"]) != self.num_envs:
            raise ValueError(
                f"the state is of {len(state['lengths'])} environments, and env.num_envs is {self.num_envs}"
            )
        self._entropy = list(state["entropy"])
        self._num_begun = list(state["num_begun"])
        self._lengths[:] = state["lengths"]
        self._playing, self._next = np.arange(2 * self.num_envs).reshape(2, -1)
        playing, following = ([Plan.from_state(p) for p in row] for row in state["plans"])
        for i in range(self.num_envs):
            self._tables.begin(self.num_envs + i, following[i])
        again = list(range(self.num_envs))
        for _ in range(_TRIES):
            for i in again:
                self._tables.begin(i, playing[i], state["choices"][i])
            self._tables.wait(self._playing)
            again = np.flatnonzero(self._tables.lost[self._playing]).tolist()
            if not again:
                break
        else:
            raise ShowdownError(
                f"battles were lost {_TRIES} times in a row while they were played again"
            )
        self._opponents.set_state(state["opponents"])
        self._observe()
        if not np.array_equal(self.observation, state["observation"].numpy()):
            raise ValueError(
                "the battles under way, played again, come to something else: the simulator or what is observed of it "
                "is not the one of the checkpoint"
            )

    def restart(self, state: Mapping[str, Any], entropy: Sequence[int]) -> None:
        """Begin new battles with what earlier ones have told of opponents."""
        self._opponents.recall(state["opponents"])
        self.reset(entropy)

    def close(self) -> None:
        """End the workers."""
        self._workers.close()

    def _until_all_decide(self) -> None:
        """Wait for every learner's decision; a battle that is lost before its first one gives way to the next.

        Raises:
            ShowdownError: that happens again and again.
        """
        for _ in range(_TRIES):
            self._tables.wait(self._playing)
            stillborn = np.flatnonzero(self._tables.lost[self._playing] & (self._lengths == 0))
            if not stillborn.size:
                return
            for i in stillborn.tolist():
                self._begin(i, int(self._playing[i]))
        raise ShowdownError(
            f"battles were lost before their first decision {_TRIES} times in a row"
        )

    def _begin(self, i: int, table: int) -> None:
        """Begin environment i's next battle at a table; the learner sits in either seat in turn."""
        number = self._num_begun[i]
        self._num_begun[i] += 1
        one = i * self._ranks.size + self._ranks.rank  # of those of all ranks
        where = [*self._entropy, one, number]
        opponent = self._opponents.draw(np.random.default_rng([*where, 1]))
        self._tables.begin(table, Plan(battle_seeds(*where), (one + number) % 2, opponent))

    def _finish(self, ended: np.ndarray, outcome: np.ndarray) -> None:
        """Take note of what ended, and go to the tables where the next battles have begun."""
        tables = self._tables
        for i in ended.tolist():
            table = int(self._playing[i])
            plan = tables.plans[table]
            assert plan is not None
            self.finished.append((float(outcome[i]), int(self._lengths[i])))
            self.finished_envs.append(i)
            if self.truncated[i]:
                self.final_observations[i] = tables.observation[table, plan.seat].copy()
            else:
                self._opponents.result(plan.opponent, float(outcome[i]))
            self._lengths[i] = 0
            self._playing[i], self._next[i] = self._next[i], table
            self._begin(i, table)

    def _in_play(self) -> set[str]:
        return {plan.opponent for plan in self._tables.plans if plan is not None}

    def _observe(self) -> None:
        tables, playing = self._tables, self._playing
        seats = tables.seat[playing]
        self.observation[...] = tables.observation[playing, seats]
        self.action_mask[...] = tables.mask[playing, seats]
        self._potential[:] = tables.potential[playing]
