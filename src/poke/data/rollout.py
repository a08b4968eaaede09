"""Experience collected by playing: one preallocated block of transitions, filled anew for every update."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch

from poke.data.block import Rollout
from poke.protocols import Actor, Environment, VectorEnvironmentDefaults
from poke.spaces import ObservationNormalizer

log = logging.getLogger("poke")


class Remembered(Protocol):
    """A policy's memory of the episodes it plays side by side."""

    values: np.ndarray  # [num_envs, state_size] float32

    def reset(self, rows: Any = ...) -> None:
        """Forget these episodes."""
        ...

    def copy(self, rows: Any = ...) -> Any:
        """Return what is remembered of these, to move on apart from this."""
        ...


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
        try:
            self.environments.reset([seed, 0])
        except BaseException:
            self.environments.close()
            raise
        self._settings = dict(getattr(environment, "settings", {}))
        self._seed = seed
        self._num_rollouts = 0
        self._recent: deque[tuple[float, int]] = deque(maxlen=episode_window)
        self._num_steps = num_steps
        self._actor: Actor | None = None
        self._normalizer: ObservationNormalizer | None = None
        self._memory: Remembered | None = None
        # What to act on next, normalised; None while the normaliser has yet to learn of it.
        self._seen: np.ndarray | None = None
        # Where that is the first of an episode.
        self._begins = np.ones(environment.num_envs, np.bool_)
        self.masked = self.environments.action_mask is not None
        self._tells_of_opponents = _told(self.environments, "opponent_action") is not None
        self._rollout: Rollout

    @property
    def exact_resume(self) -> bool:
        """Whether a resumed run goes on with the very environments it was stopped with."""
        return self.environments.exact_state

    @property
    def inexact_reason(self) -> str | None:
        """Why it does not, in a few words; None where it does, or nobody said."""
        return getattr(self.environments, "inexact_reason", None)

    def attach(self, algorithm: Actor) -> None:
        """Let this algorithm choose the actions from now on, and its policy's normaliser learn of what is seen."""
        self._actor = algorithm
        if hasattr(self.environments, "attach"):
            self.environments.attach(algorithm.policy)
        self._normalizer = algorithm.policy.normalizer
        self._memory = algorithm.policy.initial_state(self.environments.num_envs)
        self._seen = None
        self._rollout = Rollout(
            self._num_steps,
            self.environments.num_envs,
            self.observation_space,
            self.action_space,
            self.masked,
            state_size=0 if self._memory is None else self._memory.values.shape[1],
        )

    def sample(self) -> Rollout:
        """Play and return the block; the next call overwrites it."""
        if self._actor is None:
            raise RuntimeError("attach an algorithm before sampling")
        rollout, environments, actor = self._rollout, self.environments, self._actor
        memory = () if self._memory is None else (self._memory,)
        seen = self._see() if self._seen is None else self._seen
        num_finished = 0
        rollout.final_value.fill(0)
        for t in range(self._num_steps):
            if self._memory is not None:
                rollout.begins[t] = self._begins
                if t == 0:
                    rollout.state[...] = self._memory.values
            rollout.observation[t] = seen
            rollout.idle[t] = environments.idle
            mask = environments.action_mask
            if mask is not None and rollout.action_mask is not None:
                if not mask.any(axis=1).all():
                    raise ValueError("the environment's action mask forbids every action")
                rollout.action_mask[t] = mask
            action, rollout.log_prob[t], rollout.value[t] = actor.rollout_step(
                rollout.observation[t], mask, *memory
            )
            rollout.action[t] = action
            environments.step(action)
            seen = self._see()
            rollout.reward[t] = environments.reward
            rollout.terminated[t] = environments.terminated
            rollout.truncated[t] = environments.truncated
            void = _told(environments, "void")
            if void is not None:
                rollout.void[t] = void
                rollout.idle[t] |= void
            if self._tells_of_opponents:
                rollout.opponent_action[t] = _told(environments, "opponent_action")
            if environments.finished:
                num_finished += len(environments.finished)
                self._recent.extend(environments.finished)
                for i, final in environments.final_observations.items():
                    if environments.truncated[i] and not environments.terminated[i]:
                        rollout.final_value[t, i] = self._final_value(final[None], i)
            if self._memory is not None:
                # What ended has begun anew, unless it waits for that, and so has what was waiting.
                ended = environments.terminated | environments.truncated
                ended |= rollout.idle[t] & ~rollout.void[t]
                self._begins = ended & ~environments.idle
                self._memory.reset(self._begins)
        rollout.last_value[...] = actor.value(seen, *(m.copy() for m in memory))
        rollout.last_idle[...] = environments.idle
        if not np.isfinite(rollout.reward).all():
            t, i = np.argwhere(~np.isfinite(rollout.reward))[0]
            raise ValueError(f"environment {i} gave a reward of {rollout.reward[t, i]}")
        self._num_rollouts += 1
        rollout.metrics = self._episode_metrics(num_finished)
        if hasattr(environments, "metrics"):
            rollout.metrics |= environments.metrics()
        return rollout

    def get_state(self) -> dict[str, Any]:
        """Return the environments with their half-finished episodes, and the returns of those just finished."""
        return {
            "environments": self.environments.get_state(),
            "seen": None if self._normalizer is None else _tensor(self._seen),
            "memory": None if self._memory is None else _tensor(self._memory.values),
            "begins": self._begins.tolist(),
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
            ValueError: it is of another environment, or does not fit as its environments say.
        """
        # A state from before settings were kept is taken to be of these.
        then, now = state.get("settings", self._settings), self._settings
        changes = [
            f"env.{name} is {now.get(name, 'not given')}, was {then.get(name, 'not given')}"
            for name in {**now, **then}
            if now.get(name) != then.get(name)
        ]
        if any(now.get(name) != then.get(name) for name in ("id", "format")):
            raise ValueError(f"{changes[0]}: a run goes on in the environment it began with")
        self._num_rollouts = state["num_rollouts"]
        self._recent.clear()
        self._recent.extend((episode[0], episode[1]) for episode in state["recent_episodes"])
        if changes or not (self.exact_resume and state.get("exact", True)):
            self.environments.restart(state["environments"], [self._seed, self._num_rollouts])
            # Learned of when playing goes on: the normaliser may be restored after this.
            self._seen = None
            self._begins.fill(True)
            if self._memory is not None:
                self._memory.reset()
        else:
            self.environments.set_state(state["environments"])
            # The normaliser learned of it before the state was taken, if anything had been played.
            seen = state["seen"]
            self._seen = None if seen is None else seen.numpy().copy()
            if self._memory is not None:
                self._memory.values[...] = state["memory"].numpy()
                self._begins = np.array(state["begins"], np.bool_)
        if changes:
            log.info("%s: all episodes begin anew", ", ".join(changes))

    def close(self) -> None:
        """Close the environments."""
        self.environments.close()

    def _see(self) -> np.ndarray:
        """Let the normaliser learn of the environments' observations, and return what it makes of them."""
        seen = self.environments.observation
        if self._normalizer is not None:
            self._normalizer.learn(seen)
            seen = self._normalizer(seen)
        self._seen = seen
        return seen

    def _final_value(self, observation: np.ndarray, i: int) -> float:
        """Return the value of environment i's last observation, `[1, *shape]`, which nothing is learned of."""
        assert self._actor is not None
        if self._normalizer is not None:
            observation = self._normalizer(observation)
        if self._memory is None:
            return float(self._actor.value(observation)[0])
        return float(self._actor.value(observation, self._memory.copy([i]))[0])

    def _episode_metrics(self, num_finished: int) -> dict[str, float]:
        metrics: dict[str, float] = {"episodes": num_finished}
        if self._recent:
            metrics["episode_return"] = float(np.mean([episode[0] for episode in self._recent]))
            metrics["episode_length"] = float(np.mean([episode[1] for episode in self._recent]))
        return metrics


def _told(environments: Any, name: str) -> Any:
    """What environments tell besides what all do, see `poke.protocols.VectorEnvironmentDefaults`."""
    return getattr(environments, name, getattr(VectorEnvironmentDefaults, name))


def _tensor(array: np.ndarray | None) -> torch.Tensor | None:
    return None if array is None else torch.from_numpy(array.copy())
