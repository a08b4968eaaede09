"""A block of experience, and what is estimated of it.

Generalised advantage estimation: Schulman et al., "High-Dimensional Continuous Control Using Generalized Advantage
Estimation", ICLR 2016, equations 11-16; bootstrapping at time limits: Pardo et al., "Time Limits in Reinforcement
Learning", ICML 2018, section 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from poke.distributed.ranks import Ranks
from poke.spaces import ActionSpace, ObservationSpace

# Arrays of a block that have a row for each environment, and not for each step.
_WITHOUT_TIME = ("last_value", "last_idle", "state")


class Rollout:
    """A block of transitions, time first.

    Args:
        num_steps: transitions of each environment.
        num_envs: environments.
        observation_space: decides shape and dtype of observations.
        action_space: decides shape and dtype of actions.
        masked: whether there are action masks.
        state_size: numbers that the policy remembers of an episode; 0 without a memory.
    """

    def __init__(
        self,
        num_steps: int,
        num_envs: int,
        observation_space: ObservationSpace,
        action_space: ActionSpace,
        masked: bool,
        state_size: int = 0,
    ) -> None:
        block = (num_steps, num_envs)
        self.observation = observation_space.empty(*block)
        self.action = np.zeros((*block, *action_space.action_shape), action_space.action_dtype)
        self.action_mask = np.ones((*block, action_space.mask_size), np.bool_) if masked else None
        self.log_prob = np.zeros(block, np.float32)
        self.value = np.zeros(block, np.float32)
        self.reward = np.zeros(block, np.float32)
        self.terminated = np.zeros(block, np.bool_)
        self.truncated = np.zeros(block, np.bool_)
        self.idle = np.zeros(block, np.bool_)
        # Of idle rows, those in the middle of an episode, where nothing was done and nothing happened.
        self.void = np.zeros(block, np.bool_)
        # What the opponent did, as a class of the environment's; 0 where that is not known.
        self.opponent_action = np.zeros(block, np.int64)
        # The value of the state a transition led to, where that is not the next row's state.
        self.final_value = np.zeros(block, np.float32)
        self.last_value = np.zeros(num_envs, np.float32)
        self.last_idle = np.zeros(num_envs, np.bool_)
        # What is remembered before the first row, and where rows are the first of an episode.
        self.state = np.zeros((num_envs, state_size), np.float32)
        self.begins = np.zeros(block, np.bool_)
        self.metrics: dict[str, float] = {}
        self.num_elsewhere = 0  # transitions that other ranks have played meanwhile

    def get_state(self) -> dict[str, Any]:
        """Return its rows."""
        return {name: torch.from_numpy(rows) for name, rows in self.rows().items()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take rows that `get_state` of an equally large block returned.

        Raises:
            ValueError: they do not fit.
        """
        for name, rows in self.rows().items():
            theirs = state[name].numpy()
            if theirs.shape != rows.shape:
                raise ValueError(
                    f"a block of {list(theirs.shape[:2])} transitions was played ahead, and data.num_steps and "
                    f"env.num_envs now ask for {list(rows.shape[:2])}"
                )
            rows[...] = theirs

    def rows(self) -> dict[str, np.ndarray]:
        """Return its arrays by name; they are not copied."""
        return {name: rows for name, rows in vars(self).items() if isinstance(rows, np.ndarray)}

    def put(self, rows: Mapping[str, np.ndarray], first: int) -> None:
        """Copy what was played in some of the environments.

        Args:
            rows: of a block of as many steps in fewer environments, as its `rows` returns them.
            first: which of these environments its first one is.
        """
        for name, own in self.rows().items():
            theirs = rows[name]
            axis = 0 if name in _WITHOUT_TIME else 1
            of_them = (slice(None),) * axis + (slice(first, first + theirs.shape[axis]),)
            own[of_them] = theirs

    @property
    def num_steps(self) -> int:
        """How many transitions are real, of all ranks: rows that only reset an environment are none, nor void ones."""
        return self.num_samples + self.num_elsewhere

    @property
    def num_samples(self) -> int:
        """How many transitions are learned from here: all."""
        return self.idle.size - int(np.count_nonzero(self.idle))

    def advantages(self, gamma: float, gae_lambda: float) -> tuple[np.ndarray, np.ndarray]:
        """Estimate advantages and returns.

        An episode that was cut off goes on in the estimate with the value of its final observation; one that
        terminated does not.

        Args:
            gamma: discount factor.
            gae_lambda: 0 for one-step estimates, 1 for Monte-Carlo ones.

        Returns:
            Advantages and returns (advantage + value), `[num_steps, num_envs]` float32. Idle rows mean nothing.
        """
        ended = self.terminated | self.truncated
        next_value = np.concatenate([self.value[1:], self.last_value[None]])
        # Where environments reset in the step that ends an episode, the next row is another episode's.
        np.copyto(next_value, self.final_value, where=ended & ~self._idle_next())
        if self.void.any():
            self._look_past_void(next_value, ended)
        delta = self.reward + gamma * next_value * ~self.terminated - self.value
        carry = (gamma * gae_lambda * ~ended).astype(np.float32)
        if self.void.any():
            # These hand on what comes after them as it is.
            delta[self.void], carry[self.void] = 0, 1
        advantage = np.empty_like(delta)
        running = np.zeros_like(self.last_value)
        for t in range(len(delta) - 1, -1, -1):
            running *= carry[t]
            running += delta[t]
            advantage[t] = running
        return advantage, advantage + self.value

    def _look_past_void(self, next_value: np.ndarray, ended: np.ndarray) -> None:
        """Let each row be followed by the value of the next one that is not void, up to the block's end."""
        following = self.last_value.copy()
        for t in range(len(next_value) - 1, -1, -1):
            np.copyto(next_value[t], following, where=~ended[t])
            following = np.where(self.void[t], following, self.value[t])

    def _idle_next(self) -> np.ndarray:
        """True where the next row is the final observation itself, waiting for the reset."""
        return np.concatenate([self.idle[1:] & ~self.void[1:], self.last_idle[None]])


