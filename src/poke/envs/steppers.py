"""Step several environments at once, whichever way they are run, behind one face.

`Serial` runs them one after the other in this process, `poke.envs.workers` in a process each; both begin anew in the
step that ends an episode. `Vectorized` runs an environment's own vector entry point, and knows the two ways in which
those begin anew by themselves (https://farama.org/Vector-Autoreset-Mode): in that step, or in the one after.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from poke.envs import snapshot
from poke.envs.spaces import UnsupportedEnvironmentError
from poke.spaces import ObservationSpace


class Stepper(Protocol):
    """Several environments; the arrays are overwritten by every step."""

    num_envs: int
    observation: np.ndarray  # [num_envs, *shape]
    action_mask: np.ndarray | None  # [num_envs, num_actions] bool
    reward: np.ndarray  # [num_envs] float64
    terminated: np.ndarray  # [num_envs] bool
    truncated: np.ndarray  # [num_envs] bool
    idle: np.ndarray  # [num_envs] bool: the next step only resets
    final_observations: dict[int, np.ndarray]  # of those that ended and began anew in the last step

    def reset(self, seeds: Sequence[int]) -> None: ...
    def step(self, action: np.ndarray) -> None: ...
    def get_state(self) -> Any: ...
    def set_state(self, state: Any) -> None: ...
    def render(self) -> np.ndarray | None: ...
    def close(self) -> None: ...


class Serial:
    """Environments in this process, one after the other, begun anew in the step that ends an episode.

    Args:
        make: makes one environment.
        num_envs: how many.
        observations: how to read observations.
    """

    def __init__(
        self, make: Callable[[], gym.Env[Any, Any]], num_envs: int, observations: ObservationSpace
    ) -> None:
        self.num_envs = num_envs
        self._envs: list[gym.Env[Any, Any]] = []
        try:
            for _ in range(num_envs):
                self._envs.append(make())
        except BaseException:
            self.close()
            raise
        self._observations = observations
        self.observation = np.zeros((num_envs, *observations.shape), observations.dtype)
        self.action_mask: np.ndarray | None = None
        self.reward = np.zeros(num_envs)
        self.terminated = np.zeros(num_envs, np.bool_)
        self.truncated = np.zeros(num_envs, np.bool_)
        self.idle = np.zeros(num_envs, np.bool_)
        self.final_observations: dict[int, np.ndarray] = {}

    def reset(self, seeds: Sequence[int]) -> None:
        """Begin new episodes; each environment has its seed."""
        first = [env.reset(seed=int(seed)) for env, seed in zip(self._envs, seeds, strict=True)]
        mask = mask_of(*first[0], self._observations)
        self.action_mask = None if mask is None else np.ones((self.num_envs, len(mask)), np.bool_)
        for i, (observation, info) in enumerate(first):
            self._take(i, observation, info)
        self.final_observations = {}

    def step(self, action: np.ndarray) -> None:
        """Step every environment; `[num_envs]` int64 or `[num_envs, size]` float32."""
        self.final_observations = {}
        # Plain ints, which environments check faster than numpy's.
        actions = action.tolist() if action.ndim == 1 else action
        for i, env in enumerate(self._envs):
            observation, reward, terminated, truncated, info = env.step(actions[i])
            self.reward[i] = reward
            self.terminated[i] = terminated
            self.truncated[i] = truncated
            if terminated or truncated:
                final = np.empty_like(self.observation[i])
                self._observations.write(observation, final)
                self.final_observations[i] = final
                observation, info = env.reset()
            self._take(i, observation, info)

    def get_state(self) -> list[Any]:
        """Return a snapshot of each environment."""
        return [snapshot.take(env) for env in self._envs]

    def set_state(self, state: Sequence[Any]) -> None:
        """Restore the snapshots."""
        for env, taken in zip(self._envs, state, strict=True):
            snapshot.restore(env, taken)

    def render(self) -> np.ndarray | None:
        """Return the first environment's picture, `[height, width, 3]` uint8."""
        return _frame(self._envs[0].render())

    def close(self) -> None:
        """Close the environments."""
        for env in self._envs:
            env.close()

    def _take(self, i: int, observation: Any, info: Mapping[str, Any]) -> None:
        self._observations.write(observation, self.observation[i])
        if self.action_mask is not None:
            self.action_mask[i] = mask_of(observation, info, self._observations)


