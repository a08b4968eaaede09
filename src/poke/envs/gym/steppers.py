"""Environments in this process, stepped one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from poke.envs.gym import snapshot
from poke.envs.gym.masks import Masks, find_mask
from poke.spaces import ActionSpace, ObservationSpace, SpaceError


class Stepped:
    """What several environments stepped together give, a row each; every step overwrites it.

    Args:
        observation: `[num_envs, *shape]`: the memory that observations are written to.
        actions: what the environments take.
        masked: whether they give action masks.
        resets_at_once: as of `poke.envs.environments.Stepper`.
    """

    def __init__(
        self, observation: np.ndarray, actions: ActionSpace, masked: bool, *, resets_at_once: bool
    ) -> None:
        self.num_envs = len(observation)
        self.resets_at_once = resets_at_once
        self._masks = Masks(self.num_envs, actions, masked)
        # Plain ints, which environments check faster than numpy's.
        self._plain_actions = actions.kind == "discrete"
        self.observation = observation
        self.action_mask = self._masks.rows
        self.reward = np.zeros(self.num_envs)
        self.terminated = np.zeros(self.num_envs, np.bool_)
        self.truncated = np.zeros(self.num_envs, np.bool_)
        self.idle = np.zeros(self.num_envs, np.bool_)
        self.final_observations: dict[int, np.ndarray] = {}


class Serial(Stepped):
    """Environments in this process, one after the other, begun anew in the step that ends an episode.

    Args:
        make: makes one environment.
        num_envs: how many.
        observations: how to read observations.
        actions: what the environments take.
        masked: whether they give action masks.
    """

    def __init__(
        self,
        make: Callable[[], gym.Env[Any, Any]],
        num_envs: int,
        observations: ObservationSpace,
        actions: ActionSpace,
        masked: bool,
    ) -> None:
        super().__init__(observations.empty(num_envs), actions, masked, resets_at_once=True)
        self._observations = observations
        made: list[gym.Env[Any, Any]] = []
        self.members: Sequence[Any] = made
        try:
            for _ in range(num_envs):
                made.append(make())
        except BaseException:
            self.close()
            raise

    def reset(self, seeds: Sequence[int]) -> None:
        """Begin new episodes; each environment has its seed."""
        for i, (env, seed) in enumerate(zip(self.members, seeds, strict=True)):
            self._take(i, *env.reset(seed=int(seed)), begins=True)
        self.final_observations = {}

    def step(self, action: np.ndarray) -> None:
        """Step every environment.

        Args:
            action: `[num_envs, *shape]`, as the environments take it.
        """
        self.final_observations = {}
        actions = action.tolist() if self._plain_actions else action
        for i, env in enumerate(self.members):
            taken = actions[i] if self._plain_actions else action[i, ...]
            observation, reward, terminated, truncated, info = env.step(taken)
            # Fast path: a float, which most give, is what `read_reward` would make of it in ten times the time.
            self.reward[i] = reward if type(reward) is float else read_reward(reward)
            self.terminated[i] = terminated
            self.truncated[i] = truncated
            ended = bool(terminated or truncated)
            if ended:
                final = np.empty_like(self.observation[i, ...])
                self._observations.write(observation, final)
                self.final_observations[i] = final
                observation, info = env.reset()
            self._take(i, observation, info, begins=ended)

    def get_state(self) -> list[Any]:
        """Return a snapshot of each environment."""
        return [snapshot.take(env) for env in self.members]

    def set_state(self, state: Sequence[Any]) -> None:
        """Restore the snapshots."""
        for env, taken in zip(self.members, state, strict=True):
            snapshot.restore(env, taken)

    def render(self) -> np.ndarray | None:
        """Return the first environment's picture, `[height, width, 3]` uint8."""
        return read_frame(self.members[0].render())

    def close(self) -> None:
        """Close the environments, every one even where closing another fails.

        Raises:
            Exception: the first that closing one raised.
        """
        first: Exception | None = None
        for env in self.members:
            try:
                env.close()
            except Exception as error:
                first = first or error
        self.members = []
        if first is not None:
            raise first

    def _take(self, i: int, observation: Any, info: Mapping[str, Any], *, begins: bool) -> None:
        self._observations.write(observation, self.observation[i, ...])
        if self.action_mask is not None or "action_mask" in info:
            self._masks.put(i, find_mask(observation, info, self._observations), begins=begins)


def read_reward(reward: Any) -> float:
    """Return a reward as a number.

    Raises:
        SpaceError: it is none.
    """
    array = np.asarray(reward)
    if array.size != 1 or array.dtype.kind not in "fiub":
        shown = f"shape {list(array.shape)}" if array.size != 1 else repr(reward)
        raise SpaceError(f"a reward is a number, and the environment gave one of {shown}")
    return float(array.item())


def read_frame(picture: Any) -> np.ndarray | None:
    """Return what `render` returned where it is a picture."""
    return picture if isinstance(picture, np.ndarray) and picture.ndim == 3 else None