class Shares:
    """A block as all ranks have it together: its rows are numbered as one rank would number them.

    Args:
        ranks: the processes that learn together.
        idle: `[num_steps, num_envs]` bool of this one's block.
        advantage: `[num_steps, num_envs]` float32, likewise.
    """

    def __init__(self, ranks: Ranks, idle: np.ndarray, advantage: np.ndarray) -> None:
        self._ranks = ranks
        self._own_idle = idle
        self.idle = ranks.whole(idle, 1)
        self._advantage = ranks.whole(advantage, 1)

    def rows(self) -> np.ndarray:
        """Return `[rows]` int64: the flat indices of real transitions."""
        return np.flatnonzero(~self.idle.reshape(-1))

    def own(self, rows: np.ndarray) -> np.ndarray:
        """Return those of rows, or environments, that are of this rank's block, by their place there."""
        size, num_envs = self._ranks.size, self.idle.shape[1]
        time, env = np.divmod(rows, num_envs)
        mine = env % size == self._ranks.rank
        return time[mine] * (num_envs // size) + env[mine] // size

    def weight(self, own: np.ndarray, sequences: bool) -> int:
        """Return how many transitions rows of this rank's block are, or those environments' sequences."""
        return int(np.count_nonzero(~self._own_idle[:, own])) if sequences else len(own)

    def moments(self, rows: np.ndarray, sequences: bool) -> tuple[np.floating, np.floating]:
        """Return mean and standard deviation of the advantages of rows, or of environments' real rows."""
        if sequences:
            advantage = self._advantage[:, rows][~self.idle[:, rows]]
        else:
            advantage = self._advantage.reshape(-1)[rows]
        return advantage.mean(), advantage.std(ddof=1)