class Vectorized:
    """An environment's own vector entry point, beginning anew in either way.

    Args:
        envs: the vector environment.
        observations: how to read observations.

    Raises:
        UnsupportedEnvironmentError: it does not begin anew by itself.
    """

    def __init__(self, envs: VectorEnv[Any, Any, Any], observations: ObservationSpace) -> None:
        mode = envs.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        if mode == AutoresetMode.DISABLED:
            raise UnsupportedEnvironmentError(f"{envs} does not reset by itself")
        self._same_step = mode == AutoresetMode.SAME_STEP
        self._envs = envs
        self._observations = observations
        self.num_envs = envs.num_envs
        self.observation = np.zeros((self.num_envs, *observations.shape), observations.dtype)
        self.action_mask: np.ndarray | None = None
        self.reward = np.zeros(self.num_envs)
        self.terminated = np.zeros(self.num_envs, np.bool_)
        self.truncated = np.zeros(self.num_envs, np.bool_)
        self.idle = np.zeros(self.num_envs, np.bool_)
        self.final_observations: dict[int, np.ndarray] = {}

    def reset(self, seeds: Sequence[int]) -> None:
        """Begin new episodes; an environment's own vector entry point takes the first seed for all."""
        listed = [int(seed) for seed in seeds]
        own = not isinstance(
            self._envs.unwrapped, gym.vector.AsyncVectorEnv | gym.vector.SyncVectorEnv
        )
        observation, info = self._envs.reset(seed=listed[0] if own else listed)  # type: ignore[arg-type]
        self._take(observation, info)
        self.idle.fill(False)
        self.final_observations = {}

    def step(self, action: np.ndarray) -> None:
        """Step every environment; `[num_envs]` int64 or `[num_envs, size]` float32."""
        observation, self.reward, self.terminated, self.truncated, info = self._envs.step(action)
        self.final_observations = {}
        if self._same_step:
            for i in np.flatnonzero(self.terminated | self.truncated):
                final = np.empty_like(self.observation[i])
                self._observations.write(info["final_obs"][i], final)
                self.final_observations[int(i)] = final
        else:
            np.logical_or(self.terminated, self.truncated, out=self.idle)
        self._take(observation, info)

    def get_state(self) -> Any:
        """Return a snapshot of the one that is many."""
        return snapshot.take(self._envs)

    def set_state(self, state: Any) -> None:
        """Restore the snapshot."""
        snapshot.restore(self._envs, state)

    def render(self) -> np.ndarray | None:
        """Return the first environment's picture, `[height, width, 3]` uint8."""
        frames = self._envs.render()
        return _frame(frames[0] if frames else None)

    def close(self) -> None:
        """Close the environments."""
        self._envs.close()

    def _take(self, observation: Any, info: Mapping[str, Any]) -> None:
        self._observations.write(observation, self.observation)
        mask = mask_of(observation, info, self._observations)
        if mask is None:
            return
        if mask.dtype == np.object_:
            mask = np.stack([np.asarray(row) for row in mask])
        # A row that only waits for its reset may come without a mask.
        self.action_mask = np.asarray(mask, np.bool_) | self.idle[:, None]


def mask_of(
    observation: Any, info: Mapping[str, Any], space: ObservationSpace
) -> np.ndarray | None:
    """Return the mask that comes in the observation, where its space says so, or in info; None where there is none."""
    mask = space.mask_of(observation) if space.mask is not None else info.get("action_mask")
    return None if mask is None else np.asarray(mask)


def _frame(picture: Any) -> np.ndarray | None:
    return picture if isinstance(picture, np.ndarray) and picture.ndim == 3 else None
