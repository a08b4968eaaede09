"""Experience collected by playing: one preallocated block of transitions, filled anew for every update.

Generalised advantage estimation: Schulman et al., "High-Dimensional Continuous Control Using Generalized Advantage
Estimation", ICLR 2016, equations 11-16; bootstrapping at time limits: Pardo et al., "Time Limits in Reinforcement
Learning", ICML 2018, section 2.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from poke.spaces import ActionSpace, ObservationNormalizer, ObservationSpace

log = logging.getLogger("poke")


class VectorEnvironment(Protocol):
    """Environments stepped together. The arrays are overwritten by every step."""

    num_envs: int
    observation: (
        np.ndarray
    )  # [num_envs, *observation_space.shape]: what to act on now, not normalised
    action_mask: np.ndarray | None  # [num_envs, num_actions] bool, true where legal
    reward: np.ndarray  # [num_envs] float32: of the last step, as training takes it
    terminated: np.ndarray  # [num_envs] bool
    truncated: np.ndarray  # [num_envs] bool
    idle: np.ndarray  # [num_envs] bool: the next step only resets, whatever the action
    final_observations: Mapping[int, np.ndarray]  # where the last step ended and reset at once
    finished: list[tuple[float, int]]  # return and length of episodes that ended in the last step
    exact_state: bool  # whether get_state holds all of it, and set_state may be called

    def reset(self, entropy: Sequence[int]) -> None: ...
    def step(self, action: np.ndarray) -> None: ...
    def get_state(self) -> dict[str, Any]: ...
    def set_state(self, state: Mapping[str, Any]) -> None: ...
    def restart(self, state: Mapping[str, Any], entropy: Sequence[int]) -> None: ...
    def close(self) -> None: ...


class Environment(Protocol):
    """Describes environments and makes them.

    One whose episodes depend on what it was given has an attribute ``settings``: that, as plain values by the names of
    the knobs under `env`. Where it is missing, a run that is resumed with other values is refused or goes on with
    half-finished episodes of before, as its state allows.
    """

    observation_space: ObservationSpace
    action_space: ActionSpace
    num_envs: int
    observation_clip: float | None  # limit of normalised observations; None to leave them

    def make(self) -> VectorEnvironment: ...


class Normalized(Protocol):
    """A policy that may see observations normalised."""

    normalizer: ObservationNormalizer | None


class ActorCritic(Protocol):
    """The side of an algorithm that collects; it sees observations normalised already."""

    policy: Normalized

    def rollout_step(
        self, observation: np.ndarray, action_mask: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return sampled actions, their log-probabilities and the states' values."""
        ...

    def value(self, observation: np.ndarray) -> np.ndarray:
        """Return `[batch]` float32 values."""
        ...


