"""Gymnasium environments by id, as a config describes them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import wrappers

from poke.envs.environments import Environments, is_exact
from poke.envs.normalization import RewardScaler
from poke.envs.registration import find
from poke.envs.spaces import UnsupportedEnvironmentError, read_actions, read_observations
from poke.envs.steppers import Serial, Stepper, Vectorized
from poke.envs.workers import Workers


class GymEnvironment:
    """Makes the environments that training plays in, and those that evaluation does.

    Args:
        id: as Gymnasium registers it, such as CartPole-v1, or `module:Name-v0` to import a module first.
        num_envs: stepped together in training.
        vectorization: serial (one after the other in this process), async (a process each), vector_entry_point (the
            environment's own), or auto: its own where it has one and there are 8 or more, else serial.
        kwargs: for the environment's constructor.
        evaluation_kwargs: in place of these in evaluation.
        max_episode_steps: cut episodes off here; None for the environment's own limit.
        frame_stack: how many of the latest observations make one; 1 for none.
        normalize_observation: by running mean and variance.
        observation_clip: absolute value that normalised observations are clipped to.
        normalize_reward: by the running deviation of the discounted return.
        reward_clip: absolute value that normalised rewards are clipped to.
        reward_gamma: discount factor for that return.

    Raises:
        UnsupportedEnvironmentError: no such environment, or spaces that cannot be played.
    """

    def __init__(
        self,
        id: str,
        *,
        num_envs: int,
        vectorization: str = "auto",
        kwargs: Mapping[str, Any] | None = None,
        evaluation_kwargs: Mapping[str, Any] | None = None,
        max_episode_steps: int | None = None,
        frame_stack: int = 1,
        normalize_observation: bool = False,
        observation_clip: float = 10.0,
        normalize_reward: bool = False,
        reward_clip: float = 10.0,
        reward_gamma: float = 0.99,
    ) -> None:
        self.num_envs = num_envs
        self._kwargs = dict(kwargs or {})
        self._evaluation_kwargs = dict(evaluation_kwargs or {})
        self._max_episode_steps = max_episode_steps
        self._frame_stack = frame_stack
        self._normalize_reward = normalize_reward
        self._reward_clip = reward_clip
        self._reward_gamma = reward_gamma
        spec = find(id)
        self.id = spec.id
        self._vectorization = _choose(spec, vectorization, num_envs)
        self.settings = {
            "id": self.id,
            "normalize_observation": normalize_observation,
            "normalize_reward": normalize_reward,
            "num_envs": num_envs,
            "vectorization": self._vectorization,
            "max_episode_steps": max_episode_steps,
            "frame_stack": frame_stack,
            **{f"kwargs.{name}": _plain(value) for name, value in self._kwargs.items()},
        }
        observations, actions = self._spaces()
        self.observation_space = read_observations(id, observations)
        self.action_space = read_actions(id, actions)
        self.observation_clip = observation_clip if normalize_observation else None
        if normalize_observation:
            self.observation_space = self.observation_space.as_numbers()

    def make(self) -> Environments:
        """Return the environments of training; reset them first."""
        scaler = None
        if self._normalize_reward:
            scaler = RewardScaler(self.num_envs, self._reward_gamma, self._reward_clip)
        return Environments(
            self._stepper(self._vectorization, self.num_envs, self._kwargs),
            self.action_space,
            scaler=scaler,
            exact_state=self._has_exact_state(),
        )

    def make_evaluation(self, num_envs: int, *, render: bool = False) -> Environments:
        """Return environments for evaluation.

        Args:
            num_envs: how many.
            render: draw pictures for `render`.
        """
        kwargs = {**self._kwargs, **self._evaluation_kwargs}
        if render:
            kwargs["render_mode"] = "rgb_array"
            # pygame opens a sound device besides, and complains where there is none.
            os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
        kind = "serial" if self._vectorization == "async" or render else self._vectorization
        return Environments(self._stepper(kind, num_envs, kwargs), self.action_space)

    def _has_exact_state(self) -> bool:
        # Other processes hold environments as this one would, so these are what is tried.
        kind = "serial" if self._vectorization == "async" else self._vectorization
        num_envs = min(self.num_envs, 2)
        return is_exact(
            lambda: Environments(
                self._stepper(kind, num_envs, self._kwargs), self.action_space, exact_state=True
            )
        )

    def _stepper(self, kind: str, num_envs: int, kwargs: Mapping[str, Any]) -> Stepper:
        if kind == "vector_entry_point":
            return Vectorized(self._make_vector(num_envs, kwargs), self.observation_space)
        chosen = Workers if kind == "async" else Serial
        return chosen(lambda: self._make_one(kwargs), num_envs, self.observation_space)

    def _make_one(self, kwargs: Mapping[str, Any]) -> gym.Env[Any, Any]:
        with _named(self.id):
            env = gym.make(
                self.id,
                max_episode_steps=self._max_episode_steps,
                disable_env_checker=True,
                **kwargs,
            )
        if self._frame_stack > 1:
            env = wrappers.FrameStackObservation(env, self._frame_stack)
        return env

    def _make_vector(
        self, num_envs: int, kwargs: Mapping[str, Any]
    ) -> gym.vector.VectorEnv[Any, Any, Any]:
        if self._frame_stack > 1 or self._max_episode_steps is not None:
            raise UnsupportedEnvironmentError(
                f"{self.id}: env.frame_stack and env.max_episode_steps need env.vectorization=serial or async"
            )
        with _named(self.id):
            return gym.make_vec(
                self.id, num_envs=num_envs, vectorization_mode="vector_entry_point", **kwargs
            )

    def _spaces(self) -> tuple[gym.Space[Any], gym.Space[Any]]:
        if self._vectorization == "vector_entry_point":
            many = self._make_vector(1, self._kwargs)
            spaces = many.single_observation_space, many.single_action_space
            many.close()
        else:
            one = self._make_one(self._kwargs)
            spaces = one.observation_space, one.action_space
            one.close()
        return spaces


def _choose(spec: gym.envs.registration.EnvSpec, vectorization: str, num_envs: int) -> str:
    if vectorization != "auto":
        if vectorization == "vector_entry_point" and spec.vector_entry_point is None:
            raise UnsupportedEnvironmentError(f"{spec.id} has no vector entry point of its own")
        return vectorization
    if spec.vector_entry_point is None:
        return "serial"
    # Stepping CartPole-v1 one by one takes 11 us each, by its vector entry point 73 us for any number.
    return "vector_entry_point" if num_envs >= 8 or spec.entry_point is None else "serial"


def _plain(value: Any) -> Any:
    """Return an argument as values that a checkpoint can hold; of any other object, only what kind it is."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bool | int | float | str | None):
        return value
    return f"{type(value).__module__}.{type(value).__qualname__}"


@contextmanager
def _named(id: str) -> Iterator[None]:
    """Turn what may be raised while an environment is made into one line that names it."""
    try:
        yield
    except (gym.error.Error, ImportError, TypeError) as error:
        line = " ".join(str(error).split())
        raise UnsupportedEnvironmentError(f"{id} cannot be made: {line}") from error
