"""Gymnasium environments by id, as a config describes them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from poke.distributed.ranks import ALONE, Ranks
from poke.envs.environments import Environments, Stepper
from poke.envs.gym.exactness import inexact_reason
from poke.envs.gym.masks import find_mask
from poke.envs.gym.spaces import check_mask, read_actions, read_observations
from poke.envs.gym.steppers import Serial
from poke.envs.gym.vectorized import Vectorized
from poke.envs.gym.workers import Workers
from poke.envs.gym.wrapping import FrameStack, wrap
from poke.envs.normalization import RewardScaler
from poke.envs.registration import UnsupportedEnvironmentError, find
from poke.spaces import ActionSpace, ObservationSpace, SpaceError

DEFAULT_GAMMA = 0.99  # of scaled rewards, where nothing else says


class GymEnvironment:
    """Makes the environments that training plays in, and those that evaluation does.

    Args:
        id: as Gymnasium registers it, such as CartPole-v1, or `module:Name-v0` to import a module first.
        num_envs: stepped together in training.
        vectorization: serial (one after the other in this process), async (a process each), vector_entry_point (the
            environment's own), or auto: its own where it has one, it can do what the other arguments ask for, and
            there are 8 or more; else serial.
        kwargs: for the environment's constructor.
        evaluation_kwargs: in place of these in evaluation.
        wrappers: each a mapping of `_target_`, a wrapper's dotted name, and its arguments; the first is innermost.
        max_episode_steps: cut episodes off here; None for the environment's own limit.
        frame_stack: how many of the latest observations make one; 1 for none.
        action_bounds: how actions of numbers are brought within the environment's bounds: clip, or squash.
        normalize_observation: by running mean and variance.
        observation_clip: absolute value that normalised observations are clipped to.
        normalize_reward: by the running deviation of the discounted return.
        reward_clip: absolute value that normalised rewards are clipped to.
        reward_gamma: discount factor for that return; None for `gamma`.
        gamma: of the algorithm that learns here; None where it has none.
        probe_exact: try whether environments can be copied, so that a resumed run goes on with the very same.
        ranks: the processes that share the environments of training.

    Raises:
        UnsupportedEnvironmentError: no such environment or wrapper, or spaces that cannot be played.
    """

    def __init__(
        self,
        id: str,
        *,
        num_envs: int,
        vectorization: str = "auto",
        kwargs: Mapping[str, Any] | None = None,
        evaluation_kwargs: Mapping[str, Any] | None = None,
        wrappers: Sequence[Mapping[str, Any]] = (),
        max_episode_steps: int | None = None,
        frame_stack: int = 1,
        action_bounds: str = "clip",
        normalize_observation: bool = False,
        observation_clip: float = 10.0,
        normalize_reward: bool = False,
        reward_clip: float = 10.0,
        reward_gamma: float | None = None,
        gamma: float | None = None,
        probe_exact: bool = True,
        ranks: Ranks = ALONE,
    ) -> None:
        self._ranks = ranks
        self.num_envs = ranks.part(num_envs, "env.num_envs")
        self._kwargs = dict(kwargs or {})
        self._evaluation_kwargs = dict(evaluation_kwargs or {})
        self._wrappers = list(wrappers or ())
        self._max_episode_steps = max_episode_steps
        self._frame_stack = frame_stack
        self._normalize_reward = normalize_reward
        self._reward_clip = reward_clip
        given = (g for g in (reward_gamma, gamma, DEFAULT_GAMMA) if g is not None)
        self._reward_gamma = next(given)
        self._probe_exact = probe_exact
        self._spec = find(id)
        self.id = self._spec.id
        self.episode_limit = max_episode_steps or self._spec.max_episode_steps
        self._vectorization = self._choose(vectorization)
        self.settings = {
            "id": self.id,
            "normalize_observation": normalize_observation,
            "normalize_reward": normalize_reward,
            "num_envs": num_envs,
            "vectorization": self._vectorization,
            "max_episode_steps": max_episode_steps,
            "frame_stack": frame_stack,
            # What came later is not in the settings of runs from before.
            **({"ranks": ranks.size} if ranks.size > 1 else {}),
            **({"action_bounds": action_bounds} if action_bounds != "clip" else {}),
            **({"wrappers": _plain(self._wrappers)} if self._wrappers else {}),
            **{f"kwargs.{name}": _plain(value) for name, value in self._kwargs.items()},
        }
        self.observation_space, self.action_space, self.masked = self._examine(action_bounds)
        self.observation_clip = observation_clip if normalize_observation else None
        if normalize_observation:
            self.observation_space = self.observation_space.as_numbers()

    def make(self) -> Environments:
        """Return the environments of training; reset them first."""
        scaler = None
        if self._normalize_reward:
            scaler = RewardScaler(self.num_envs, self._reward_gamma, self._reward_clip)
        reason = self._inexact_reason()
        return Environments(
            self._stepper(self._vectorization, self.num_envs, self._kwargs),
            self.action_space,
            scaler=scaler,
            inexact_reason=reason,
            episode_limit=self.episode_limit,
            ranks=self._ranks,
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
        return Environments(
            self._stepper(kind, num_envs, kwargs),
            self.action_space,
            episode_limit=self.episode_limit,
        )

    def _inexact_reason(self) -> str | None:
        if not self._probe_exact:
            return "env.probe_exact=false"
        # Other processes hold environments as this one would, so these are what is tried.
        kind = "serial" if self._vectorization == "async" else self._vectorization
        num_envs = min(self.num_envs, 2)
        return inexact_reason(
            lambda: Environments(
                self._stepper(kind, num_envs, self._kwargs), self.action_space, inexact_reason=None
            )
        )

    def _stepper(self, kind: str, num_envs: int, kwargs: Mapping[str, Any]) -> Stepper:
        how = (self.observation_space, self.action_space, self.masked)
        if kind == "vector_entry_point":
            return Vectorized(self._make_vector(num_envs, kwargs), *how)
        chosen = Workers if kind == "async" else Serial
        return chosen(lambda: self._make_one(kwargs), num_envs, *how)

    def _make_one(self, kwargs: Mapping[str, Any]) -> gym.Env[Any, Any]:
        with _named(self.id):
            env = gym.make(
                self.id,
                max_episode_steps=self._max_episode_steps,
                disable_env_checker=True,
                **kwargs,
            )
        env = wrap(env, self._wrappers)
        return env if self._frame_stack == 1 else FrameStack(env, self._frame_stack)

    def _make_vector(
        self, num_envs: int, kwargs: Mapping[str, Any]
    ) -> gym.vector.VectorEnv[Any, Any, Any]:
        with _named(self.id):
            return gym.make_vec(
                self.id, num_envs=num_envs, vectorization_mode="vector_entry_point", **kwargs
            )

    def _examine(self, action_bounds: str) -> tuple[ObservationSpace, ActionSpace, bool]:
        """Make one environment and begin an episode, to know its spaces and whether it gives action masks."""
        vector = self._vectorization == "vector_entry_point"
        kwargs = self._kwargs
        with closing(self._make_vector(1, kwargs) if vector else self._make_one(kwargs)) as env:
            many: Any = env
            seen = many.single_observation_space if vector else many.observation_space
            done = many.single_action_space if vector else many.action_space
            observations = read_observations(self.id, seen)
            actions = read_actions(self.id, done, action_bounds)
            check_mask(self.id, seen, observations.mask, actions)
            try:
                masked = _gives_masks(env, observations, actions, (1,) if vector else ())
            except SpaceError as error:
                raise UnsupportedEnvironmentError(f"{self.id}: {error}") from error
        return observations, actions, masked

    def _choose(self, vectorization: str) -> str:
        spec = self._spec
        hindering = [
            name
            for name, given in (
                ("env.wrappers", self._wrappers),
                ("env.frame_stack", self._frame_stack > 1),
                ("env.max_episode_steps", self._max_episode_steps is not None),
            )
            if given
        ]
        if spec.entry_point is None and hindering:
            raise UnsupportedEnvironmentError(
                f"{spec.id} has a vector entry point only, which takes no {' and no '.join(hindering)}"
            )
        if vectorization == "vector_entry_point":
            if spec.vector_entry_point is None:
                raise UnsupportedEnvironmentError(f"{spec.id} has no vector entry point of its own")
            if hindering:
                raise UnsupportedEnvironmentError(
                    f"{spec.id}: {' and '.join(hindering)} need env.vectorization=serial or async"
                )
        if vectorization != "auto":
            return vectorization
        if spec.entry_point is None:
            return "vector_entry_point"
        if hindering or spec.vector_entry_point is None or self.num_envs < 8:
            return "serial"
        # Stepping CartPole-v1 one by one takes 11 us each, by its vector entry point 73 us for any number.
        names = {*self._kwargs, *self._evaluation_kwargs}
        return "vector_entry_point" if _vector_takes(spec, names) else "serial"


def _gives_masks(
    env: Any, observations: ObservationSpace, actions: ActionSpace, lead: tuple[int, ...]
) -> bool:
    observation, info = env.reset(seed=0)
    observations.write(observation, observations.empty(*lead))
    mask = find_mask(observation, info, observations)
    if mask is None and actions.mask_size:
        # Some give none at a reset, where everything is legal.
        action = actions.to_environment(np.zeros((1, *actions.action_shape), np.int64))
        one = action.tolist()[0] if actions.kind == "discrete" else action[0]
        observation, _, _, _, info = env.step(action if lead else one)
        mask = find_mask(observation, info, observations)
    if mask is not None and not (isinstance(mask, np.ndarray) and mask.dtype.hasobject):
        actions.read_mask(mask, *lead)
    return mask is not None


def _vector_takes(spec: gym.envs.registration.EnvSpec, names: set[str]) -> bool:
    """Whether an environment's vector entry point takes these arguments and begins anew by itself."""
    entry: Any = spec.vector_entry_point
    if isinstance(entry, str):
        with _named(spec.id):
            entry = gym.envs.registration.load_env_creator(entry)
    metadata = getattr(entry, "metadata", None) or {}
    if metadata.get("autoreset_mode") == AutoresetMode.DISABLED:
        return False
    parameters = inspect.signature(entry).parameters
    anything = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    return anything or names <= set(parameters)


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
