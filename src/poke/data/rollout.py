"""Experience collected by playing: one preallocated block of transitions, filled anew for every update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from poke.data.block import Rollout
from poke.data.play import Play, told
from poke.distributed.ranks import ALONE, Ranks
from poke.protocols import Actor, Environment


class Collector:
    """Source: plays `num_steps` in every environment and hands over the block.

    Args:
        environment: makes the environments.
        num_steps: transitions of each environment an update.
        seed: of the environments.
        episode_window: how many finished episodes the reported mean return and length are taken over.
        ranks: the processes that play and learn together, each in its share of the environments.

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
        ranks: Ranks = ALONE,
    ) -> None:
        self.environment = environment
        self.observation_space = environment.observation_space
        self.action_space = environment.action_space
        self.observation_clip = environment.observation_clip
        self._ranks = ranks
        self._play = Play(environment, seed=seed, episode_window=episode_window, ranks=ranks)
        self.environments = self._play.environments
        self.masked = self._play.masked
        self._num_steps = num_steps
        self._actor: Actor | None = None
        self._rollout: Rollout

    @property
    def exact_resume(self) -> bool:
        """Whether a resumed run goes on with the very environments it was stopped with."""
        return self._play.exact_resume

    @property
    def inexact_reason(self) -> str | None:
        """Why it does not, in a few words; None where it does, or nobody said."""
        return self._play.inexact_reason

    def attach(self, algorithm: Actor) -> None:
        """Let this algorithm choose the actions from now on, and its policy's normaliser learn of what is seen."""
        self._actor = algorithm
        self._play.attach(algorithm.policy)
        memory = self._play.memory
        self._rollout = Rollout(
            self._num_steps,
            self.environments.num_envs,
            self.observation_space,
            self.action_space,
            self.masked,
            state_size=0 if memory is None else memory.values.shape[1],
        )

    def sample(self) -> Rollout:
        """Play and return the block; the next call overwrites it."""
        if self._actor is None:
            raise RuntimeError("attach an algorithm before sampling")
        ranks = self._ranks
        rollout, play, environments, actor = (
            self._rollout,
            self._play,
            self.environments,
            self._actor,
        )
        memory = () if play.memory is None else (play.memory,)
        seen = play.seen()
        rollout.final_value.fill(0)
        for t in range(self._num_steps):
            if play.memory is not None:
                rollout.begins[t] = play.begins
                if t == 0:
                    rollout.state[...] = play.memory.values
            rollout.observation[t] = seen
            rollout.idle[t] = environments.idle
            mask = play.legal()
            if mask is not None and rollout.action_mask is not None:
                rollout.action_mask[t] = mask
            action, rollout.log_prob[t], rollout.value[t] = actor.rollout_step(
                rollout.observation[t], mask, *memory
            )
            rollout.action[t] = action
            seen = play.step(action)
            rollout.reward[t] = environments.reward
            rollout.terminated[t] = environments.terminated
            rollout.truncated[t] = environments.truncated
            void = play.void()
            if void is not None:
                rollout.void[t] = void
                rollout.idle[t] |= void
            if play.tells_of_opponents:
                rollout.opponent_action[t] = told(environments, "opponent_action")
            if environments.finished:
                for i, final in environments.final_observations.items():
                    if environments.truncated[i] and not environments.terminated[i]:
                        rollout.final_value[t, i] = self._final_value(final[None], i)
            if play.memory is not None:
                play.move_on(rollout.idle[t], void)
        rollout.last_value[...] = actor.value(seen, *(m.copy() for m in memory))
        rollout.last_idle[...] = environments.idle
        if not np.isfinite(rollout.reward).all():
            t, i = np.argwhere(~np.isfinite(rollout.reward))[0]
            raise ValueError(f"environment {i} gave a reward of {rollout.reward[t, i]}")
        rollout.num_elsewhere = sum(ranks.gather(rollout.num_samples)) - rollout.num_samples
        rollout.metrics = play.end_round()
        return rollout

    def get_state(self) -> dict[str, Any]:
        """Return the environments with their half-finished episodes, and the returns of those just finished."""
        return self._play.get_state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on where the state was taken, as `Play.set_state` has it."""
        self._play.set_state(state)

    def close(self) -> None:
        """Close the environments."""
        self._play.close()

    def _final_value(self, observation: np.ndarray, i: int) -> float:
        """Return the value of environment i's last observation, `[1, *shape]`, which nothing is learned of."""
        assert self._actor is not None
        observation, memory = self._play.normalized(observation), self._play.memory
        if memory is None:
            return float(self._actor.value(observation)[0])
        return float(self._actor.value(observation, memory.copy([i]))[0])
