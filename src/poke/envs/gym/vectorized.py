"""Environments that come as many at once: a vector entry point of their own.

Such ones begin anew by themselves (https://farama.org/Vector-Autoreset-Mode): in the step that ends an episode, or in
the one after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from poke.envs.gym import snapshot
from poke.envs.gym.masks import find_mask
from poke.envs.gym.steppers import Stepped, read_frame
from poke.envs.registration import UnsupportedEnvironmentError
from poke.spaces import ActionSpace, ObservationSpace, SpaceError


class Vectorized(Stepped):
    """An environment's own vector entry point, beginning anew in either way.

    Args:
        envs: the vector environment; closed when it is refused.
        observations: how to read observations.
        actions: what the environments take.
        masked: whether they give action masks.

    Raises:
        UnsupportedEnvironmentError: it does not begin anew by itself.
    """

    def __init__(
        self,
        envs: VectorEnv[Any, Any, Any],
        observations: ObservationSpace,
        actions: ActionSpace,
        masked: bool,
    ) -> None:
        mode = envs.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        if mode == AutoresetMode.DISABLED:
            envs.close()
            raise UnsupportedEnvironmentError(f"{envs} does not reset by itself")
        at_once = mode == AutoresetMode.SAME_STEP
        rows = observations.empty(envs.num_envs)
        super().__init__(rows, actions, masked, resets_at_once=at_once)
        self._envs = envs
        self.members: Sequence[Any] = [envs]
        self._observations = observations

    def reset(self, seeds: Sequence[int]) -> None:
        """Begin new episodes; an environment's own vector entry point takes the first seed for all."""
        listed = [int(seed) for seed in seeds]
        own = not isinstance(
            self._envs.unwrapped, gym.vector.AsyncVectorEnv | gym.vector.SyncVectorEnv
        )
        observation, info = self._envs.reset(seed=listed[0] if own else listed)  # type: ignore[arg-type]
        self.idle.fill(False)
        self._take(observation, info, begins=True)
        self.final_observations = {}

    def step(self, action: np.ndarray) -> None:
        """Step every environment.

        Args:
            action: `[num_envs, *shape]`, as the environments take it.

        Raises:
            SpaceError: what it gave is not of so many environments.
        """
        observation, reward, terminated, truncated, info = self._envs.step(action)
        for name, given in (
            ("reward", reward),
            ("terminated", terminated),
            ("truncated", truncated),
        ):
            if np.shape(given) != (self.num_envs,):
                raise SpaceError(f"{name} has shape {list(np.shape(given))}, not [{self.num_envs}]")
        self.reward, self.terminated, self.truncated = reward, terminated, truncated
        self.final_observations = {}
        if self.resets_at_once:
            for i in np.flatnonzero(self.terminated | self.truncated):
                final = np.empty_like(self.observation[i, ...])
                self._observations.write(info["final_obs"][i], final)
                self.final_observations[int(i)] = final
        else:
            np.logical_or(self.terminated, self.truncated, out=self.idle)
        self._take(observation, info, begins=False)

    def get_state(self) -> Any:
        """Return a snapshot of the one that is many."""
        return snapshot.take(self._envs)

    def set_state(self, state: Any) -> None:
        """Restore the snapshot."""
        snapshot.restore(self._envs, state)

    def render(self) -> np.ndarray | None:
        """Return the first environment's picture, `[height, width, 3]` uint8."""
        frames = self._envs.render()
        return read_frame(frames[0] if frames else None)

    def close(self) -> None:
        """Close the environments."""
        self._envs.close()

    def _take(self, observation: Any, info: Mapping[str, Any], *, begins: bool) -> None:
        self._observations.write(observation, self.observation)
        if self.action_mask is not None or "action_mask" in info:
            mask = find_mask(observation, info, self._observations)
            given = info.get("_action_mask") if self._observations.mask is None else None
            self._masks.put_all(mask, given, self.idle, begins=begins)
