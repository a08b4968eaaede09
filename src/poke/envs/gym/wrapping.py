"""Wrappers as a config names them, and stacks of frames."""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from poke.envs.gym.spaces import MASK
from poke.envs.registration import UnsupportedEnvironmentError


def wrap(env: gym.Env[Any, Any], nodes: Sequence[Any]) -> gym.Env[Any, Any]:
    """Return an environment in wrappers, the first innermost.

    Args:
        env: is closed if one cannot be made.
        nodes: mappings of `_target_`, the wrapper's dotted name, and its arguments besides the environment.

    Raises:
        UnsupportedEnvironmentError: one does not exist or cannot be made of this environment.
    """
    try:
        for i, node in enumerate(nodes):
            env = _wrapped(env, node, f"env.wrappers[{i}]")
    except BaseException:
        env.close()
        raise
    return env


def _wrapped(env: gym.Env[Any, Any], node: Any, key: str) -> gym.Env[Any, Any]:
    if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str):
        raise UnsupportedEnvironmentError(
            f"{key} must name a wrapper, as in {{_target_: gymnasium.wrappers.ClipReward}}, not {node!r}"
        )
    name = node["_target_"]
    wrapper = _find(name, key)
    arguments = {argument: value for argument, value in node.items() if argument != "_target_"}
    try:
        wrapped = wrapper(env, **arguments)
    except Exception as error:  # wrappers refuse by asserts and whatever their checks run into
        line = " ".join(f"{type(error).__name__}: {error}".split())
        raise UnsupportedEnvironmentError(f"{key}: {name} cannot be made: {line}") from error
    if not isinstance(wrapped, gym.Env):
        raise UnsupportedEnvironmentError(f"{key}: {name} makes no environment of one")
    return wrapped


def _find(name: str, key: str) -> Any:
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UnsupportedEnvironmentError(f"{key}: there is no {name}") from error
    if not callable(found):
        raise UnsupportedEnvironmentError(f"{key}: {name} is no wrapper")
    return found


class FrameStack(gym.Wrapper[Any, Any, Any, Any]):
    """Makes one observation of the latest few; an episode begins with its first, several times.

    Frames are an axis in front. Every entry of a Dict or Tuple is stacked, an action mask excepted: that one is of now.

    Args:
        env: to wrap.
        num_frames: how many.

    Raises:
        UnsupportedEnvironmentError: a part of its observations is of a kind that poke cannot play.
    """

    def __init__(self, env: gym.Env[Any, Any], num_frames: int) -> None:
        super().__init__(env)
        self._num_frames = num_frames
        self._frames: deque[Any] = deque(maxlen=num_frames)
        self.observation_space = _stacked_space(env.observation_space, num_frames)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        # A copy, since the environment may write its next observation into the same array.
        self._frames.extend([deepcopy(observation)] * self._num_frames)
        return self._stacked(), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and let the oldest observation go."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._frames.append(deepcopy(observation))
        return self._stacked(), reward, terminated, truncated, info

    def _stacked(self) -> Any:
        return _stack(list(self._frames), self.env.observation_space)


def _stack(frames: list[Any], space: gym.Space[Any]) -> Any:
    if isinstance(space, spaces.Dict):
        return {
            name: frames[-1][name] if name == MASK else _stack([f[name] for f in frames], part)
            for name, part in space.spaces.items()
        }
    if isinstance(space, spaces.Tuple):
        return tuple(_stack([f[i] for f in frames], part) for i, part in enumerate(space.spaces))
    return np.stack(frames)


def _stacked_space(space: gym.Space[Any], n: int) -> gym.Space[Any]:
    if isinstance(space, spaces.Dict):
        parts = {
            name: part if name == MASK else _stacked_space(part, n)
            for name, part in space.spaces.items()
        }
        return spaces.Dict(parts)
    if isinstance(space, spaces.Tuple):
        return spaces.Tuple([_stacked_space(part, n) for part in space.spaces])
    if isinstance(space, spaces.Box):
        low, high = (np.stack([end] * n) for end in (space.low, space.high))
        return spaces.Box(low, high, dtype=low.dtype.type)
    if isinstance(space, spaces.Discrete):
        return spaces.MultiDiscrete([int(space.n)] * n, start=[int(space.start)] * n)
    if isinstance(space, spaces.MultiDiscrete):
        nvec, start = (np.stack([array] * n) for array in (space.nvec, space.start))
        return spaces.MultiDiscrete(nvec, start=start)
    if isinstance(space, spaces.MultiBinary):
        return spaces.MultiBinary((n, *space.shape))
    return space  # what cannot be played is refused by the name it has