class Rollout:
    """A block of transitions, time first.

    Args:
        num_steps: transitions of each environment.
        num_envs: environments.
        observation_space: decides shape and dtype of observations.
        action_space: decides shape and dtype of actions.
        masked: whether there are action masks.
    """

    def __init__(
        self,
        num_steps: int,
        num_envs: int,
        observation_space: ObservationSpace,
        action_space: ActionSpace,
        masked: bool,
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
        # The value of the state a transition led to, where that is not the next row's state.
        self.final_value = np.zeros(block, np.float32)
        self.last_value = np.zeros(num_envs, np.float32)
        self.last_idle = np.zeros(num_envs, np.bool_)
        self.metrics: dict[str, float] = {}

    @property
    def num_steps(self) -> int:
        """How many transitions are real: rows that only reset an environment are none."""
        return self.idle.size - int(np.count_nonzero(self.idle))

    @property
    def num_samples(self) -> int:
        """How many transitions are learned from: all."""
        return self.num_steps

    def rows(self) -> np.ndarray:
        """Return `[num_steps]` int64: the flat indices of real transitions."""
        return np.flatnonzero(~self.idle.reshape(-1))

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
        delta = self.reward + gamma * next_value * ~self.terminated - self.value
        carry = (gamma * gae_lambda * ~ended).astype(np.float32)
        advantage = np.empty_like(delta)
        running = np.zeros_like(self.last_value)
        for t in range(len(delta) - 1, -1, -1):
            running *= carry[t]
            running += delta[t]
            advantage[t] = running
        return advantage, advantage + self.value

    def _idle_next(self) -> np.ndarray:
        """True where the next row is the final observation itself, waiting for the reset."""
        return np.concatenate([self.idle[1:], self.last_idle[None]])


class Collector:
    """Source: plays `num_steps` in every environment and hands over the block.

    Args:
        environment: makes the environments.
        num_steps: transitions of each environment an update.
        seed: of the environments.
        episode_window: how many finished episodes the reported mean return and length are taken over.

    Raises:
        ValueError: an environment gave a reward that is not finite, or forbade every action.
    """

    epoch = 0

    def __init__(
        self,
        environment: Environment,
        *,
        num_steps: int,
        seed: int = 0,
        episode_window: int = 100,
    ) -> None:
        self.environment = environment
        self.observation_space = environment.observation_space
        self.action_space = environment.action_space
        self.observation_clip = environment.observation_clip
        self.environments = environment.make()
        self.environments.reset([seed, 0])
        self._settings = dict(getattr(environment, "settings", {}))
        self._seed = seed
        self._num_rollouts = 0
        self._recent: deque[tuple[float, int]] = deque(maxlen=episode_window)
        self._policy: ActorCritic | None = None
        self._normalizer: ObservationNormalizer | None = None
        self._seen = self.environments.observation  # what to act on next, normalised
        self.masked = self.environments.action_mask is not None
        self._rollout = Rollout(
            num_steps,
            environment.num_envs,
            environment.observation_space,
            environment.action_space,
            masked=self.masked,
        )

    @property
    def exact_resume(self) -> bool:
        """Whether a resumed run goes on with the very environments it was stopped with."""
        return self.environments.exact_state

    def attach(self, algorithm: ActorCritic) -> None:
        """Let this algorithm choose the actions from now on, and its policy's normaliser learn of what is seen."""
        self._policy = algorithm
        self._normalizer = algorithm.policy.normalizer
        self._see()

    def sample(self) -> Rollout:
        """Play and return the block; the next call overwrites it."""
        if self._policy is None:
            raise RuntimeError("attach an algorithm before sampling")
        rollout, environments, policy = self._rollout, self.environments, self._policy
        num_finished = 0
        rollout.final_value.fill(0)
        for t in range(len(rollout.reward)):
            rollout.observation[t] = self._seen
            rollout.idle[t] = environments.idle
            mask = environments.action_mask
            if mask is not None and rollout.action_mask is not None:
                if not mask.any(axis=1).all():
                    raise ValueError("the environment's action mask forbids every action")
                rollout.action_mask[t] = mask
            action, rollout.log_prob[t], rollout.value[t] = policy.rollout_step(
                rollout.observation[t], mask
            )
            rollout.action[t] = action
            environments.step(action)
            self._see()
            rollout.reward[t] = environments.reward
            rollout.terminated[t] = environments.terminated
            rollout.truncated[t] = environments.truncated
            if environments.finished:
                num_finished += len(environments.finished)
                self._recent.extend(environments.finished)
                for i, final in environments.final_observations.items():
                    if environments.truncated[i] and not environments.terminated[i]:
                        rollout.final_value[t, i] = policy.value(self._normalized(final[None]))[0]
        rollout.last_value[...] = policy.value(self._seen)
        rollout.last_idle[...] = environments.idle
        if not np.isfinite(rollout.reward).all():
            t, i = np.argwhere(~np.isfinite(rollout.reward))[0]
            raise ValueError(f"environment {i} gave a reward of {rollout.reward[t, i]}")
        self._num_rollouts += 1
        rollout.metrics = self._episode_metrics(num_finished)
        return rollout

    def get_state(self) -> dict[str, Any]:
        """Return the environments with their half-finished episodes, and the returns of those just finished."""
        return {
            "environments": self.environments.get_state(),
            "seen": None if self._normalizer is None else torch.from_numpy(self._seen.copy()),
            "exact": self.exact_resume,
            "settings": self._settings,
            "num_rollouts": self._num_rollouts,
            "recent_episodes": list(self._recent),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on where the state was taken.

        Environments that cannot be copied, or that were given other values than those of the state, begin new episodes
        that the run has not begun with; what was learned of observations and rewards is kept.

        Raises:
            ValueError: it is of another environment, or does not fit as `VectorEnvironment.restart` says.
        """
        # A state from before settings were kept is taken to be of these.
        then, now = state.get("settings", self._settings), self._settings
        changes = [
            f"env.{name} is {now.get(name, 'not given')}, was {then.get(name, 'not given')}"
            for name in {**now, **then}
            if now.get(name) != then.get(name)
        ]
        if now.get("id") != then.get("id"):
            raise ValueError(f"{changes[0]}: a run goes on in the environment it began with")
        self._num_rollouts = state["num_rollouts"]
        self._recent.clear()
        self._recent.extend((episode[0], episode[1]) for episode in state["recent_episodes"])
        if changes or not (self.exact_resume and state.get("exact", True)):
            self.environments.restart(state["environments"], [self._seed, self._num_rollouts])
            self._see()
        else:
            self.environments.set_state(state["environments"])
            # The normaliser learned of it before the state was taken.
            seen = state["seen"]
            self._seen = self.environments.observation if seen is None else seen.numpy().copy()
        if changes:
            log.info("%s: all episodes begin anew", ", ".join(changes))

    def close(self) -> None:
        """Close the environments."""
        self.environments.close()

    def _see(self) -> None:
        """Let the normaliser learn of the environments' observations, and take what it makes of them."""
        self._seen = self.environments.observation
        if self._normalizer is not None:
            self._normalizer.learn(self._seen)
            self._seen = self._normalizer(self._seen)

    def _normalized(self, observation: np.ndarray) -> np.ndarray:
        return observation if self._normalizer is None else self._normalizer(observation)

    def _episode_metrics(self, num_finished: int) -> dict[str, float]:
        metrics: dict[str, float] = {"episodes": num_finished}
        if self._recent:
            metrics["episode_return"] = float(np.mean([episode[0] for episode in self._recent]))
            metrics["episode_length"] = float(np.mean([episode[1] for episode in self._recent]))
        return metrics
