"""Environments as training and evaluation see them: counted, rewards scaled, and saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import torch

from poke.envs.normalization import RewardScaler
from poke.envs.steppers import Stepper
from poke.spaces import ActionSpace


class Environments:
    """Several environments stepped together.

    Args:
        stepper: runs them.
        action_space: makes a policy's actions the environments' own.
        scaler: of rewards; None to leave them.
        exact_state: whether the stepper's state is all there is, see `is_exact`.
    """

    def __init__(
        self,
        stepper: Stepper,
        action_space: ActionSpace,
        *,
        scaler: RewardScaler | None = None,
        exact_state: bool = False,
    ) -> None:
        self._stepper = stepper
        self._scaler = scaler
        self.action_space = action_space
        self.exact_state = exact_state
        self.num_envs = stepper.num_envs
        self.observation = stepper.observation
        self.action_mask: np.ndarray | None = None
        self.reward = np.zeros(self.num_envs, np.float32)
        self.terminated = np.zeros(self.num_envs, np.bool_)
        self.truncated = np.zeros(self.num_envs, np.bool_)
        self.idle = np.zeros(self.num_envs, np.bool_)
        self.final_observations: dict[int, np.ndarray] = {}
        self.finished: list[tuple[float, int]] = []
        self.finished_envs: list[int] = []
        self._returns = np.zeros(self.num_envs)
        self._lengths = np.zeros(self.num_envs, np.int64)

    def reset(self, entropy: Sequence[int]) -> None:
        """Begin new episodes.

        Args:
            entropy: numbers that decide every environment's seed, such as the run's seed.
        """
        seeds = np.random.SeedSequence(list(entropy)).generate_state(self.num_envs)
        # Some environments take seeds of 31 bits only.
        self._stepper.reset((seeds >> 1).tolist())
        self._returns.fill(0)
        self._lengths.fill(0)
        self._observe()

    def step(self, action: np.ndarray) -> None:
        """Step every environment.

        Args:
            action: `[num_envs, *action_shape]`, a policy's own.
        """
        stepper = self._stepper
        was_idle = self.idle.copy() if self.idle.any() else None
        stepper.step(self.action_space.to_environment(action))
        self._returns += stepper.reward
        self._lengths += 1
        if was_idle is not None:
            self._lengths[was_idle] = 0
        self.terminated, self.truncated = stepper.terminated, stepper.truncated
        if self.finished:
            self.finished, self.finished_envs = [], []
        if self.terminated.any() or self.truncated.any():
            self._finish(self.terminated | self.truncated)
        if self._scaler is None:
            self.reward[:] = stepper.reward
        else:
            ended = self.terminated | self.truncated
            counted = np.ones_like(ended) if was_idle is None else ~was_idle
            self.reward[:] = self._scaler(stepper.reward, ended, counted)
        self._observe()

    def get_state(self) -> dict[str, Any]:
        """Return the environments, where they can be copied exactly, and the statistics in any case."""
        state: dict[str, Any] = {"environments": None}
        if self.exact_state:
            state["environments"] = self._stepper.get_state()
            state["observation"] = torch.from_numpy(self.observation.copy())
            state["idle"] = self.idle.tolist()
            state["returns"] = self._returns.tolist()
            state["lengths"] = self._lengths.tolist()
            if self.action_mask is not None:
                state["action_mask"] = torch.from_numpy(self.action_mask.copy())
        if self._scaler is not None:
            state["scaler"] = self._scaler.get_state()
        return state

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned where `exact_state` is true.

        Raises:
            ValueError: the state does not fit, as in `restart`, or is of another number of environments.
        """
        if len(state["idle"]) != self.num_envs:
            raise ValueError(
                f"the state is of {len(state['idle'])} environments, and env.num_envs is {self.num_envs}"
            )
        self._check_scaler(state)
        if self._scaler is not None:
            self._scaler.set_state(state["scaler"])
        self._stepper.set_state(state["environments"])
        self.observation[...] = state["observation"].numpy()
        self._stepper.idle[:] = self.idle[:] = state["idle"]
        self._returns[:] = state["returns"]
        self._lengths[:] = state["lengths"]
        if "action_mask" in state:
            self.action_mask = state["action_mask"].numpy().copy()

    def restart(self, state: Mapping[str, Any], entropy: Sequence[int]) -> None:
        """Begin new episodes with what earlier environments, these or others, have learned of rewards.

        Args:
            state: of `get_state`; what it holds of each environment is left.
            entropy: as of `reset`.

        Raises:
            ValueError: rewards were normalised and are not, or the reverse.
        """
        self._check_scaler(state)
        if self._scaler is not None:
            self._scaler.restart(state["scaler"])
        self.reset(entropy)

    def random_actions(self, generator: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield random legal actions for every environment, for ever."""
        while True:
            if self.action_space.continuous:
                size = (self.num_envs, *self.action_space.action_shape)
                yield generator.uniform(-1, 1, size).astype(np.float32)
                continue
            chance = generator.random((self.num_envs, sum(self.action_space.sizes)))
            if self.action_mask is not None:
                chance[~self.action_mask] = -1
            ends = np.cumsum(self.action_space.sizes)[:-1]
            parts = [part.argmax(axis=1) for part in np.split(chance, ends, axis=1)]
            yield np.stack(parts, axis=1).reshape(self.num_envs, *self.action_space.action_shape)

    def render(self) -> np.ndarray | None:
        """Return the first environment's picture, `[height, width, 3]` uint8, or None where it has none."""
        return self._stepper.render()

    def close(self) -> None:
        """Close the environments."""
        self._stepper.close()

    def _check_scaler(self, state: Mapping[str, Any]) -> None:
        if ("scaler" in state) != (self._scaler is not None):
            now, then = (str(on).lower() for on in (self._scaler is not None, "scaler" in state))
            raise ValueError(
                f"env.normalize_reward is {now}, was {then}: what was learned of the one does not fit the other"
            )

    def _finish(self, ended: np.ndarray) -> None:
        self.finished_envs = np.flatnonzero(ended).tolist()
        self.finished = [
            (float(self._returns[i]), int(self._lengths[i])) for i in self.finished_envs
        ]
        self._returns[ended] = 0
        self._lengths[ended] = 0

    def _observe(self) -> None:
        stepper = self._stepper
        self.action_mask = stepper.action_mask
        np.copyto(self.idle, stepper.idle)
        self.final_observations = stepper.final_observations


def is_exact(make: Callable[[], Environments], num_steps: int = 200) -> bool:
    """Try whether environments, restored into fresh ones, go on as the first do.

    Args:
        make: makes environments that believe their state to be exact; two are made and closed.
        num_steps: how far they are stepped before the copy, and both after it, by the same random actions.
    """
    with closing(make()) as first, closing(make()) as second:
        first.reset([0])
        second.reset([1])
        actions = first.random_actions(np.random.default_rng(0))
        for _ in range(num_steps):
            first.step(next(actions))
        try:
            second.set_state(first.get_state())
        except (
            Exception
        ):  # anything may be raised by a foreign environment whose attributes are set
            return False
        return all(_step_alike(first, second, next(actions)) for _ in range(num_steps))


def _step_alike(first: Environments, second: Environments, action: np.ndarray) -> bool:
    if not np.array_equal(first.observation, second.observation):
        return False
    first.step(action)
    second.step(action)
    return (
        np.array_equal(first.reward, second.reward)
        and np.array_equal(first.terminated, second.terminated)
        and np.array_equal(first.truncated, second.truncated)
    )
